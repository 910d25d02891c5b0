"""Minute forecasts and the sums of their scores.

A forecast is stored as its price and, for each minute ahead, the point and the quantiles: the distances of their
logarithms from that of the price, as 32-bit floats. The rounding changes a price by less than 1 in 10 million.
"""

import itertools
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from operator import add, attrgetter, itemgetter
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select

from crypto_predict.market import SeriesKey
from crypto_predict.market.collected import ForecastStep, MinuteRecord
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast, MinuteScores
from crypto_predict.store import bulk
from crypto_predict.store.columns import THE_SERIES, instant, number, seconds_up, series_of, whole
from crypto_predict.store.tables import forecast_records, forecast_scores, forecasts, symbols

_EACH = 1 + len(LEVELS)  # numbers for each minute: the point, then the quantiles
_LAYOUT = struct.Struct(f"<{MINUTES_AHEAD * _EACH}f")
_SECOND = timedelta(seconds=1)
_DELETE = delete(forecasts).where(forecasts.c.series == bindparam("of"), forecasts.c.cutoff < bindparam("before"))

_SUMS = [field.name for field in fields(MinuteScores)][1:]
_SCORES = [forecast_scores.c.horizon_minutes, *(forecast_scores.c[name] for name in _SUMS)]
_sums = attrgetter(*_SUMS)
_HEAD = forecast_records.c
# The records that have an outcome, and that of one series; see `scored` and `grouped`.
RECORDS = (
    select(symbols.c.source, symbols.c.pair, symbols.c.interval, _HEAD.since, _HEAD.until, *_SCORES)
    .join(forecast_records, symbols.c.id == _HEAD.series)
    .join(forecast_scores, forecast_scores.c.series == _HEAD.series)
    .where(_HEAD.since.is_not(None))
    .order_by(_HEAD.series, forecast_scores.c.horizon_minutes)
)
RECORD = RECORDS.where(_HEAD.series == THE_SERIES)

Steps = Mapping[int, Sequence[ForecastStep]]  # by the number of the series
_Scored = tuple[tuple[SeriesKey, datetime, datetime], MinuteScores]  # the former of its record


def pack(forecast: MinuteForecast) -> bytes:
    """Return the distances of a forecast from its price, as they are stored.

    Raise `ValueError` if it does not have the shapes of `MinuteForecast`, or a price is not a positive number.
    """
    shape = [len(row) for row in forecast.quantiles]
    if len(forecast.points) != MINUTES_AHEAD or shape != [len(LEVELS)] * MINUTES_AHEAD:
        raise ValueError(f"a minute forecast has {MINUTES_AHEAD} points, and {len(LEVELS)} quantiles for each")
    prices = [price for point, row in zip(forecast.points, forecast.quantiles, strict=True) for price in (point, *row)]
    if not all(0 < price < math.inf for price in (forecast.price, *prices)):
        raise ValueError(f"the forecast at {forecast.cutoff} has a price that is not a positive number")
    origin = math.log(forecast.price)
    return _LAYOUT.pack(*(math.log(price) - origin for price in prices))


def unpack(row: Sequence[Any]) -> MinuteForecast:
    """Return the forecast of a row. A `ValueError` says that the row is damaged."""
    cutoff, price, distances = row
    try:
        prices = [price * math.exp(distance) for distance in _LAYOUT.unpack(distances)]
    except (struct.error, TypeError, OverflowError) as error:
        raise ValueError(f"it is not {_LAYOUT.size} bytes of numbers") from error
    rows = [tuple(prices[first : first + _EACH]) for first in range(0, len(prices), _EACH)]
    if not all(0 < value < math.inf for value in (price, *prices)):
        raise ValueError("a price is not a positive number")
    if not all(lower <= upper for row in rows for lower, upper in itertools.pairwise(row[1:])):
        raise ValueError("the quantiles are not ascending")
    return MinuteForecast(instant(cutoff), price, tuple(row[0] for row in rows), tuple(row[1:] for row in rows))


def scored(row: Row[*tuple[Any, ...]]) -> _Scored:
    """Return what a row of `RECORDS` says of one horizon. A `ValueError` says that the row is damaged."""
    since, until, horizon, count, *sums = row[3:]
    inside = [*map(whole, sums[6:])]
    if not (1 <= whole(horizon) <= MINUTES_AHEAD and 0 < whole(count) >= max(inside)):
        raise ValueError(f"{horizon} min and {count} forecasts with {inside} inside contradict each other")
    for loss in sums[:6]:
        number(loss)
    return (series_of(row), instant(since), instant(until)), MinuteScores(horizon, count, *sums)


def grouped(rows: Iterable[_Scored]) -> dict[SeriesKey, MinuteRecord]:
    """Return the records of `RECORDS`."""
    return {
        series: MinuteRecord(since, until, tuple(scores for _, scores in group))
        for (series, since, until), group in itertools.groupby(rows, key=itemgetter(0))
    }


def write(connection: Connection, steps: Steps, keep: timedelta) -> None:
    """Store the steps that are after the records of their series; `ForecastWriter` states the rules.

    The series are locked by the transaction of `connection`. Raise `ValueError` if a forecast is not that of its step,
    or a number is not one that can be stored.
    """
    query = select(_HEAD.series, _HEAD.since, _HEAD.until).where(_HEAD.series.in_(list(steps)))
    periods = {series: (since, until) for series, since, until in connection.execute(query)}
    fresh, written = {}, []
    for series in sorted(steps):
        since, until = periods.get(series, (None, None))
        if after := _after(until, steps[series]):
            first = next((seconds_up(step.until) for step in after if step.scores), None)
            fresh[series] = after
            written.append((series, first if since is None else since, seconds_up(after[-1].until)))
    _store_forecasts(connection, fresh, keep)
    _add_scores(connection, fresh)
    bulk.upsert(connection, forecast_records, iter(written))


def _after(until: int | None, steps: Iterable[ForecastStep]) -> list[ForecastStep]:
    """Return the steps after a close, each after the one before."""
    later = []
    for step in steps:
        close = seconds_up(step.until)
        if until is None or close > until:
            until = close
            later.append(step)
    return later


def _store_forecasts(connection: Connection, steps: Steps, keep: timedelta) -> None:
    """Store forecasts, and delete those more than `keep` before the newest one of their series."""
    rows, newest = [], {}
    for series, after in steps.items():
        for step in after:
            if step.forecast is not None:
                if step.forecast.cutoff != step.until:
                    raise ValueError(f"a forecast made at {step.until} has the cutoff {step.forecast.cutoff}")
                newest[series] = seconds_up(step.until)
                rows.append((series, newest[series], step.forecast.price, pack(step.forecast)))
    bulk.insert(connection, forecasts, ("series", "cutoff", "price", "distances"), rows)
    old = [{"of": series, "before": cutoff - keep // _SECOND} for series, cutoff in newest.items()]
    if old:
        connection.execute(_DELETE, old)


def _add_scores(connection: Connection, steps: Steps) -> None:
    """Add scores to the sums of each series and horizon."""
    outcomes = [(series, scores) for series, after in steps.items() for step in after for scores in step.scores]
    query = select(forecast_scores.c.series, *_SCORES).where(forecast_scores.c.series.in_(steps))
    rows = connection.execute(query) if outcomes else ()
    sums: dict[tuple[int, int], tuple[float, ...]] = {(row[0], row[1]): tuple(row[2:]) for row in rows}
    changed = set()
    for series, scores in outcomes:
        key, added = (series, scores.horizon_minutes), _sums(scores)
        if not (1 <= scores.horizon_minutes <= MINUTES_AHEAD and all(map(math.isfinite, added))):
            raise ValueError(f"not a score that can be added: {scores}")
        sums[key] = tuple(map(add, sums[key], added)) if key in sums else added
        changed.add(key)
    bulk.upsert(connection, forecast_scores, ((*key, *sums[key]) for key in sorted(changed)))
