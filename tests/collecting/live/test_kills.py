"""A live collector that is killed at any moment: once it runs again, every candle is there once and unchanged.

``KILLS=50`` kills as many processes on each kind of database; a few are enough for every day.
"""

import os
import random
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.store import open_reader
from tests.support.databases import KINDS, new_database
from tests.support.forecasting import outcomes, scored
from tests.support.live import binance_of, collecting_apart, collecting_here, minutes_of, stored, until
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, Motion, Traits
from tests.support.replay.server import ReplayServer

pytestmark = pytest.mark.repeats

KILLS = int(os.environ.get("KILLS", "2"))
SPEED = 60.0  # a minute of the market in a second
SECONDS = 5.0  # it has filled its history by then, and streams since about two
START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
BEGIN = datetime(2024, 5, 10, tzinfo=UTC)
PAIRS = (Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("SOL", "USDT"))
NAMED = ("--pair", ",".join(map(str, PAIRS)))


@pytest.mark.timeout(300 + 20 * KILLS)
@pytest.mark.parametrize("kind", KINDS)
def test_after_kills_while_it_streams_and_backfills_every_candle_is_there_once(kind: str, tmp_path: Path) -> None:
    """The moments are spread from the start of the process to long after its history is there."""
    moments, kills, databases = random.Random(kind), 0, 0
    while kills < KILLS:
        databases += 1
        (tmp_path / str(databases)).mkdir()
        database = new_database(kind, tmp_path / str(databases))
        motion = Motion(Clock(START, SPEED), PAIRS, databases, BEGIN, Traits(holes=0.01))
        with ReplayServer(BinanceInMotion(motion)) as server:
            for _ in range(min(5, KILLS - kills)):
                with (
                    collecting_apart(database, motion.clock, binance_of(server), *NAMED) as process,
                    pytest.raises(subprocess.TimeoutExpired),
                ):
                    process.wait(moments.uniform(0, SECONDS))
                kills += 1
            end = Interval.MINUTE_1.floor(motion.now()) + 2 * MINUTE
            with collecting_here(database, motion.clock, binance_of(server), *NAMED):
                until(lambda: motion.now() > end + timedelta(seconds=30))  # noqa: B023 called in this turn
                for pair in PAIRS:
                    span, series = Span(BEGIN, end), minutes_of("binance", pair)
                    truth = motion.truth(pair, span)
                    until(lambda: stored(database, series, span) == truth, f"all of {pair}")  # noqa: B023 called in this turn
                # Also if the machine is so busy that no process before has come so far.
                until(lambda: forecasts_are_scored(database), "forecasts are scored")  # noqa: B023 called in this turn
        with open_reader(database) as reader:
            for pair in PAIRS:
                series = minutes_of("binance", pair)
                assert reader.revisions(series, span) == [], "a candle was first stored with others"
                possible = {horizon: len(errors) for horizon, errors in outcomes(reader, series).items()}
                for horizon, count in scored(reader.minute_records().get(series)).items():
                    assert count <= possible[horizon], "an outcome counts twice"


def forecasts_are_scored(database: str) -> bool:
    with open_reader(database) as reader:
        return len(reader.minute_records()) == len(PAIRS)
