"""From an exchange's history to an answered request: real SDK, real HTTP, real training, real server."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.load import running
from crypto_predict.history import SETTLE
from crypto_predict.market import Interval
from tests.support.histories import make_candle, wandering
from tests.support.models import BTC
from tests.support.processes import Finished, forked_training
from tests.support.replay import server as replay
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.server import ReplayServer

REAL = Path("../shared/data/binance_BTC-USDT_1d.csv")
DAYS = 500  # closed candles
SPARSE = ("--every", "60")  # cutoffs
FOUR_KEYS = ["date", "prediction", "prediction low", "prediction_high"]


def train(*arguments: str, **environ: str) -> Finished:
    return forked_training(*arguments, environ=environ)


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return json.load(answer)


def open_day() -> datetime:
    """The opening of the newest candle that is not closed and settled yet."""
    return Interval.DAY_1.floor(datetime.now(UTC) - SETTLE)


@pytest.fixture
def exchange() -> Iterator[ReplayServer]:
    """Daily candles up to today's, which is not closed yet, in short pages; the first answers fail."""
    today = open_day()
    candles = [make_candle(today - timedelta(days=DAYS - n), wandering(n), wandering(n - 1)) for n in range(DAYS + 1)]
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): candles}, rows=(130, 420))) as server:
        server.inject(replay.refused(500, "internal server error"))
        server.inject(replay.answer(200, "<html>busy</html>", "text/html"))
        yield server


def test_two_releases_of_an_exchange_are_served_as_they_were_baked(exchange: ReplayServer, tmp_path: Path) -> None:
    """Forty days apart: every forecast of the first has come due, and the second publishes the scores.

    The exchange fails twice and has short pages; the candle that is still open is not fitted.
    """
    model, today = tmp_path / "model.pkl", open_day()
    then, yesterday = today - timedelta(days=40), today - timedelta(days=1)
    history = ("--source", "alpaca,simulated", "--output", str(model), "--json", *SPARSE)
    first = train(
        *(*history, "--until", f"{then - timedelta(days=1):%Y-%m-%d}"),
        ALPACA_DATA_URL=exchange.url,
        SOURCE_DATE_EPOCH=str(int(then.timestamp()) + 600),
    )
    assert first.code == 0, first.errors
    ledger = ("--ledger", str(tmp_path / "model.ledger.jsonl"), "--champion", str(model))
    second = train(*history, *ledger, ALPACA_DATA_URL=exchange.url)
    assert second.code == 0, second.errors
    if today != open_day():
        pytest.skip("midnight passed during the training")
    tomorrow = today + timedelta(days=1)
    with running(["api.py", "--model", str(model), "--host", "127.0.0.1"], "/readyz") as server:
        card, scorecard = get(server.port, "/model"), get(server.port, "/scorecard")
        answer = get(server.port, f"/bitcoin?date={tomorrow:%Y-%m-%d}")
    assert list(answer) == FOUR_KEYS
    assert answer["date"] == f"{tomorrow:%a, %d %b %Y} 00:00:00 GMT"
    assert answer["prediction low"] < answer["prediction"] < answer["prediction_high"]
    assert answer["prediction"] == pytest.approx(wandering(DAYS - 1), rel=0.1)
    assert card == json.loads(second.output)["card"]
    facts = card["pairs"]["BTC/USD"]
    assert (facts["source"], facts["simulated"], facts["candles"]) == ("alpaca", False, DAYS)
    assert facts["last"] == yesterday.isoformat().replace("+00:00", "Z")
    assert [score["horizon_days"] for score in facts["backtest"]["scores"]] == [1, 7, 30, 90]
    assert (card["gate"]["passed"], card["gate"]["enforced"], card["gate"]["reasons"]) == (True, True, [])
    record = scorecard["pairs"]["BTC/USD"]
    assert (record["releases"], record["due"], record["pending"], record["hindsight"]) == (2, 30, 30, 0)
    assert record["words"].startswith("30 forecasts of 30 days came due: error ")
    assert [forecast["horizon_days"] for forecast in record["latest"]] == list(range(30, 0, -1))
    assert record["latest"][0]["actual"] == wandering(DAYS - 40 + 29)
    assert scorecard["head"] == json.loads((tmp_path / "model.ledger.jsonl").read_text().splitlines()[-1])["sha256"]


def test_real_history_is_answered_with_exactly_the_four_keys(tmp_path: Path) -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL} does not exist")
    model = str(tmp_path / "model.pkl")
    run = train("--pair", "BTC/USD", "--source", f"file:{REAL}", "--until", "2025-06-30", "--output", model, *SPARSE)
    assert run.code == 0, run.errors
    with running(["api.py", "--model", model, "--host", "127.0.0.1"], "/readyz") as server:
        past = get(server.port, "/bitcoin?date=2024-06-01")
        future = get(server.port, "/bitcoin?date=2025-07-01")
    assert list(past) == list(future) == FOUR_KEYS
    assert past["date"] == "Sat, 01 Jun 2024 00:00:00 GMT"
    assert past["prediction low"] < 67_766.85 < past["prediction_high"]  # the actual close of Bitcoin
    assert future["prediction"] == pytest.approx(107_146.5, rel=0.03)
