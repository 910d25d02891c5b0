"""`api.py --collect`: collector and server in one process, as on a laptop."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from crypto_predict.baked import store
from crypto_predict.market import Interval, Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import Shard
from crypto_predict.sources.catalog import EXCHANGES
from crypto_predict.store import open_writer
from tests.support.clocks import program_at
from tests.support.live import minutes_of, until
from tests.support.models import make_model
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import Motion
from tests.support.replay.server import ReplayServer, refused
from tests.support.serving import run, serving

BTC = Pair("BTC", "USDT")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    store.save(make_model(), path)
    return path


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def test_a_live_candle_and_the_top_of_the_book_are_served(model: Path, tmp_path: Path) -> None:
    """The candle closes after the start, so that no backfill can have brought it. The clock is a fast one."""
    begun = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
    fast = program_at(Clock(begun, 60), "api")
    environ = {"COLLECT": "1", "SOURCE": "simulated", "PAIR": "BTC/USD", "SINCE": f"{begun:%Y-%m-%d}"}
    with serving(model, "--database", str(tmp_path / "market.db"), program=fast, **environ) as served:

        def rows(path: str, member: str) -> list[dict[str, str]]:
            answer = requests.get(f"{served.url}{path}", timeout=30)
            return list(answer.json()[member]) if answer.status_code == 200 else []

        until(lambda: rows("/top-of-book/BTC-USD", "quotes"), "a quote is served")
        live = f"/candles/BTC-USD?interval=1m&start={Interval.MINUTE_1.floor(begun):%Y-%m-%dT%H:%M:%SZ}"
        until(lambda: rows(live, "candles"), "a live candle is served")
        served.signal(signal.SIGTERM)
        assert served.wait() == 0
        assert served.events("stopped collecting"), served.lines
        assert served.events("stopped"), served.lines


def test_the_server_goes_on_while_the_exchange_is_away(model: Path, tmp_path: Path) -> None:
    with ReplayServer(BinanceInMotion(Motion(Clock(), [BTC]))) as exchange:
        exchange.inject(refused(503, "maintenance"), times=10_000)
        with open_writer(str(tmp_path / "market.db")) as writer:
            writer.follow(
                minutes_of("binance", BTC), simulated=False
            )  # so the exchange need not be asked for its pairs
        environ = {"SOURCE": "binance", "BINANCE_API_URL": exchange.url}
        environ |= {"BINANCE_STREAM_URL": exchange.url.replace("http", "ws"), "METRICS_PORT": "0"}
        with serving(model, "--collect", "--database", str(tmp_path / "market.db"), **environ) as served:
            until(lambda: served.events("stream interrupted"))
            assert requests.get(f"{served.url}/bitcoin?date=2024-06-01", timeout=30).status_code == 200
            until(lambda: served.events("serving metrics"))
            address = f"{served.events('serving metrics')[0]['address']}/readyz"
            until(lambda: "its stream is exchange down since" in requests.get(address, timeout=30).text)
            assert requests.get(address, timeout=30).status_code == 503


def test_a_second_collector_ends_with_2_and_names_the_first(model: Path, tmp_path: Path) -> None:
    """It never says that it serves."""
    database = str(tmp_path / "market.db")
    with open_writer(database) as writer, writer.hold_collector(Shard()):
        code, output, errors = run(
            *("--model", str(model), "--port", "0", "--host", "127.0.0.1", "--collect", "--database", database),
            SOURCE="simulated",
        )
    assert code == 2
    assert f"process {os.getpid()} on {os.uname().nodename}" in errors
    assert '"event": "serving"' not in output
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PAIR", "BTCUSD", "environment variable PAIR: 'BTCUSD' is not two currencies such as BTC/USD"),
        (
            "SOURCE",
            "kraken",
            f"environment variable SOURCE: 'kraken' is not one of {', '.join(EXCHANGES)}, simulated",
        ),
        ("KEEP", "1m", "environment variable KEEP: '1m' is not"),
    ],
)
def test_a_bad_variable_is_one_line(variable: str, value: str, expected: str, model: Path, tmp_path: Path) -> None:
    arguments = ("--model", str(model), "--port", "0", "--host", "127.0.0.1", "--database", str(tmp_path / "market.db"))
    code, _, errors = run(*arguments, "--collect", **{variable: value})
    (line,) = errors.splitlines()
    assert code == 2
    assert line.startswith("api.py: error: ")
    assert expected in line


def test_variables_of_other_commands_do_not_matter(model: Path, tmp_path: Path) -> None:
    """`make` users export them for `train.py`."""
    others = {"INTERVAL": "1h", "UNTIL": "2025-06-30", "ONCE": "1", "JSON": "1", "SOURCE": "store,simulated"}
    with serving(model, "--collect", "--database", str(tmp_path / "market.db"), SINCE=today(), **others) as served:
        until(lambda: served.events("stream connected"))
