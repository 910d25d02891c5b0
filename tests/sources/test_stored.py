"""The source ``store``: a real database, read through its port."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from crypto_predict.errors import DatabaseError, SourceError, Unreachable, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span, resample
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.catalog import traded_at
from crypto_predict.sources.stored import open_stored
from crypto_predict.store import WritableDatabase, open_reader, open_writer

BTC, TETHER, ETH = Pair("BTC", "USD"), Pair("BTC", "USDT"), Pair("ETH", "USD")
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVER = Span(START - 100 * DAY, START + 100 * DAY)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[WritableDatabase]:
    with open_writer(str(tmp_path / "market.db")) as opened:
        yield opened


def candles(interval: Interval, first: datetime, end: datetime) -> list[Candle]:
    count = (end - first) // interval.length
    return [
        Candle(first + number * interval.length, 9.0 + number, 12.0 + number, 8.0, 10.0 + number, 0.25)
        for number in range(count)
    ]


def collect(  # noqa: PLR0913, PLR0917 each is one fact of a series
    database: WritableDatabase,
    source: str,
    pair: Pair,
    interval: Interval,
    first: datetime,
    end: datetime,
    *,
    simulated: bool = False,
) -> list[Candle]:
    """Store a series without gaps."""
    series, stored = SeriesKey(source, pair, interval), candles(interval, first, end)
    database.follow(series, simulated=simulated)
    database.write(series, stored, Span(first, end))
    return stored


def sources(database: WritableDatabase, *pairs: Pair) -> Sequence[CandleSource]:
    return open_stored(lambda: database, pairs or (BTC,), traded_at)


def days(source: CandleSource, pair: Pair = BTC) -> list[Candle]:
    return list(source.candles(pair, Interval.DAY_1, EVER))


def test_days_are_joined_from_minutes_without_the_open_day(database: WritableDatabase) -> None:
    """Also without the day in which the minutes begin."""
    first, end = START + 5 * HOUR, START + 3 * DAY + 17 * HOUR
    minutes = collect(database, "alpaca", BTC, Interval.MINUTE_1, first, end)
    (source,) = sources(database)
    assert days(source) == list(resample(minutes, Span(first, end), Interval.DAY_1))
    assert [candle.open_time for candle in days(source)] == [START + DAY, START + 2 * DAY]
    assert source.newest_close(BTC, Interval.DAY_1, START + 50 * DAY) == START + 3 * DAY
    assert source.newest_close(BTC, Interval.DAY_1, START + 2 * DAY + HOUR) == START + 2 * DAY
    assert source.newest_close(BTC, Interval.HOUR_1, START + 50 * DAY) == end
    assert source.intervals == frozenset(Interval)


def test_pages_of_the_database_are_joined_without_a_seam(database: WritableDatabase) -> None:
    """Two weeks of minutes are more than one page."""
    minutes = collect(database, "alpaca", BTC, Interval.MINUTE_1, START, START + 15 * DAY)
    (source,) = sources(database)
    assert days(source) == list(resample(minutes, EVER, Interval.DAY_1))
    assert len(days(source)) == 15


def test_a_part_of_the_history_equals_that_part_of_the_whole(database: WritableDatabase) -> None:
    collect(database, "alpaca", BTC, Interval.HOUR_1, START, START + 9 * DAY)
    (source,) = sources(database)
    part = Span(START + 3 * DAY, START + 5 * DAY)
    assert list(source.candles(BTC, Interval.DAY_1, part)) == days(source)[3:5]


@pytest.mark.parametrize(
    ("hours_end", "days_first", "expected"),
    [
        (START + 9 * DAY, START - 20 * DAY, 31),  # the same newest day: more days are stored
        (START + 12 * DAY, START - 20 * DAY, 12),  # the hours reach a newer day
        (START + 11 * DAY + 3 * HOUR, START, 11),  # the open day does not count, so days are as new
    ],
)
def test_the_series_with_the_newest_and_then_the_most_data_is_read(
    hours_end: datetime, days_first: datetime, expected: int, database: WritableDatabase
) -> None:
    collect(database, "alpaca", BTC, Interval.HOUR_1, START, hours_end)
    collect(database, "alpaca", BTC, Interval.DAY_1, days_first, START + 11 * DAY)
    (source,) = sources(database)
    assert len(days(source)) == expected


def test_real_prices_come_before_simulated_ones_and_new_ones_before_old_ones(database: WritableDatabase) -> None:
    collect(database, "simulated", BTC, Interval.DAY_1, START, START + 90 * DAY, simulated=True)
    collect(database, "alpaca", BTC, Interval.DAY_1, START, START + 40 * DAY)
    collect(database, "binance", TETHER, Interval.DAY_1, START, START + 50 * DAY)
    collect(database, "poloniex", TETHER, Interval.DAY_1, START - DAY, START + 50 * DAY)
    result = [(source.id, source.simulated) for source in sources(database)]
    assert result == [
        ("store:poloniex", False),
        ("store:binance", False),
        ("store:alpaca", False),
        ("store:simulated", True),
    ]


def test_a_pair_in_dollars_is_read_as_what_is_traded_in_its_place(database: WritableDatabase) -> None:
    collect(database, "binance", TETHER, Interval.DAY_1, START, START + 5 * DAY)
    (source,) = sources(database)
    assert source.traded(BTC) == TETHER
    assert days(source, BTC) == days(source, TETHER)
    assert len(days(source)) == 5


def test_quote_currencies_are_not_mixed(database: WritableDatabase) -> None:
    """Alpaca trades in dollars, so its BTC/USDT is another pair than BTC/USD."""
    collect(database, "alpaca", TETHER, Interval.DAY_1, START, START + 5 * DAY)
    with pytest.raises(Unreachable, match="no candle of BTC/USD is stored"):
        days(sources(database)[0])


def test_a_pair_that_another_one_of_the_run_has_is_missing_by_itself(database: WritableDatabase) -> None:
    collect(database, "alpaca", BTC, Interval.DAY_1, START, START + 5 * DAY)
    (source,) = sources(database, BTC, ETH)
    with pytest.raises(
        Unreachable, match=r"no candle of ETH/USD up to 1d is stored; `python collect.py --backfill --pa"
    ):
        days(source, ETH)


def test_hours_cannot_be_made_from_days(database: WritableDatabase) -> None:
    collect(database, "alpaca", BTC, Interval.DAY_1, START, START + 5 * DAY)
    (source,) = sources(database)
    assert source.intervals == {Interval.DAY_1, Interval.WEEK_1}
    with pytest.raises(SourceError, match="no candle of BTC/USD up to 1h is stored"):
        source.newest_close(BTC, Interval.HOUR_1, START)


def test_less_than_a_day_is_reported_with_what_is_there(database: WritableDatabase) -> None:
    collect(database, "alpaca", BTC, Interval.MINUTE_1, START + HOUR, START + 3 * HOUR)
    (source,) = sources(database)
    with pytest.raises(
        UnusableHistory, match=r"from 2024-01-01 01:00 to 2024-01-01 03:00 UTC, which is not one whole 1d"
    ):
        days(source)


def test_a_history_that_is_shorter_than_asked_for_is_logged_with_what_to_type(
    database: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The gate refuses a short history, and does not know where it comes from."""
    collect(database, "alpaca", BTC, Interval.HOUR_1, START, START + 5 * DAY)
    (source,) = sources(database)
    with caplog.at_level(logging.INFO):
        source.candles(BTC, Interval.DAY_1, Span(START, START + 5 * DAY))
        assert "collects what is before" not in caplog.text
        source.candles(BTC, Interval.DAY_1, Span(START - 9 * DAY, START + 5 * DAY))
    command = "python collect.py --backfill --source alpaca --pair BTC/USD --interval 1h --since 2023-12-23"
    assert f"BTC/USD: `{command}` collects what is before" in caplog.messages


@pytest.mark.parametrize("reason", ["missing", "empty"])
def test_a_database_that_cannot_be_used_is_a_source_that_cannot_be_reached(reason: str, tmp_path: Path) -> None:
    """So that another source may take its place."""
    path = str(tmp_path / "market.db")
    if reason == "empty":
        open_writer(path).close()
    (source,) = open_stored(partial(open_reader, path), [BTC], traded_at)
    with pytest.raises(Unreachable, match=r"collect\.py"):
        source.newest_close(BTC, Interval.DAY_1, START)
    with pytest.raises(Unreachable, match=r"collect\.py"):
        days(source)
    assert source.traded(BTC) == BTC


def test_a_database_that_goes_away_is_a_source_that_cannot_be_reached(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with open_writer(str(path)) as database:
        collect(database, "alpaca", BTC, Interval.DAY_1, START, START + 5 * DAY)
    with open_reader(str(path)) as reader:
        (source,) = open_stored(lambda: reader, [BTC], traded_at)
        path.unlink()
        with pytest.raises(Unreachable, match="does not exist") as caught:
            days(source)
    assert isinstance(caught.value.__cause__, DatabaseError)
