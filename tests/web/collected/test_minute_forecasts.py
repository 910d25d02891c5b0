"""``/forecast/{pair}/minutes``, and the member `minutes` of ``/scorecard``, of real databases."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.collected import DELISTED, STOPPED, ForecastStep, StreamSpan, StreamState
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD
from crypto_predict.store import WritableDatabase, open_writer
from crypto_predict.web.collected.minutes_ahead import OLDEST
from crypto_predict.web.collected.minutes_past import TABLE
from crypto_predict.web.model.snapshots import STORED_AFTER
from tests.support.applications import client, problem
from tests.support.minutes import KEEP, MINUTE, MINUTES, START, candle, forecast, scores, step
from tests.support.models import BTC, make_model

ADDRESS = "/forecast/BTC-USDT/minutes"
SECOND = timedelta(seconds=1)
NOW = START + 10 * MINUTE  # the newest close
LATE = NOW + 10 * SECOND
INVENTED = dataclasses.replace(MINUTES, source="simulated")


@pytest.fixture
def writer(own_url: str) -> Iterator[WritableDatabase]:
    """A database with ten candles of real prices, without forecasts, and a stream that is connected."""
    with open_writer(own_url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write_closed({MINUTES: [candle(minute) for minute in range(10)]})
        connect(writer, LATE)
        yield writer


def connect(writer: WritableDatabase, end: datetime, state: StreamState = StreamState.CONNECTED) -> None:
    reason = "" if state is StreamState.CONNECTED else "no message for 45 s"
    writer.write_streams(MINUTES.source, [MINUTES.pair], StreamSpan(Span(START, end), state, reason))


@pytest.fixture
def served(own_url: str) -> Client:
    return at(own_url, LATE)


def at(url: str, now: datetime) -> Client:
    return client(make_model(BTC), lambda: now, database=url)


def read(response: TestResponse) -> dict[str, Any]:
    assert (response.status_code, response.content_type) == (200, "application/json"), response.data
    return dict(json.loads(response.data))


def test_the_newest_forecast_is_answered(writer: WritableDatabase, served: Client) -> None:
    """Point, 80 % interval and every quantile of each minute ahead, in ten digits."""
    writer.write_forecasts({MINUTES: [step(9), step(10)]}, KEEP)
    answer = read(served.get(ADDRESS))
    stored = forecast(10)
    head = {"pair": "BTC/USDT", "source": "binance", "simulated": False, "cutoff": "2024-05-17T00:10:00Z"}
    assert {name: answer[name] for name in head} == head
    assert answer["price"] == stored.price
    for horizon in (1, 5, 15):
        assert read(served.get(f"{ADDRESS}?horizon={horizon}"))["forecast"] == answer["forecast"][:horizon]
    assert [row["minutes"] for row in answer["forecast"]] == list(range(1, MINUTES_AHEAD + 1))
    for row, point, quantiles in zip(answer["forecast"], stored.points, stored.quantiles, strict=True):
        assert row["time"] == f"2024-05-17T00:{10 + row['minutes']}:00Z"
        assert row["prediction"] == pytest.approx(point, rel=2e-7)
        assert list(row["quantiles"]) == [str(level) for level in LEVELS]
        assert list(row["quantiles"].values()) == pytest.approx(quantiles, rel=2e-7)
        assert (row["low"], row["high"]) == (row["quantiles"]["0.1"], row["quantiles"]["0.9"])
        assert all(len(str(price).replace(".", "")) <= 10 for price in row["quantiles"].values())


def test_one_read_answers_all_requests_up_to_the_next_close(writer: WritableDatabase, own_url: str) -> None:
    """The forecast after it cannot exist before that close, and is answered from then on."""
    clock = [LATE]
    served = client(make_model(BTC), lambda: clock[-1], database=own_url)
    writer.write_forecasts({MINUTES: [step(10)]}, KEEP)
    first = read(served.get(ADDRESS))
    writer.write_forecasts({MINUTES: [step(11)]}, KEEP)
    clock.append(NOW + MINUTE - SECOND)
    assert read(served.get(ADDRESS)) == first
    clock.append(NOW + MINUTE)
    assert (first["cutoff"], read(served.get(ADDRESS))["cutoff"]) == ("2024-05-17T00:10:00Z", "2024-05-17T00:11:00Z")


def test_a_pair_may_be_written_with_a_slash(writer: WritableDatabase, served: Client) -> None:
    """Its path ends like that of the daily forecast of another address, which stays one."""
    writer.write_forecasts({MINUTES: [step(10)]}, KEEP)
    expected = served.get(ADDRESS).data
    for path in ("/forecast/BTC/USDT/minutes", "/forecast/btc%2Fusdt/minutes"):
        assert served.get(path).data == expected
    for path in ("/forecast/BTC/USD", "/forecast/BTC-USD"):
        assert len(json.loads(served.get(path).data)) == 30


def test_an_invented_forecast_says_so_and_a_real_one_comes_first(writer: WritableDatabase, served: Client) -> None:
    writer.follow(INVENTED, simulated=True)
    writer.write_closed({INVENTED: [candle(minute) for minute in range(10)]})
    writer.write_forecasts({MINUTES: [step(10)], INVENTED: [step(9)]}, KEEP)
    real, invented = served.get(ADDRESS), served.get(f"{ADDRESS}?source=simulated")
    assert "Crypto-Predict-Simulated" not in real.headers
    assert invented.headers["Crypto-Predict-Simulated"] == "true"
    assert [read(test_response)[name] for test_response in (real, invented) for name in ("source", "simulated")] == [
        *("binance", False),
        *("simulated", True),
    ]


def test_an_answer_may_be_cached_until_the_next_forecast_is_stored(writer: WritableDatabase, own_url: str) -> None:
    """Its entity tag changes with the candle."""
    writer.write_forecasts({MINUTES: [step(10)]}, KEEP)
    assert timedelta(seconds=2) == STORED_AFTER
    for now, expected in (
        (NOW, "public, max-age=60"),
        (LATE, "public, max-age=52"),
        (NOW + MINUTE + SECOND, "public, max-age=1"),
        (NOW + MINUTE + 2 * SECOND, "no-cache"),
    ):
        assert at(own_url, now).get(ADDRESS).headers["Cache-Control"] == expected
    served = at(own_url, LATE + MINUTE)
    condition = {"If-None-Match": served.get(ADDRESS).headers["ETag"]}
    assert served.get(ADDRESS, headers=condition).status_code == 304
    writer.write_forecasts({MINUTES: [step(11)]}, KEEP)
    assert read(served.get(ADDRESS, headers=condition))["cutoff"] == "2024-05-17T00:11:00Z"


@pytest.mark.parametrize(("pair", "query"), [("DOGE-USD", ""), ("ETH-USD", ""), ("BTC-USD", "?source=alpaca")])
def test_minutes_that_are_not_collected_are_not_found(pair: str, query: str, url: str) -> None:
    """The model may have the pair, the database does not."""
    answer = problem(at(url, LATE).get(f"/forecast/{pair}/minutes{query}"), 404)
    assert answer["parameter"] == ("source" if query else "pair")


def test_a_forecast_speaks_for_two_minutes(writer: WritableDatabase, own_url: str) -> None:
    """Even if the collector was stopped meanwhile: its cutoff says what it rests on."""
    assert timedelta(minutes=2) == OLDEST
    writer.write_forecasts({MINUTES: [step(10)]}, KEEP)
    assert at(own_url, NOW + OLDEST).get(ADDRESS).status_code == 200
    assert problem(at(own_url, NOW + OLDEST + SECOND).get(ADDRESS), 503)["lag_seconds"] == 121


def test_a_clock_that_is_behind_is_answered(writer: WritableDatabase, own_url: str) -> None:
    """But not with a forecast that a clock far ahead has left."""
    writer.write_forecasts({MINUTES: [step(10)]}, KEEP)
    assert read(at(own_url, NOW - 30 * SECOND).get(ADDRESS))["price"] == forecast(10).price
    writer.write_forecasts({MINUTES: [step(500)]}, KEEP)
    assert read(at(own_url, LATE).get(ADDRESS))["price"] == forecast(10).price


PAST = f"{ADDRESS}/past"


def rows(response: TestResponse) -> list[dict[str, Any]]:
    answer = read(response)
    assert answer["columns"] == list(TABLE.columns)
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["forecasts"]]


def test_past_forecasts_stand_beside_what_happened(writer: WritableDatabase, served: Client) -> None:
    """Each at the close that it was made for; a close that is still to come is null, as is one that is missing."""
    writer.write_forecasts({MINUTES: [step(minute) for minute in (3, 4, 7, 8, 9, 10)]}, KEEP)
    response = served.get(f"{PAST}?horizon=2")
    result = rows(response)
    assert [row["time"] for row in result] == [f"2024-05-17T00:{minute:02}:00Z" for minute in (5, 6, 9, 10, 11, 12)]
    assert [row["cutoff"] for row in result] == [f"2024-05-17T00:{minute:02}:00Z" for minute in (3, 4, 7, 8, 9, 10)]
    assert [row["close"] for row in result] == [*(candle(minute).close for minute in (4, 5, 8, 9)), None, None]
    stored = forecast(7)
    assert [*result[2].values()][3:] == pytest.approx([stored.price, stored.points[1], *stored.quantiles[1]], rel=2e-7)
    assert (read(response)["horizon"], read(response)["source"]) == (2, "binance")
    whole = rows(served.get(PAST))
    assert [row["time"][11:16] for row in whole] == ["00:18", "00:19", "00:22", "00:23", "00:24", "00:25"]


@pytest.mark.parametrize(
    ("state", "seconds", "expected"),
    [
        ("new", 10, (10, "nothing has been forecast yet, for which more candles are needed")),
        ("old forecasts", 10, (310, "its last candles cannot carry a forecast; the newest one is 5 minutes old")),
        ("new", 69, (69, "nothing has been forecast yet, for which more candles are needed")),
        ("new", 70, (70, "the collector does not run")),  # its heartbeat is missing for 60 s
        ("old forecasts", 3_600, (3_900, "the collector does not run")),
        ("disconnected", 10, (10, "the stream of its exchange is disconnected: no message for 45 s")),
        ("without trades", 600, (900, "its last candle closed 10 minutes ago")),
        (STOPPED, 10, (10, "its collection has ended")),
        (DELISTED, 10, (310, "its collection has ended")),
    ],
)
def test_a_refusal_has_the_reason_and_the_lag(
    state: str, seconds: int, expected: tuple[int, str], writer: WritableDatabase, own_url: str
) -> None:
    """It says when to ask again: once the next minute has closed. It is not cached."""
    if state in {"old forecasts", "without trades", DELISTED}:
        writer.write_forecasts({MINUTES: [step(5)]}, KEEP)
    if state == "without trades":  # the forecast would rest on prices of some time ago
        connect(writer, NOW + 10 * MINUTE)
    if state in {STOPPED, DELISTED}:
        writer.set_state(MINUTES, state)
    if state == "disconnected":
        connect(writer, LATE + SECOND, StreamState.DISCONNECTED)
    now = NOW + seconds * SECOND
    response = at(own_url, now).get(ADDRESS)
    result = problem(response, 503)
    reason = result["detail"].removeprefix("the next minutes of BTC/USDT from binance are not forecast: ")
    assert (result["lag_seconds"], reason) == expected
    assert response.headers["Cache-Control"] == "no-store"
    retry = now + int(response.headers["Retry-After"]) * SECOND
    assert retry - STORED_AFTER == Interval.MINUTE_1.floor(now) + MINUTE


def test_a_pair_without_candles_has_no_lag(writer: WritableDatabase, served: Client) -> None:
    """A collector that has just begun."""
    series = dataclasses.replace(MINUTES, pair=Pair("SOL", "USDT"))
    writer.follow(series, simulated=False)
    for state, reason in ((None, "the collector does not run"), (StreamState.CONNECTED, "it has no candles yet")):
        if state is not None:
            writer.write_streams(series.source, [series.pair], StreamSpan(Span(NOW, LATE), state, ""))
        result = problem(served.get("/forecast/SOL-USDT/minutes"), 503)
        assert (result["detail"].partition("not forecast: ")[2], result["lag_seconds"]) == (reason, None)


def test_the_scorecard_has_the_record_of_the_minutes(writer: WritableDatabase, served: Client) -> None:
    """Relative to persistence, by pair and horizon. The part of the model is that of a service without a database."""
    writer.follow(INVENTED, simulated=True)
    writer.write_forecasts({MINUTES: [step(0), step(1, 1), step(2, 1, 2)], INVENTED: [step(0, 15)]}, KEEP)
    response = served.get("/scorecard")
    answer = read(response)
    minutes = answer.pop("minutes")
    assert answer == json.loads(client(make_model(BTC)).get("/scorecard").data)
    shares = {"relative_mae": 0.5, "relative_winkler": 0.5, "relative_crps": 2.0}
    shares |= {"coverage_50": 0.0, "coverage_80": 1.0, "coverage_90": 1.0}
    counts = {1: 2, 2: 1, 15: 1}  # forecasts by horizon
    first, second, third = ({"horizon_minutes": n, "forecasts": count, **shares} for n, count in counts.items())
    series = ("pair", "source", "simulated", "since", "until", "by_horizon")
    since, until, midnight = (f"2024-05-17T00:0{minute}:00Z" for minute in (1, 2, 0))
    assert [tuple(record.items()) for record in minutes] == [
        tuple(zip(series, ("BTC/USDT", "binance", False, since, until, [first, second]), strict=True)),
        tuple(zip(series, ("BTC/USDT", "simulated", True, midnight, midnight, [third]), strict=True)),
    ]
    assert response.headers["Crypto-Predict-Simulated"] == "true"


def test_a_price_that_stood_still_has_no_relative_error(writer: WritableDatabase, served: Client) -> None:
    """Persistence is right then; a quotient would be infinite."""
    still = dataclasses.replace(scores(1), persistence_error=0.0, persistence_crps=0.0)
    writer.write_forecasts({MINUTES: [ForecastStep(None, START, (still,))]}, KEEP)
    ((result,),) = (record["by_horizon"] for record in read(served.get("/scorecard"))["minutes"])
    assert (result["relative_mae"], result["relative_winkler"], result["relative_crps"]) == (None, 0.5, None)


def test_the_scorecard_may_be_cached_until_the_next_outcomes(writer: WritableDatabase, own_url: str) -> None:
    """Its entity tag changes with them. It does not have the date of the model, which is older."""
    clock = [LATE]
    served = client(make_model(BTC), lambda: clock[0], database=own_url)
    writer.write_forecasts({MINUTES: [step(0, 1)]}, KEEP)
    headers = served.get("/scorecard").headers
    assert (headers["Cache-Control"], "Last-Modified" in headers) == ("public, max-age=52", False)
    condition = {"If-None-Match": headers["ETag"]}
    writer.write_forecasts({MINUTES: [step(1, 1)]}, KEEP)
    for now, status in ((LATE + 51 * SECOND, 304), (LATE + 52 * SECOND, 200), (LATE, 200)):
        clock[0] = now
        assert served.get("/scorecard", headers=condition).status_code == status


def test_the_scorecard_of_the_model_is_answered_while_the_database_is_away(tmp_path: Path) -> None:
    """The answer says so, and is not kept."""
    response = at(str(tmp_path / "market.db"), LATE).get("/scorecard")
    answer = read(response)
    assert answer.pop("minutes") is None
    assert answer == json.loads(client(make_model(BTC)).get("/scorecard").data)
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.usefixtures("writer")
def test_a_scorecard_without_minute_forecasts_has_none(served: Client) -> None:
    """An empty list: the database was read."""
    assert read(served.get("/scorecard"))["minutes"] == []
