"""A collector whose machine is banned: streams, history, newest candles, books and new pairs of one process."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_predict.collecting.registry import open_registry
from crypto_predict.errors import Unreachable
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.store import open_writer
from tests.support.databases import new_database
from tests.support.live import binance_of, collecting_here, minutes_of, until
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import Motion
from tests.support.replay.server import Ban, ReplayServer

START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
PAIRS = [Pair(base, "USDT") for base in ("BTC", "ETH", "LTC")]
SPEED = 120.0


def test_a_collector_asks_nothing_of_an_exchange_that_has_banned_this_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every request would make the ban longer, whoever of the process sends it."""
    caplog.set_level(logging.DEBUG, "crypto_predict")
    database, motion = new_database("sqlite", tmp_path), Motion(Clock(START, SPEED), PAIRS)
    with open_writer(database) as writer:
        for pair in PAIRS:
            writer.follow(minutes_of("binance", pair), simulated=False)
    with ReplayServer(BinanceInMotion(motion)) as server, server.failing(ban := Ban(418, 3600)):
        environ = binance_of(server)
        with pytest.raises(Unreachable, match="it has banned this machine"):
            Binance(EXCHANGE.settings(environ)).quote(PAIRS[0])
        with collecting_here(database, motion.clock, environ, "--pair", "BTC/USD"):
            for sign in ("stream interrupted", "is asked again until it answers", "no quote of LTC/USDT"):
                until(lambda sign=sign: sign in caplog.text, sign)  # type: ignore[misc] # mypy cannot infer a default of a lambda
            with open_writer(database) as writer, pytest.raises(Unreachable, match="is not asked before 20"):
                open_registry(writer, environ).add(Pair("ADA", "USD"))
        assert (len(server.requests), ban.early) == (1, [])
