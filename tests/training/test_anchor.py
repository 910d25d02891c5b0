"""The newest price: over real HTTP from the replay server, through the training, to the answers of the server."""

import logging
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from aiohttp import web

from crypto_predict.baked import store
from crypto_predict.baked.schema import Anchor, Model
from crypto_predict.command_line import exit_code
from crypto_predict.errors import Refused
from crypto_predict.market import DAY, Candle, Interval, Pair, Span
from crypto_predict.sources.simulated import Simulated
from crypto_predict.training import pipeline
from crypto_predict.training.options import read_settings
from tests.support.histories import START, as_csv, make_candle, make_history, wandering
from tests.support.replay import server as replay
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.server import Answer, Handler, ReplayServer
from tests.support.serving import serving
from tests.support.training import QUICK

BTC = Pair("BTC", "USD")
HOUR = Interval.HOUR_1.length
DAYS = 200
TODAY = START + DAYS * DAY
NOW = TODAY + timedelta(hours=9, minutes=20)
LAST_CLOSE = wandering(DAYS - 1)
DAILY = Anchor(TODAY, LAST_CLOSE)


def hourly(count: int, factor: float = 1.002) -> list[Candle]:
    """Return `count` hours from the last daily close on; each opens at the previous close and moves by `factor`."""
    closes = [LAST_CLOSE * factor**n for n in range(count + 1)]
    return [make_candle(TODAY + n * HOUR, closes[n + 1], closes[n]) for n in range(count)]


def exchange(hours: Sequence[Candle]) -> ReplayServer:
    """Serve daily candles, the newest of which is not closed yet, and these hourly ones."""
    days = [make_candle(START + n * DAY, wandering(n), wandering(n - 1)) for n in range(DAYS + 1)]
    return ReplayServer(AlpacaExchange({(BTC, "1Day"): days, (BTC, "1Hour"): hours}))


def trained(server: ReplayServer, folder: Path, *options: str, now: datetime = NOW) -> Model:
    """Train at this moment and return the model written."""
    output = folder / "model.pkl"
    environ = {"SOURCE": "alpaca", "ALPACA_DATA_URL": server.url, "SOURCE_DATE_EPOCH": str(int(now.timestamp()))}
    settings, _ = read_settings(["--days", str(DAYS), *QUICK, "--output", str(output), *options], environ)
    pipeline.train(settings, now)
    return store.load(output)


def anchors(model: Model) -> set[Anchor]:
    """Return the anchors in the forecast and in the card; they must be equal."""
    return {model.forecasts[BTC].anchor, model.card.pairs[BTC].anchor}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model trained at twenty past nine, when nine hours have closed."""
    folder = tmp_path_factory.mktemp("fresh")
    with exchange(hourly(10)) as server:
        trained(server, folder)
    return folder


def test_the_forecast_starts_at_the_last_closed_hour(fresh: Path) -> None:
    """The open hour is not used."""
    model = store.load(fresh / "model.pkl")
    assert anchors(model) == {Anchor(TODAY + 9 * HOUR, hourly(9)[-1].close)}
    assert model.forecasts[BTC].last_close == LAST_CLOSE
    tomorrow = model.card.pairs[BTC].forecast[0]
    assert tomorrow.prediction == pytest.approx(LAST_CLOSE * 1.002**9, rel=1e-3)
    assert '"anchor":{"at":"2021-07-20T09:00:00Z"' in (fresh / "model.ledger.jsonl").read_text()


def test_answers_between_close_anchor_and_next_close_match_the_model(fresh: Path) -> None:
    """Prices are known from the last close to the anchor; after it the interval widens."""
    forecast = store.load(fresh / "model.pkl").forecasts[BTC]
    anchor, quantiles = forecast.anchor.price, forecast.forecast_quantiles[0]
    with serving(fresh / "model.pkl") as server:
        between, newest, later, close = (
            requests.get(f"{server.url}/bitcoin?date=2021-07-20{time}", timeout=30).json()
            for time in ("T04:30:00Z", "T09:00:00Z", "T16:30:00Z", "")
        )
    assert [between[key] for key in list(between)[1:]] == [round(math.sqrt(LAST_CLOSE * anchor), 2)] * 3
    assert [newest[key] for key in list(newest)[1:]] == [round(anchor, 2)] * 3
    assert close["prediction"] == pytest.approx(anchor, rel=1e-3)
    assert later["prediction"] == pytest.approx(math.sqrt(anchor * close["prediction"]), rel=1e-6)
    assert later["prediction low"] == pytest.approx(
        later["prediction"] * math.exp(quantiles[1] / math.sqrt(2)), rel=1e-6
    )
    assert close["prediction_high"] == pytest.approx(close["prediction"] * math.exp(quantiles[-2]), rel=1e-6)


def crash(left: float) -> Candle:
    """Return an hour in which the price falls to this share, continuously and with a high volume."""
    return make_candle(TODAY + 8 * HOUR, left * LAST_CLOSE, hourly(8)[-1].close)


@pytest.mark.parametrize(
    ("hours", "now", "newest"),
    [
        (hourly(7)[:3] + hourly(7)[5:], NOW, Anchor(TODAY + 7 * HOUR, hourly(7)[-1].close)),
        (hourly(1), TODAY + timedelta(minutes=30), DAILY),
        *(([*hourly(8), crash(left)], NOW, Anchor(TODAY + 9 * HOUR, crash(left).close)) for left in (0.6, 0.1)),
    ],
    ids=["hours without trades", "just after midnight", "a fall within the hour", "a crash within the hour"],
)
def test_the_last_closed_hour_with_a_trade_has_the_newest_price(
    hours: list[Candle], now: datetime, newest: Anchor, tmp_path: Path
) -> None:
    with exchange(hours) as server:
        assert anchors(trained(server, tmp_path, now=now)) == {newest}


def test_hours_are_only_requested_if_until_is_not_in_the_past(tmp_path: Path) -> None:
    with exchange(hourly(10)) as server:
        model = trained(server, tmp_path, "--until", "2021-07-16")
        assert {request.query["timeframe"] for request in server.requests} == {"1Day"}
        assert anchors(model) == {Anchor(TODAY - 3 * DAY, wandering(DAYS - 4))}
        model = trained(server, tmp_path, "--until", "2021-07-20")
    assert anchors(model) == {Anchor(TODAY + 9 * HOUR, hourly(9)[-1].close)}


def test_a_file_provides_no_hours_and_the_simulated_market_does(tmp_path: Path) -> None:
    """The open day in the file is not used either."""
    (tmp_path / "prices.csv").write_text(as_csv(make_history(DAYS + 1)))
    with exchange(hourly(10)) as server:
        model = trained(server, tmp_path, "--pair", "BTC/USD", "--source", f"file:{tmp_path}/prices.csv")
        assert anchors(model) == {DAILY}
        model = trained(server, tmp_path, "--source", "simulated")
        assert server.requests == []
    newest = next(iter(Simulated(0).candles(BTC, Interval.HOUR_1, Span(TODAY + 8 * HOUR, TODAY + 9 * HOUR))))
    assert anchors(model) == {Anchor(TODAY + 9 * HOUR, newest.close)}


def ticked(factor: float) -> Candle:
    """Return an hour with usual volume and the last trade in another unit."""
    hour = hourly(9)[-1]
    close = factor * hour.close
    return hour._replace(close=close, high=max(hour.high, close), low=min(hour.low, close), volume=hour.volume / 24)


@pytest.mark.parametrize(
    ("hour", "reason"),
    [
        *((ticked(factor), "jump: the hour of 2021-07-20 08:00") for factor in (10, 0.1)),
        *(  # all prices in another unit
            (
                make_candle(TODAY + 8 * HOUR, factor * LAST_CLOSE, factor * LAST_CLOSE),
                "jump: the hour of 2021-07-20 08:00",
            )
            for factor in (10, 0.1)
        ),
        (hourly(9)[-1]._replace(close=2 * hourly(9)[-1].high), "the hour of 2021-07-20 08:00 is impossible: "),
    ],
)
def test_an_implausible_hour_is_refused_and_without_the_gate_not_used(
    hour: Candle, reason: str, tmp_path: Path
) -> None:
    """A forecast that starts at one bad tick would be wrong on every day."""
    with exchange([*hourly(8), hour]) as server:
        with pytest.raises(Refused) as refusal:
            trained(server, tmp_path)
        assert exit_code(refusal.value) == 4
        assert refusal.value.reasons[0].startswith(f"BTC/USD: alpaca: {reason}")
        assert list(tmp_path.iterdir()) == []
        model = trained(server, tmp_path, "--no-gate")
    assert anchors(model) == {DAILY}
    assert model.card.gate.reasons[0].startswith(f"BTC/USD: {reason}")


def test_without_hours_the_forecast_starts_at_the_last_daily_close(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The release is only less fresh, which a warning reports."""
    refuse = replay.refused(404, "not found")

    async def refuse_hours(request: web.Request, handler: Handler) -> Answer:
        return await (refuse(request, handler) if request.query["timeframe"] == "1Hour" else handler(request))

    with exchange(hourly(10)) as server, caplog.at_level(logging.WARNING):
        server.inject(refuse_hours, times=20)
        assert anchors(trained(server, tmp_path)) == {DAILY}
    assert "BTC/USD: no hourly candles, the forecast starts at the last daily close: alpaca: " in caplog.text
