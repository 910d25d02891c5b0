"""Forecasts of hours: the price at the cutoff, and the quantiles of each hour ahead as 32-bit floats."""

import itertools
import math
import struct
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete

from crypto_predict.market.forecast import HOURS_AHEAD, LEVELS, HourForecast
from crypto_predict.store import bulk
from crypto_predict.store.columns import instant, seconds_up
from crypto_predict.store.tables import hour_forecasts

_LAYOUT = struct.Struct(f"<{HOURS_AHEAD * len(LEVELS)}f")
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
_MOST = 100.0  # of a distance in log price, which no market has


def fault(forecast: HourForecast) -> str | None:
    """Return why a forecast cannot be stored or used; None if it can."""
    rows = forecast.quantiles
    if [len(row) for row in rows] != [len(LEVELS)] * HOURS_AHEAD:
        return f"it does not have {len(LEVELS)} quantiles for each of {HOURS_AHEAD} hours"
    if not 0 < forecast.price < math.inf or not all(abs(distance) < _MOST for row in rows for distance in row):
        return "a price is not a positive number"
    if not all(row[_LOW] <= 0 <= row[_HIGH] and list(row) == sorted(row) for row in rows):
        return "its quantiles do not ascend around 0"
    return None


def unpack(row: Sequence[Any]) -> HourForecast:
    """Return the forecast of a row. A `ValueError` says that the row is damaged."""
    cutoff, price, distances = row
    try:
        numbers = _LAYOUT.unpack(distances)
    except (struct.error, TypeError) as error:
        raise ValueError(f"it is not {_LAYOUT.size} bytes of numbers") from error
    rows = (numbers[first : first + len(LEVELS)] for first in range(0, len(numbers), len(LEVELS)))
    forecast = HourForecast(instant(cutoff), price, tuple(rows))
    if reason := fault(forecast):
        raise ValueError(reason)
    return forecast


def write(connection: Connection, series: int, forecast: HourForecast, keep: timedelta) -> None:
    """Store the forecast of a series, and delete those more than `keep` before it.

    Raise `ValueError` if it is not one that can be stored.
    """
    if reason := fault(forecast):
        raise ValueError(f"the forecast of hours at {forecast.cutoff}: {reason}")
    distances = _LAYOUT.pack(*itertools.chain.from_iterable(forecast.quantiles))
    row = (series, seconds_up(forecast.cutoff), forecast.price, distances)
    bulk.upsert(connection, hour_forecasts, iter([row]))
    of_series, before = hour_forecasts.c.series == series, seconds_up(forecast.cutoff - keep)
    connection.execute(delete(hour_forecasts).where(of_series, hour_forecasts.c.cutoff < before))
