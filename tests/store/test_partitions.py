"""The months of the candles on PostgreSQL, and what becomes of a database with a single table."""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from crypto_predict.market import Interval, Pair
from crypto_predict.store import Database, WritableDatabase, open_reader, open_writer, tables
from crypto_predict.store.migrations import single_table
from crypto_predict.store.partitions import month_of, months_of
from tests.store.test_schema import BACK
from tests.support.databases import PASSWORD, USER, connected, execute, with_user
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candle, candles, span
from tests.support.processes import child, line

KILLS = int(os.environ.get("KILLS", "3"))  # of each kind; a moment that was missed costs as much as one that was not
ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)
MONTH = 15 * 1440  # the first minute of a month: `START` is its predecessor's seventeenth day
SIZE = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('price_history')"


def partitions(url: str) -> Sequence[str]:
    query = "SELECT CAST(relid AS regclass)::text FROM pg_partition_tree('price_history') WHERE isleaf ORDER BY 1"
    return [name.removeprefix("price_history_") for name in execute(url, query)]


def make_single(url: str) -> None:
    """Take the database back to its last schema with a single table."""
    for passed, statements in BACK.items():
        for statement in statements if passed >= "0005" else ():
            execute(url, statement)
    execute(url, "UPDATE crypto_predict_schema SET version_num = '0005'")


@given(st.lists(st.integers(-30_000_000_000, 100_000_000_000)).map(sorted))
def test_the_months_of_openings_are_those_of_the_calendar(openings: list[int]) -> None:
    assert list(months_of(openings)) == sorted({month_of(opening) for opening in openings})


@ON_POSTGRESQL
def test_a_month_is_made_for_its_first_candle_and_the_next_one_ahead(
    writer: WritableDatabase, reader: Database, url: str
) -> None:
    """A month without candles between two others is not made."""
    assert partitions(url) == []
    writer.write(MINUTES, [candle(-6 * MONTH), *candles(MONTH - 30, MONTH)], span(MONTH - 30, MONTH))
    assert partitions(url) == ["2024_02", "2024_03", "2024_05", "2024_06"]
    writer.write_closed({MINUTES: candles(MONTH, MONTH + 30)})
    assert partitions(url) == ["2024_02", "2024_03", "2024_05", "2024_06", "2024_07"]
    stored = [row.candle for row in reader.candles(MINUTES, EVER, MANY)]
    assert stored == [candle(-6 * MONTH), *candles(MONTH - 30, MONTH + 30)]
    assert sum(reader.sizes().values()) == execute(url, SIZE)[0]


WRITE = """
import dataclasses, sys
from crypto_predict.market import Pair
from crypto_predict.store import open_writer
from tests.support.minutes import MINUTES, candle
series = dataclasses.replace(MINUTES, pair=Pair(sys.argv[2], "USDT"))
with open_writer(sys.argv[1]) as writer:
    writer.follow(series, simulated=False)
    sys.stdin.readline()
    for month in range(24):
        writer.write(series, [candle(month * 43_200)])
"""


@ON_POSTGRESQL
def test_processes_that_write_at_once_make_each_month_once(url: str) -> None:
    open_writer(url).close()
    with child(WRITE, url, "A") as first, child(WRITE, url, "B") as second, child(WRITE, url, "C") as third:
        for process in (first, second, third):
            assert process.stdin is not None
            process.stdin.write("now\n")
            process.stdin.flush()
        for process in (first, second, third):
            assert (process.wait(100), process.stderr and process.stderr.read()) == (0, "")
    with open_reader(url) as reader:
        assert [collected.candles for collected in reader.collected()] == [24, 24, 24]


@ON_POSTGRESQL
def test_a_single_table_becomes_the_partition_of_the_past(url: str) -> None:
    """Nothing is copied, and who was allowed to read it may still do so. Later months have tables of their own."""
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 90), span(0, 90))
    make_single(url)
    execute(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {USER}")
    file = execute(url, "SELECT pg_relation_filenode('price_history')")
    with open_writer(url) as writer, open_reader(with_user(url, USER, quote(PASSWORD))) as reader:
        (past,) = partitions(url)
        assert execute(url, f"SELECT pg_relation_filenode('price_history_{past}')") == file
        later = 60 * 24 * 365 * 200
        writer.write_closed({MINUTES: [candle(90), candle(later)]})
        assert [row.candle for row in reader.candles(MINUTES, EVER, MANY)] == [*candles(0, 91), candle(later)]
        writer.write(MINUTES, [candle(5)._replace(close=101.5), candle(-MONTH)])
        assert (past[:7], partitions(url)) == ("before_", ["2224_03", "2224_04", past])
        assert [row.candle.close for row in reader.candles(MINUTES, span(5, 6), 1)] == [101.5]


@ON_POSTGRESQL
@pytest.mark.parametrize("steps", range(3))
def test_an_upgrade_that_was_killed_goes_on(url: str, steps: int) -> None:
    """Each step of it is one transaction, and the table of before can be written between any two of them."""
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 90), span(0, 90))
        make_single(url)
        for step in (single_table.announce, single_table.check)[:steps]:
            with writer.transaction() as connection:
                tables.prepare(connection, step)
        execute(url, "UPDATE price_history SET close = 101.5 WHERE open_time % 120 = 0")
    with open_writer(url), open_reader(url) as reader:
        stored = reader.candles(MINUTES, EVER, MANY)
        assert (len(stored), stored[0].candle.close, stored[1].candle) == (90, 101.5, candle(1))
        (past,) = partitions(url)
        checks = f"SELECT convalidated FROM pg_constraint WHERE conname = 'price_history_{past}'"
        assert execute(url, checks) == [True], "it was checked before names changed, or else every candle is read then"


def kill(code: str, url: str, moments: random.Random) -> None:
    """Run a program that says when it begins, and kill it soon afterwards."""
    with child(code, url) as process:
        assert line(process) == "begin"
        time.sleep(moments.uniform(0, 0.15))
        process.kill()


UPGRADE = """
import sys
from crypto_predict.store import open_writer
print("begin", flush=True)
open_writer(sys.argv[1]).close()
"""


@ON_POSTGRESQL
def test_an_upgrade_that_is_killed_at_any_moment_loses_no_candle(url: str) -> None:
    moments = random.Random(1)
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 5_000), span(0, 5_000))
    for _ in range(KILLS):
        make_single(url)
        kill(UPGRADE, url, moments)
        with open_writer(url), open_reader(url) as reader:
            assert [row.candle for row in reader.candles(MINUTES, EVER, MANY)] == candles(0, 5_000)
            assert len(partitions(url)) == 1


PURGE = """
import sys
from crypto_predict.market import Interval
from crypto_predict.store import open_writer
from tests.support.minutes import MINUTE, START
with open_writer(sys.argv[1]) as writer:
    print("begin", flush=True)
    for month in range(12):
        writer.purge(Interval.MINUTE_1, START + (month * 31 + 15) * 1440 * MINUTE, 5)
"""


@ON_POSTGRESQL
def test_months_that_are_dropped_go_whole_whenever_the_process_is_killed(url: str) -> None:
    """No table is left behind, and what is counted is what is stored."""
    moments = random.Random(2)
    first = [day * 1440 for day in range(365)]
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        for _ in range(KILLS):
            writer.write(MINUTES, [candle(minute) for minute in first])
            kill(PURGE, url, moments)
            with open_reader(url) as reader:
                stored = [row.candle for row in reader.candles(MINUTES, EVER, MANY)]
                assert stored == [candle(minute) for minute in first[len(first) - len(stored) :]]
                assert [(row.candles, row.first_open) for row in reader.collected()] == [(len(stored), stored[0][0])]
            writer.purge(Interval.MINUTE_1, START, 5)
            assert execute(url, "SELECT count(*) FROM pg_class WHERE relname LIKE '%detached'") == [0]


@ON_POSTGRESQL
def test_a_month_that_is_too_old_is_dropped_but_for_longer_candles(
    writer: WritableDatabase, reader: Database, url: str
) -> None:
    """What is known of it goes with it; of two pairs one has nothing left. The days of the month have its table now."""
    other, days = replace(MINUTES, pair=Pair("ETH", "USDT")), replace(MINUTES, interval=Interval.DAY_1)
    for series in (other, days):
        writer.follow(series, simulated=False)
    writer.write(MINUTES, [*candles(0, 90), *candles(100, 120), *candles(MONTH, MONTH + 30)], span(0, MONTH + 30))
    writer.write(other, candles(0, 40), span(0, 40))
    writer.write(days, [candle(day * 1440) for day in range(-3, 20)])
    before = reader.candles(days, EVER, MANY)
    assert writer.purge(Interval.MINUTE_1, START + (MONTH + 10) * MINUTE, 5) == 150
    assert [row.candle for row in reader.candles(MINUTES, EVER, MANY)] == candles(MONTH, MONTH + 30)
    assert (reader.coverage(MINUTES), reader.gaps(MINUTES, EVER)) == ([span(MONTH, MONTH + 30)], [])
    facts = {row.series: (row.candles, row.first_open) for row in reader.collected()}
    assert facts == {MINUTES: (30, START + MONTH * MINUTE), other: (0, None), days: (23, START - 3 * 1440 * MINUTE)}
    assert reader.candles(days, EVER, MANY) == before
    assert partitions(url) == ["2024_05", "2024_06", "2024_07"]
    assert writer.purge(Interval.MINUTE_1, START + (MONTH + 10) * MINUTE, 50) == 10
    assert writer.purge(Interval.DAY_1, START + MONTH * MINUTE, 50) == 18
    assert partitions(url) == ["2024_06", "2024_07"]
    writer.write(MINUTES, candles(0, 9), span(0, 9))
    assert [row.candle for row in reader.candles(MINUTES, EVER, 9)] == candles(0, 9)


@ON_POSTGRESQL
def test_a_month_that_somebody_reads_is_deleted_row_by_row(writer: WritableDatabase, url: str) -> None:
    """A reader that stays in its transaction makes nobody wait for longer than some seconds."""
    writer.write(MINUTES, [*candles(0, 90), *candles(MONTH, MONTH + 30)], span(0, MONTH + 30))
    with connected(url) as other:
        assert other.execute(text("SELECT count(*) FROM price_history")).scalar_one() == 120
        assert writer.purge(Interval.MINUTE_1, START + MONTH * MINUTE, 60) == 60
    assert writer.purge(Interval.MINUTE_1, START + MONTH * MINUTE, 60) == 30
    assert partitions(url) == ["2024_06", "2024_07"]
