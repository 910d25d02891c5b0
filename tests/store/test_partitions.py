"""The months of the candles on PostgreSQL, and what becomes of a database with a single table."""

from collections.abc import Sequence
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.store import Database, WritableDatabase, open_reader, open_writer, tables
from crypto_predict.store.migrations import single_table
from crypto_predict.store.partitions import month_of, months_of
from tests.support.databases import PASSWORD, USER, execute, with_user
from tests.support.minutes import EVER, MANY, MINUTES, candle, candles, span
from tests.support.processes import child

ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)
MONTH = 15 * 1440  # the first minute of a month: `START` is its predecessor's seventeenth day
# Makes a single table of the partitions, as databases of schema 0005 have it.
SINGLE = (
    "CREATE TABLE single (LIKE price_history INCLUDING ALL)",
    "INSERT INTO single SELECT * FROM price_history",
    "DROP TABLE price_history",
    "ALTER TABLE single RENAME TO price_history",
    "ALTER INDEX single_pkey RENAME TO price_history_pkey",
    *("DROP TABLE rollups", "DROP TABLE purged", "ALTER TABLE symbols DROP COLUMN unrolled"),
    "UPDATE crypto_predict_schema SET version_num = '0005'",
)


SIZE = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('price_history')"


def partitions(url: str) -> Sequence[str]:
    query = "SELECT CAST(relid AS regclass)::text FROM pg_partition_tree('price_history') WHERE isleaf ORDER BY 1"
    return [name.removeprefix("price_history_") for name in execute(url, query)]


def make_single(url: str) -> None:
    for statement in SINGLE:
        execute(url, statement)


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
