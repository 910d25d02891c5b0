"""REST beside the streams, over the real source of Binance: a market in motion, outages, gaps and every order."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.missing import TAIL, WINDOW
from crypto_predict.market import EPOCH, Interval, Span
from crypto_predict.market.clock import Clock
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.binance.settings import BinanceSettings
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.databases import KINDS, new_database
from tests.support.filling import eventually, filling, later, minutes_of, settled, stored
from tests.support.minutes import EVER, MINUTE
from tests.support.replay.binance import BinanceExchange, BinanceInMotion
from tests.support.replay.exchanges import TETHER
from tests.support.replay.minutes import QUICK, START, full_minutes
from tests.support.replay.motion import Motion, numbered_pairs
from tests.support.replay.server import ReplayServer

SERIES = minutes_of("binance", TETHER)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WritableDatabase]:
    """An empty database, once on each kind."""
    with open_writer(new_database(request.param, tmp_path)) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Iterator[WritableDatabase]:
    """An empty database of SQLite."""
    with open_writer(str(tmp_path / "market.db")) as opened:
        yield opened


def source_of(server: ReplayServer) -> dict[str, Binance]:
    return {"binance": Binance(BinanceSettings(server.url), policy=QUICK)}


def test_the_newest_end_and_all_that_was_before_are_stored(database: WritableDatabase) -> None:
    """Two days and what follows while it is asked for."""
    clock = Clock(NOON, speed=120)
    pairs = numbered_pairs(3)
    motion = Motion(clock, pairs, begin=NOON - timedelta(days=2))
    with ReplayServer(BinanceInMotion(motion)) as server, filling(database, source_of(server), clock, pairs):
        end = later(clock, 6)
        wanted = {minutes_of("binance", pair): motion.truth(pair, Span(motion.begin, end)) for pair in pairs}
        eventually(lambda: {series: stored(database, series, end) for series in wanted} == wanted)
    for one in database.collected():
        assert len(database.coverage(one.series)) == 1
        assert (one.gaps, list(database.revisions(one.series, EVER))) == (0, [])


def test_the_newest_end_comes_first_and_then_the_newest_windows(file: WritableDatabase) -> None:
    market = full_minutes(4 * WINDOW)
    clock = Clock(market[-1].open_time + 2 * MINUTE, speed=1)
    with (
        ReplayServer(BinanceExchange({(TETHER, Interval.MINUTE_1): market})) as server,
        filling(file, source_of(server), clock, [TETHER], START),
    ):
        eventually(lambda: stored(file, SERIES) == market)
        asked = [request.query for request in server.requests if request.query["interval"] == "1m"]
    starts = [EPOCH + timedelta(milliseconds=int(query["startTime"])) for query in asked]
    tail = settled(clock) - TAIL * MINUTE
    assert any(start >= tail for start in starts[:2])
    length = WINDOW * MINUTE
    windows = [start for start in starts if (start - EPOCH) % length == timedelta(0)]
    assert len(windows) >= 3
    assert windows == sorted(windows, reverse=True)
