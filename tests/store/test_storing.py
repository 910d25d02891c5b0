"""Closed candles of many series in one transaction. `test_gaps` compares all that follows from them with a model."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from crypto_predict.errors import DatabaseError, UnknownSeries
from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.collected import ACTIVE, STOPPED
from crypto_predict.store import Database, WritableDatabase
from tests.support.databases import ON_BOTH
from tests.support.minutes import EVER, MANY, MINUTES, START, candle, candles, span, vwaps

pytestmark = ON_BOTH
SERIES = [dataclasses.replace(MINUTES, pair=Pair(f"A{number}", "USDT")) for number in range(3)]
UNKNOWN = dataclasses.replace(MINUTES, source="unknown")


@pytest.fixture
def series(writer: WritableDatabase) -> Sequence[SeriesKey]:
    """Three series of `writer`, each with ten minutes before midnight."""
    for key in SERIES:
        writer.follow(key, simulated=False)
        writer.write(key, candles(1430, 1440), span(1430, 1440))
    return SERIES


def test_closed_candles_continue_each_series(
    writer: WritableDatabase, reader: Database, series: Sequence[SeriesKey]
) -> None:
    """One begins a new session, one has none, one is new, and one is not in the database."""
    closed = {
        series[0]: candles(1440, 1443),
        series[1]: candles(1440, 1442),
        series[2]: [],
        MINUTES: [candle(5)],
        UNKNOWN: [candle(0)],
    }
    assert [writer.write_closed(closed) for _ in range(2)] == [6, 0]
    assert writer.write_closed({}) == writer.write_closed({UNKNOWN: [candle(0)]}) == 0
    for key, first, last in zip([*series, MINUTES], (1430, 1430, 1430, 5), (1443, 1442, 1440, 6), strict=True):
        stored = reader.candles(key, EVER, MANY)
        assert [row.candle for row in stored] == candles(first, last)
        assert [row.vwap for row in stored] == vwaps(candles(first, last))
        assert reader.coverage(key) == [span(first, last)]
    assert {collected.state for collected in reader.collected()} == {ACTIVE}
    assert UNKNOWN not in [collected.series for collected in reader.collected()]


def test_a_value_that_one_side_lacks_is_no_revision_and_is_kept(
    writer: WritableDatabase, reader: Database, series: Sequence[SeriesKey]
) -> None:
    """A stream of trades counts them, and the REST of the same exchange does not."""
    counted, bare = candle(1440)._replace(trades=7), candle(1440)._replace(trades=None)
    for sent in ([bare], [counted], [bare, candle(1441)]):
        writer.write_closed({series[0]: sent})
    assert [stored.candle for stored in reader.candles(series[0], EVER, MANY)][-2:] == [counted, candle(1441)]
    assert reader.revisions(series[0], EVER) == []
    differing = bare._replace(close=99.5)
    assert writer.write_closed({series[0]: [differing]}) == 1
    assert [stored.candle for stored in reader.candles(series[0], EVER, MANY)][-2] == differing
    assert reader.revisions(series[0], EVER) == [counted]


def test_closed_candles_are_stored_together_or_not_at_all(
    writer: WritableDatabase, reader: Database, series: Sequence[SeriesKey]
) -> None:
    broken = candle(1440)._replace(trades=10**30)
    with pytest.raises(DatabaseError):
        writer.write_closed({series[0]: [candle(1440)], series[1]: [broken]})
    with pytest.raises(ValueError, match="belongs in the quarantine"):
        writer.write_closed({series[0]: [candle(1440)._replace(open_time=START.replace(second=1))]})
    assert [reader.coverage(key) for key in series] == [[span(1430, 1440)]] * 3
    assert [collected.candles for collected in reader.collected()] == [10, 10, 10, 0]


def test_writers_of_the_same_series_do_not_lock_each_other_out(
    writer: WritableDatabase, reader: Database, series: Sequence[SeriesKey]
) -> None:
    """A stream writes all of them at once, others each one, in any order; and one that changes their states."""
    orders = [list(series), list(reversed(series))]

    def stream(order: Sequence[SeriesKey]) -> None:
        for minute in range(1440, 1460):
            writer.write_closed({key: [candle(minute)] for key in order})

    def backfill(order: Sequence[SeriesKey]) -> None:
        for minute in range(1429, 1419, -1):
            for key in order:
                writer.write(key, [candle(minute)], span(minute, minute + 1))
                writer.compared(key, 1, 0)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run, order) for run in (stream, backfill) for order in orders]:
            done.result()
    for key in series:
        rows = reader.candles(key, EVER, MANY)
        assert [row.candle for row in rows] == candles(1420, 1460)
        assert [row.vwap for row in rows] == vwaps(candles(1420, 1460))
        assert reader.coverage(key) == [span(1420, 1460)]
    assert [collected.compared for collected in reader.collected()] == [20, 20, 20, 0]


def test_the_state_of_a_series_is_kept(writer: WritableDatabase, reader: Database) -> None:
    """How far back it shall be collected stays when only the state changes; comparisons add up."""
    (collected,) = reader.collected()
    assert (collected.state, collected.since, collected.compared, collected.mismatched) == (ACTIVE, None, 0, 0)
    writer.set_state(MINUTES, STOPPED, START)
    writer.set_state(MINUTES, ACTIVE)
    for _ in range(2):
        writer.compared(MINUTES, 5, 1)
    writer.follow(MINUTES, simulated=False)
    (collected,) = reader.collected()
    assert (collected.state, collected.since, collected.compared, collected.mismatched) == (ACTIVE, START, 10, 2)


def test_only_a_stored_series_has_a_state(writer: WritableDatabase) -> None:
    unknown = dataclasses.replace(MINUTES, interval=Interval.HOUR_1)
    message = "it does not contain BTC/USDT 1h from binance; `follow` adds a series"
    with pytest.raises(UnknownSeries, match=message):
        writer.set_state(unknown, ACTIVE)
    with pytest.raises(UnknownSeries, match=message):
        writer.compared(unknown, 1, 0)
    with pytest.raises(ValueError, match="'paused' is not a state of a series: active, stopped, delisted"):
        writer.set_state(MINUTES, "paused")
