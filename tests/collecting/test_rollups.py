"""The longer candles of what is stored already."""

import dataclasses
import threading

import pytest

from crypto_predict.collecting import rollups
from crypto_predict.market import Interval, Pair, aggregate
from crypto_predict.store import WritableDatabase
from tests.support.collecting import collect_here
from tests.support.databases import execute
from tests.support.minutes import EVER, MANY, MINUTES, START, candles, span

DAY = 1440  # minutes
DAYS = 70
OTHER = dataclasses.replace(MINUTES, pair=Pair("ETH", "USDT"))


@pytest.fixture
def database(database: WritableDatabase, address: str) -> WritableDatabase:
    """Seventy days of minutes of two pairs, one in every twenty, as an earlier version has stored them."""
    for series in (MINUTES, OTHER):
        database.follow(series, simulated=False)
        database.write(series, candles(0, DAYS * DAY)[::20], span(0, DAYS * DAY))
    execute(address, "DELETE FROM rollups")
    execute(address, f"UPDATE symbols SET unrolled = {int(START.timestamp()) + DAYS * 86_400}")
    return database


def rolled(database: WritableDatabase) -> list[bool]:
    expected = [candle[:5] for candle in aggregate(candles(0, DAYS * DAY)[::20], Interval.WEEK_1)]
    for series in (MINUTES, OTHER):
        stored = database.joined(series, Interval.WEEK_1, EVER, MANY)
        assert [row.candle[:5] for row in stored] == expected
    return [collected.is_rolled for collected in database.collected()]


def test_a_collector_makes_the_rollups_that_are_missing(database: WritableDatabase) -> None:
    """A month of one pair at a time. What is stopped continues later."""

    class Stopped(threading.Event):
        """Is set while the collector waits for others."""

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            assert timeout >= rollups.PAUSE
            self.set()
            return super().wait(timeout)

    results = []
    for _ in range(5):
        rollups.complete(database, Stopped())
        results.append(rolled(database))
    assert results == [[False, False], [False, False], [True, False], [True, False], [True, False]]
    rollups.complete(database, Stopped())
    assert rolled(database) == [True, True]


def test_the_command_makes_all_of_them_again(database: WritableDatabase, address: str) -> None:
    """Also those that were there, and only of the pairs that are named."""
    run = collect_here(address, "--rebuild-rollups", "--pair", "ETH/USDT")
    assert (run.code, run.output) == (0, f"{OTHER}: the longer candles of {DAYS} days were made again\n")
    assert rolled(database) == [False, True]
    execute(address, "UPDATE rollups SET high = 1000000")
    run = collect_here(address, "--rebuild-rollups")
    assert (run.code, run.output.count("made again")) == (0, 2), run.errors
    assert rolled(database) == [True, True]
    assert collect_here(address, "--rebuild-rollups", "--pair", "ADA/USDT").code == 2
