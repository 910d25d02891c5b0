"""Reads, beside a writer and from several threads."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from crypto_predict.errors import DatabaseError
from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.store import Database, WritableDatabase, open_reader
from tests.support.databases import ON_BOTH, connected
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candle, candles, span
from tests.support.serving import ROOT

UNKNOWN = SeriesKey("binance", Pair("DOGE", "USDT"), Interval.MINUTE_1)


@ON_BOTH
def test_pages_of_candles_are_complete_and_apart(writer: WritableDatabase, reader: Database) -> None:
    """The next page begins one interval after the last opening. Spans include their start and not their end."""
    writer.write(MINUTES, [*candles(0, 4), *candles(6, 12)])
    pages, begin = [], START
    while page := reader.candles(MINUTES, Span(begin, START + 11 * MINUTE), 3):
        pages.append([(row.candle.open_time - START) // MINUTE for row in page])
        begin = page[-1].candle.open_time + MINUTE
    assert pages == [[0, 1, 2], [3, 6, 7], [8, 9, 10]]


@ON_BOTH
def test_any_span_and_any_limit_is_accepted(writer: WritableDatabase, reader: Database) -> None:
    """A span may begin and end between two candles, be empty, or end before it begins."""
    writer.write(MINUTES, candles(0, 3))
    assert [len(reader.candles(MINUTES, EVER, limit)) for limit in (-1, 0, 1, 10**9, 10**30)] == [0, 0, 1, 3, 3]
    just = timedelta(microseconds=1)
    for begin, end, expected in (
        (START + just, START + 2 * MINUTE + just, candles(1, 3)),
        (START - just, START + 2 * MINUTE - just, candles(0, 2)),
        (START, START, []),
        (START + 3 * MINUTE, START, []),
    ):
        assert [row.candle for row in reader.candles(MINUTES, Span(begin, end), MANY)] == expected
    for read in (reader.gaps, reader.revisions, reader.quarantine, lambda series, _: reader.coverage(series)):
        assert read(UNKNOWN, EVER) == []


DAY = 24 * 60  # minutes


@ON_BOTH
@pytest.mark.parametrize(
    ("stored", "earlier"),
    [
        ([0, 1], 0),
        ([-1, 0, 1], 0),  # the newest of those that are near enough
        ([-3, 5], -3),
        ([-10, 5], -10),
        ([-11, 5], None),
        ([1, 2], None),  # later than a day ago
    ],
)
def test_the_last_price_stands_beside_the_last_one_of_a_time_before_it(
    stored: list[int], earlier: int | None, writer: WritableDatabase, reader: Database
) -> None:
    """Both ends of that time are included: here the ten minutes that end a day before it."""
    other = SeriesKey("alpaca", Pair("ETH", "USD"), Interval.MINUTE_1)
    writer.follow(other, simulated=True)
    writer.write(other, candles(0, 2))  # another series does not matter
    last_price = reader.last_prices(DAY * MINUTE, 10 * MINUTE)[1]
    assert (last_price.newest_close, last_price.price, last_price.earlier) == (None, None, None)
    writer.write(MINUTES, [candle(minute) for minute in [*stored, DAY]])
    price, last_price = reader.last_prices(DAY * MINUTE, 10 * MINUTE)
    assert (price.series, price.simulated, price.price, price.earlier) == (other, True, candle(1).close, None)
    assert (last_price.series, last_price.simulated, last_price.state) == (MINUTES, False, "active")
    assert (last_price.newest_close, last_price.price) == (START + (DAY + 1) * MINUTE, candle(DAY).close)
    assert last_price.earlier == (None if earlier is None else candle(earlier).close)


@ON_BOTH
def test_series_are_sorted(writer: WritableDatabase, reader: Database) -> None:
    """By source, pair and length of the interval."""
    keys = [
        SeriesKey(source, Pair.parse(pair), interval)
        for source in ("alpaca", "poloniex")
        for pair in ("1INCH/USD", "BTC/USD")
        for interval in (Interval.MINUTE_1, Interval.HOUR_1, Interval.DAY_1)
    ]
    for key in reversed(keys):
        writer.follow(key, simulated=False)
    for series in ([collected.series for collected in reader.collected()], list(reader.sizes())):
        assert [key for key in series if key != MINUTES] == keys
    assert {
        (collected.state, collected.first_open, collected.newest_close, collected.gaps, collected.missing)
        for collected in reader.collected()
    } == {("active", None, None, 0, 0)}


@ON_BOTH
def test_the_series_of_one_pair_are_found(writer: WritableDatabase, reader: Database) -> None:
    """With their gaps, and without those of other pairs."""
    other = dataclasses.replace(MINUTES, pair=Pair("ETH", "USDT"))
    for series, count in ((MINUTES, 1), (other, 2)):
        writer.follow(series, simulated=False)
        edges = range(0, 20 * count + 10, 20)
        written = [written for first in edges for written in candles(first, first + 10)]
        writer.write(series, written, span(0, 20 * count + 10))
    for series, count in ((MINUTES, 1), (other, 2)):
        (collected,) = reader.collected(series.pair)
        assert (collected.series, collected.gaps, collected.missing) == (series, count, 10 * count)
        assert collected in reader.collected()
    assert reader.collected(Pair("NOPE", "USD")) == []


@ON_BOTH
def test_a_reader_cannot_write(reader: Database) -> None:
    """Also not by a defect of the program: the connection itself is read-only."""
    with pytest.raises(DatabaseError, match=r"readonly|read-only"):
        WritableDatabase.follow(reader, UNKNOWN, simulated=False)  # type: ignore[arg-type] # what a defect could do
    assert len(reader.collected()) == 1


@ON_BOTH
def test_many_threads_read_while_one_writes(writer: WritableDatabase, url: str) -> None:
    """Each answer is one state: whole windows of 50 candles, and never fewer than before."""
    with open_reader(url) as reader, ThreadPoolExecutor(8) as pool:

        def watch(_: int) -> list[int]:
            return [len(reader.candles(MINUTES, EVER, MANY)) for _ in range(15)]

        watching = [pool.submit(watch, number) for number in range(8)]
        for first in range(0, 1000, 50):
            writer.write(MINUTES, candles(first, first + 50), span(first, first + 50))
        for counts in (future.result() for future in watching):
            assert counts == sorted(counts)
            assert all(count % 50 == 0 for count in counts)


@ON_BOTH
def test_who_may_write_reads_beside_another_writer(writer: WritableDatabase, url: str) -> None:
    """A collector reads which pairs it follows while its other threads write."""
    with connected(url) as other:
        other.execute(text("UPDATE symbols SET candles = candles"))
        assert [collected.series for collected in writer.collected()] == [MINUTES]


def test_reading_needs_neither_numpy_nor_pandas() -> None:
    """The API of the live image has neither in its requirements."""
    code = "import sys, crypto_predict.store; print(*sorted({'numpy', 'pandas'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
