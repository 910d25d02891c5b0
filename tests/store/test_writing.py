"""Writes on SQLite and PostgreSQL, read back through other connections."""

import dataclasses
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from crypto_predict.errors import DatabaseError
from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span
from crypto_predict.market.collected import Quarantined
from crypto_predict.store import Database, WritableDatabase
from tests.support.databases import ON_BOTH, execute
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candle, candles, span

pytestmark = ON_BOTH
DAYS = dataclasses.replace(MINUTES, interval=Interval.DAY_1)


def stored(reader: Database) -> list[Candle]:
    return [row.candle for row in reader.candles(MINUTES, EVER, MANY)]


def test_written_candles_are_read_back_exactly(writer: WritableDatabase, reader: Database) -> None:
    """Also fields that a source does not have, numbers at the ends of their range, and years far away."""
    extreme = Candle(START - 700_000_000 * MINUTE, 5e-324, 1.7e308, 5e-324, 0.1 + 0.2, 0.0, None, None, None, None)
    written = [extreme, *candles(0, 3), candle(3)._replace(trades=2**62, quote_volume=None)]
    assert writer.write(MINUTES, written) == 5
    assert stored(reader) == written
    assert [type(value) for value in stored(reader)[1]] == [datetime, *[float] * 6, int, float, float]


def test_an_unchanged_candle_is_not_written_again(writer: WritableDatabase, reader: Database, url: str) -> None:
    """PostgreSQL would keep the old row of an update in the table."""
    assert writer.write(MINUTES, candles(0, 3000), span(0, 3000)) == 3000
    size = "SELECT pg_relation_size('price_history')" if "://" in url else "SELECT page_count FROM pragma_page_count()"
    before = execute(url, size)
    for _ in range(3):
        assert writer.write(MINUTES, candles(0, 3000), span(0, 3000)) == 0
    assert (execute(url, size), reader.revisions(MINUTES, EVER)) == (before, [])
    assert writer.write(MINUTES, candles(2998, 3001), span(2998, 3001)) == 1


def test_a_changed_candle_keeps_its_old_values(writer: WritableDatabase, reader: Database, url: str) -> None:
    """Every change is kept, with the time of it; the VWAP that follows from a change is not a change of its own."""
    began = datetime.now(UTC)
    writer.write(MINUTES, candles(0, 5), span(0, 5))
    second, third = candle(2)._replace(close=99.5), candle(2)._replace(trades=None)
    assert writer.write(MINUTES, [second, candle(3)]) == 1
    assert writer.write(MINUTES, [third]) == 1
    assert stored(reader) == [candle(0), candle(1), third, candle(3), candle(4)]
    assert reader.revisions(MINUTES, EVER) == [candle(2), second]
    changed = execute(url, "SELECT changed_at_us FROM revisions ORDER BY id")
    times = [began, *(EPOCH + timedelta(microseconds=number) for number in changed), datetime.now(UTC)]
    assert sorted(times) == times
    assert reader.revisions(MINUTES, span(3, 5)) == []


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (candle(1)._replace(trades=10**30), DatabaseError),
        (candle(1)._replace(open=None), DatabaseError),  # type: ignore[arg-type] # hostile
        (candle(1)._replace(open_time=START + MINUTE * 1.5), ValueError),  # it belongs in the quarantine
    ],
    ids=["a count too large for a column", "a missing price", "an opening between two"],
)
def test_a_write_that_fails_stores_nothing(
    writer: WritableDatabase, reader: Database, broken: Candle, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"market|belongs in the quarantine"):
        writer.write(MINUTES, [candle(0), broken], span(0, 3), [Quarantined(candle(2), "a reason")])
    assert (stored(reader), reader.coverage(MINUTES), reader.quarantine(MINUTES, EVER)) == ([], [], [])
    assert writer.write(MINUTES, [candle(0)]) == 1


def test_a_series_must_be_added_before_it_is_written(writer: WritableDatabase) -> None:
    """Otherwise simulated prices could pass for real ones."""
    with pytest.raises(DatabaseError, match="it does not contain BTC/USDT 1d from binance; `follow` adds a series"):
        writer.write(DAYS, [])
    writer.follow(DAYS, simulated=True)
    writer.follow(DAYS, simulated=True)
    with pytest.raises(DatabaseError, match="BTC/USDT 1d from binance has simulated prices; use another database"):
        writer.follow(DAYS, simulated=False)
    assert {collected.series: collected.simulated for collected in writer.collected()} == {MINUTES: False, DAYS: True}


def test_coverage_is_merged_and_whole(writer: WritableDatabase, reader: Database) -> None:
    """Spans that touch or overlap become one. A part of an interval is not covered: its candle was not complete."""
    for covered in (span(10, 20), span(30, 40), span(20, 25), span(12, 15), span(50, 50), span(60, 50)):
        writer.write(MINUTES, [], covered)
    assert reader.coverage(MINUTES) == [span(10, 25), span(30, 40)]
    for first, last in ((24.5, 30.5), (70.1, 70.9)):
        writer.write(MINUTES, [], Span(START + first * MINUTE, START + last * MINUTE))
        assert reader.coverage(MINUTES) == [span(10, 40)]


def test_rejected_rows_are_kept_once_with_any_number(writer: WritableDatabase, reader: Database) -> None:
    """A source returns the same broken rows every time it is asked."""
    numbers = candle(1)._replace(open=math.nan, high=math.inf, low=-math.inf, volume=-1.0, trades=10**40)
    rows = [
        Quarantined(numbers, "open nan is not a positive number"),
        Quarantined(candle(1), "the same opening with other values"),
        Quarantined(candle(0)._replace(open_time=START + timedelta(microseconds=1)), "opens between two minutes"),
    ]
    for _ in range(2):
        writer.write(MINUTES, [], span(0, 2), rows)
    first, second, third = reader.quarantine(MINUTES, EVER)
    assert (first, third) == (rows[2], rows[1])
    assert (str(second.candle), second.reason) == (str(numbers), rows[0].reason)  # as text, since nan is not nan
    assert reader.quarantine(MINUTES, span(2, 9)) == []


def test_quotes_are_stored_once(writer: WritableDatabase, reader: Database) -> None:
    pair = Pair("BTC", "USDT")
    quotes = [Quote(START + n * timedelta(microseconds=1), 100.5 + n, 2.0, 101.25, 0.5) for n in range(4)]
    changed = dataclasses.replace(quotes[1], bid=100.0)
    for written in (quotes, quotes, [changed], []):
        writer.write_quotes("binance", pair, written)
    assert reader.quotes("binance", pair, EVER, MANY) == [quotes[0], changed, *quotes[2:]]
    assert reader.quotes("binance", pair, Span(quotes[1].time, quotes[3].time), 1) == [changed]
    assert reader.quotes("poloniex", pair, EVER, MANY) == []
    assert reader.quotes("binance", pair, EVER, 2, newest=True) == quotes[2:]
    assert reader.quotes("binance", pair, Span(quotes[0].time, quotes[2].time), 1, newest=True) == [changed]


def test_the_version_of_a_series_grows_with_every_change_and_with_nothing_else(
    writer: WritableDatabase, reader: Database
) -> None:
    """An answer that was made of an older version can differ; one of the same version cannot."""

    def version() -> int:
        return next(collected.version for collected in reader.collected() if collected.series == MINUTES)

    writer.follow(DAYS, simulated=False)
    revised = candle(5)._replace(close=candle(5).high)
    writes: list[tuple[str, Callable[[], object]]] = [
        ("the first candles", lambda: writer.write(MINUTES, candles(0, 10), span(0, 10))),
        ("a revision", lambda: writer.write(MINUTES, [revised])),
        ("an answer without candles", lambda: writer.write(MINUTES, [], span(10, 15))),
        ("a candle of a stream", lambda: writer.write_closed({MINUTES: [candle(20)]})),
        ("a revision of a stream", lambda: writer.write_closed({MINUTES: [candle(5)]})),
        ("a candle before", lambda: writer.write(MINUTES, [candle(17)])),
        ("its coverage", lambda: writer.write_closed({MINUTES: [candle(17)]})),
    ]
    for change, write in writes:
        before = version()
        write()
        after = version()
        assert after > before, change
        write()
        writer.write(DAYS, candles(0, 1), span(0, 1440))
        assert version() == after, change
    before = version()
    assert writer.purge(MINUTES.interval, candle(3).open_time, MANY) > 0
    assert version() > before


def test_sizes_count_what_is_stored(writer: WritableDatabase, reader: Database) -> None:
    assert reader.sizes() == {MINUTES: 0}
    writer.follow(DAYS, simulated=False)
    writer.write(MINUTES, candles(0, 3000))
    writer.write(MINUTES, candles(2000, 4000))
    writer.write(DAYS, [candle(0)])
    assert [(collected.series, collected.candles) for collected in reader.collected()] == [(MINUTES, 4000), (DAYS, 1)]
    assert 80 < reader.sizes()[MINUTES] / 4000 < 300
