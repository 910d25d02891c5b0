"""Forecasts of hours: what is read is what was written, whole, and not for ever."""

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crypto_predict.errors import UnknownSeries
from crypto_predict.market import Interval, Pair
from crypto_predict.market.collected import STOPPED
from crypto_predict.market.forecast import HOURS_AHEAD, LEVELS, HourForecast
from crypto_predict.store import Database, WritableDatabase
from tests.support.databases import ON_BOTH, execute
from tests.support.minutes import EVER, MANY, MINUTES, START

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
OTHER = replace(MINUTES, pair=Pair("ETH", "USDT"))
_SPREAD = (-0.02, -0.01, -0.005, 0.0, 0.005, 0.0125, 0.025)


def forecast(hour: int, **changes: Any) -> HourForecast:
    """The forecast made `hour` hours after `START`."""
    rows = tuple(tuple(share * math.sqrt(ahead + 1) for share in _SPREAD) for ahead in range(HOURS_AHEAD))
    return replace(HourForecast(START + hour * HOUR, 100.5 + hour, rows), **changes)


def cutoffs(reader: Database) -> list[int]:
    return [(stored.cutoff - START) // HOUR for stored in reader.hour_forecasts(MINUTES, EVER, MANY)]


@ON_BOTH
def test_forecasts_of_hours_are_read_back(writer: WritableDatabase, reader: Database) -> None:
    """The oldest of a span or the newest; quantiles to seven digits. Of two with one cutoff the later one stays."""
    writer.follow(OTHER, simulated=False)
    for hour in range(4):
        writer.write_hour_forecast(MINUTES, forecast(hour, price=1.0), WEEK)
        writer.write_hour_forecast(MINUTES, forecast(hour), WEEK)
    rows = reader.hour_forecasts(MINUTES, EVER, MANY)
    assert [(row.cutoff, row.price) for row in rows] == [(START + hour * HOUR, 100.5 + hour) for hour in range(4)]
    for written, read in zip(forecast(0).quantiles, rows[0].quantiles, strict=True):
        assert read == pytest.approx(written, rel=1e-7)
    assert list(reader.hour_forecasts(MINUTES, EVER, 1, newest=True)) == [rows[-1]]
    assert reader.hour_forecasts(OTHER, EVER, MANY) == []
    with pytest.raises(UnknownSeries):
        writer.write_hour_forecast(replace(MINUTES, source="alpaca"), forecast(0), WEEK)


@ON_BOTH
def test_old_ones_are_deleted_and_those_of_a_stopped_pair_go_with_its_minutes(
    writer: WritableDatabase, reader: Database
) -> None:
    for hour in range(6):
        writer.write_hour_forecast(MINUTES, forecast(hour), 2 * HOUR)
    assert cutoffs(reader) == [3, 4, 5]
    writer.set_state(MINUTES, STOPPED)
    assert writer.purge(Interval.MINUTE_1, START + 5 * HOUR, 9) == 2
    assert cutoffs(reader) == [5]


INVALID = {
    "price of zero": (forecast(1, price=0.0), "not a positive number"),
    "nan": (forecast(1, quantiles=((math.nan,) * 7,) * HOURS_AHEAD), "not a positive number"),
    "too few hours": (forecast(1, quantiles=forecast(1).quantiles[1:]), "24 hours"),
    "too few quantiles": (forecast(1, quantiles=((0.0,) * 6,) * HOURS_AHEAD), f"{len(LEVELS)} quantiles"),
    "crossing": (forecast(1, quantiles=(_SPREAD[::-1],) * HOURS_AHEAD), "do not ascend"),
    "all above the price": (forecast(1, quantiles=((0.1,) * 7,) * HOURS_AHEAD), "do not ascend around 0"),
}


@pytest.mark.parametrize(("bad", "message"), INVALID.values(), ids=INVALID)
def test_what_cannot_be_a_forecast_is_refused(
    bad: HourForecast, message: str, writer: WritableDatabase, reader: Database
) -> None:
    writer.write_hour_forecast(MINUTES, forecast(0), WEEK)
    with pytest.raises(ValueError, match=message):
        writer.write_hour_forecast(MINUTES, bad, WEEK)
    assert cutoffs(reader) == [0]


def test_a_damaged_row_is_left_out(url: str, writer: WritableDatabase, reader: Database) -> None:
    """Also one whose bytes are numbers, but no forecast."""
    for hour in range(3):
        writer.write_hour_forecast(MINUTES, forecast(hour), WEEK)
    execute(url, f"UPDATE hour_forecasts SET distances = x'00' WHERE cutoff = {int(START.timestamp())}")
    nan = "0000c07f" * HOURS_AHEAD * len(LEVELS)
    later = int((START + HOUR).timestamp())
    execute(url, f"UPDATE hour_forecasts SET distances = x'{nan}' WHERE cutoff = {later}")
    assert cutoffs(reader) == [2]
    assert reader.damaged == 2
