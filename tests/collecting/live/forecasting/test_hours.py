"""Forecasts of hours of a collector: one after each hour that is stored, from the stored hours and minutes alone."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.live.events import Stored
from crypto_predict.collecting.live.forecasting.hours import HourForecasts, forecast_of
from crypto_predict.forecasting.distribution.hours import LEAST_HISTORY
from crypto_predict.history.columns import Candles
from crypto_predict.market import Candle, Interval, SeriesKey, Span, aggregate
from crypto_predict.market.clock import Clock
from crypto_predict.market.forecast import HourForecast
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.databases import KINDS, new_database, new_postgresql, stopped_server
from tests.support.forecasting import BTC, ETH, at_work, keep
from tests.support.live import until
from tests.support.minute_markets import MINUTE, START, market
from tests.support.minutes import EVER, MANY

HOUR = timedelta(hours=1)
SPEED = 600.0
HOURLY = replace(BTC, interval=Interval.HOUR_1)
# Two months of hours, then minutes of five hours.
MONTHS = [
    candle._replace(open_time=START + (place - LEAST_HISTORY) * HOUR)
    for place, candle in enumerate(market(7, LEAST_HISTORY))
]
MINUTES = market(0, 300, price=MONTHS[-1].close)


class Hourly:
    """A database into which minutes are stored, with the forecasts of its hours."""

    def __init__(self, database: WritableDatabase, *series: SeriesKey) -> None:
        self.database = database
        self.forecasts = HourForecasts(database, Clock(START, SPEED))
        self.forecasts.follow([stored for stored in database.collected() if stored.series in series])

    def store(self, candles: Sequence[Candle], series: SeriesKey = BTC) -> None:
        """Store candles; the forecasts hear of them."""
        changed = keep(self.database, candles, series)
        self.forecasts.stored(Stored(series, candles, changed, by_stream=True))

    def made(self, count: int, series: SeriesKey = BTC) -> HourForecast:
        """Wait for so many forecasts, and return the newest one."""
        until(lambda: len(forecasts(self.database, series)) == count, f"{count} forecasts of hours")
        return forecasts(self.database, series)[-1]

    def attempted(self) -> None:
        """Wait for another attempt to make a forecast."""
        before = self.forecasts.seconds
        until(lambda: self.forecasts.seconds > before, "another attempt")


@contextmanager
def hourly(database: WritableDatabase, *series: SeriesKey) -> Iterator[Hourly]:
    collected = Hourly(database, *(series or (BTC,)))
    with at_work(collected.forecasts.run, stop=collected.forecasts.stop):
        yield collected


@contextmanager
def filled(url: str, minutes: Sequence[Candle] = MINUTES[:60], months: Sequence[Candle] = MONTHS) -> Iterator[Hourly]:
    """Forecast the hours of a database in which two months of hours and some minutes are stored."""
    with open_writer(url) as database:
        database.follow(HOURLY, simulated=False)
        database.write(HOURLY, months, Span(months[0].open_time, START))
        keep(database, minutes)
        with hourly(database) as collected:
            yield collected


@pytest.fixture
def path(tmp_path: Path) -> str:
    return new_database("sqlite", tmp_path)


def forecasts(database: WritableDatabase, series: SeriesKey = BTC) -> list[HourForecast]:
    return list(database.hour_forecasts(series, EVER, MANY))


def expected(candles: Sequence[Candle]) -> HourForecast:
    """The forecast after these hours, and the whole hours of these minutes."""
    return forecast_of(Candles.of(aggregate(candles, Interval.HOUR_1), Interval.HOUR_1))


def agree(stored: HourForecast, computed: HourForecast) -> bool:
    """Whether a forecast is the one that was computed: its quantiles are stored as 32-bit floats."""
    rows = zip(stored.quantiles, computed.quantiles, strict=True)
    head = (stored.cutoff, stored.price) == (computed.cutoff, computed.price)
    return head and all(row == pytest.approx(other, rel=1e-6, abs=1e-9) for row, other in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_each_hour_has_a_forecast_once_its_last_minute_is_stored(kind: str, tmp_path: Path) -> None:
    """It is that of a training from the same candles: hours that are stored, and those that the minutes make."""
    with filled(new_database(kind, tmp_path)) as collected:
        assert agree(collected.made(1), expected([*MONTHS, *MINUTES[:60]]))
        for minute in MINUTES[60:119]:
            collected.store([minute])
        collected.store(MINUTES[119:121])
        second = collected.made(2)
        assert agree(second, expected([*MONTHS, *MINUTES[:120]]))
        assert (second.cutoff, second.price) == (START + 2 * HOUR, MINUTES[119].close)
        figures = collected.forecasts.figures()[BTC]
        assert figures["hour_forecasts_total"] == 2
        assert collected.forecasts.seconds > 0


def test_minutes_alone_carry_it(path: str) -> None:
    """Two months of them. The first hour and the last one are incomplete, and count for nothing."""
    minutes = market(3, LEAST_HISTORY * 60 + 90)
    with open_writer(path) as database:
        keep(database, minutes[30:])
        with hourly(database) as collected:
            assert agree(collected.made(1), expected(minutes[60 : 60 + LEAST_HISTORY * 60]))


def test_an_hour_of_which_minutes_are_still_to_come_is_waited_for(path: str) -> None:
    """The newest minute is stored, one before it was not asked for: a part of an hour is no hour."""
    with filled(path) as collected:
        collected.made(1)
        collected.store(MINUTES[60:100])
        collected.store(MINUTES[101:121])
        for _ in range(2):
            collected.attempted()
        assert len(forecasts(collected.database)) == 1
        collected.store(MINUTES[100:101])
        assert agree(collected.made(2), expected([*MONTHS, *MINUTES[:120]]))


def test_a_candle_that_came_late_or_was_revised_is_in_the_next_forecast(path: str) -> None:
    """Of an hour long before, or of minutes: the hours are read again from there on."""
    changed = MONTHS[900]._replace(high=3 * MONTHS[900].high)
    revised = MINUTES[30]._replace(low=MINUTES[30].low / 2)
    with filled(path) as collected:
        collected.made(1)
        collected.store([changed], HOURLY)
        collected.store([revised])
        collected.store(MINUTES[60:120])
        after = [*MONTHS[:900], changed, *MONTHS[901:], *MINUTES[:30], revised, *MINUTES[31:120]]
        assert agree(collected.made(2), expected(after))


def test_a_short_history_says_so_once_until_it_is_long_enough(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """The history of a new pair is fetched while its stream goes on already."""
    caplog.set_level(logging.INFO)
    with filled(path, months=MONTHS[1:]) as collected:
        collected.made(1)
    with filled(path + "2", months=MONTHS[2:]) as collected:
        until(lambda: "no forecasts of hours" in caplog.text)
        collected.attempted()
        collected.store(MONTHS[:2], HOURLY)
        collected.made(1)
    records = [record for record in caplog.records if "forecasts of hours" in record.getMessage()]
    begin, short = "forecasts of hours begin", "no forecasts of hours"
    assert [record.getMessage() for record in records] == [begin, short, begin]
    assert getattr(records[1], "crypto_predict_fields", {})["reason"] == "1,439 hours of history, 1,440 are needed"


def test_a_database_that_is_away_gets_the_forecast_when_it_is_back() -> None:
    with filled(new_postgresql()) as collected:
        collected.made(1)
        keep(collected.database, MINUTES[60:120])
        with stopped_server():
            collected.forecasts.stored(Stored(BTC, MINUTES[60:120], 60, by_stream=True))
            collected.attempted()
        assert agree(collected.made(2), expected([*MONTHS, *MINUTES[:120]]))


def test_a_defect_in_one_pair_does_not_harm_the_others(path: str) -> None:
    """Here a price that no market has, which another program has written."""
    with open_writer(path) as database:
        for series, price in ((BTC, 1.0), (ETH, 1e308)):
            hourly_series = replace(series, interval=Interval.HOUR_1)
            database.follow(hourly_series, simulated=False)
            rows = [candle._replace(high=price * candle.high) for candle in MONTHS]
            database.write(hourly_series, rows, Span(rows[0].open_time, START))
            keep(database, MINUTES[:60], series)
        with hourly(database, BTC, ETH) as collected:
            collected.made(1)
            collected.store(MINUTES[60:120])
            collected.made(2)


def test_a_pair_that_is_not_followed_any_more_is_left_alone(path: str) -> None:
    with filled(path) as collected:
        collected.made(1)
        collected.forecasts.follow(())
        collected.store(MINUTES[60:120])
        assert collected.forecasts.figures() == {}
        assert len(forecasts(collected.database)) == 1


def test_a_restart_forecasts_the_newest_hour_again_and_stores_it_once(path: str) -> None:
    """It does not know whether the one before was stored, whenever it was killed."""
    with filled(path) as collected:
        first = collected.made(1)
    with open_writer(path) as database, hourly(database) as collected:
        until(lambda: collected.forecasts.figures()[BTC]["hour_forecasts_total"] == 1)
        assert forecasts(database) == [first]
        assert first.cutoff == START + HOUR == MINUTES[59].open_time + MINUTE
