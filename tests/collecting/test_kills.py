"""A backfill that is killed at any moment: after a resume every candle is there once and unchanged.

``KILLS=50`` kills as many processes on each kind of database; a few are enough for every day.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_predict.market import Candle, Interval, Span, resample
from crypto_predict.store import open_reader
from tests.support.collecting import EVER, MINUTES, alpaca_of, collect_here, stored_candles
from tests.support.databases import new_database
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.minutes import BTC, START, minutes
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT, surroundings

KILLS = int(os.environ.get("KILLS", "2"))
SECONDS = 3.0  # about as long as a whole run takes
DAYS = 15
ARGUMENTS = ("--backfill", "--pair", "BTC/USD", "--since", "2023-01-01", "--until", "2023-01-15")
HOLES = (1_000, 1_001, 10_000, 13_000, 13_001, 20_001)  # minutes that the exchange does not have


@pytest.fixture(scope="module")
def market() -> list[Candle]:
    return [candle for number, candle in enumerate(minutes(DAYS * 1440)) if number not in HOLES]


@pytest.fixture(scope="module")
def server(market: list[Candle]) -> Iterator[ReplayServer]:
    days = list(resample(market, Span(START, START + timedelta(days=DAYS)), Interval.DAY_1))
    with ReplayServer(AlpacaExchange({(BTC, "1Min"): market, (BTC, "1Day"): days})) as started:
        yield started


@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_after_kills_at_random_moments_a_resume_has_every_candle_once(
    kind: str, server: ReplayServer, market: list[Candle], tmp_path: Path
) -> None:
    """The moments are spread over the whole of a run, from its start to its end."""
    moments, kills, databases = random.Random(kind), 0, 0
    while kills < KILLS:
        databases += 1
        (tmp_path / str(databases)).mkdir()
        database = new_database(kind, tmp_path / str(databases))
        while kills < KILLS and is_killed(database, moments.uniform(0, SECONDS), alpaca_of(server.url)):
            kills += 1
        assert collect_here(database, *ARGUMENTS, **alpaca_of(server.url)).code == 0
        assert stored_candles(database) == market
        with open_reader(database) as reader:
            result = [(gap.start, gap.missing) for gap in reader.gaps(MINUTES, EVER)]
            expected = [(1_000, 2), (10_000, 1), (13_000, 2), (20_001, 1)]
            assert result == [(START + timedelta(minutes=first), missing) for first, missing in expected]
            assert reader.quarantine(MINUTES, EVER) == []
            assert reader.revisions(MINUTES, EVER) == [], "a candle was stored with other values first"
            assert reader.coverage(MINUTES) == [Span(START, START + timedelta(days=DAYS))]


def is_killed(database: str, after: float, environ: Mapping[str, str]) -> bool:
    """Start a backfill and kill it after so many seconds; return False if it has ended before."""
    command = [sys.executable, "collect.py", *ARGUMENTS, "--database", database]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=surroundings(environ), cwd=ROOT, stdout=quiet, stderr=quiet) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    assert process.returncode == 0
    return False
