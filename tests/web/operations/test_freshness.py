"""A model is stale if it or the newest price is too old."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from crypto_predict.baked.schema import Anchor, Model
from crypto_predict.web.model.freshness import facts_of, freshness
from tests.support.applications import client
from tests.support.models import BTC, ETH, TRAINED_AT, make_forecast, make_model

LIMIT = timedelta(hours=24)
ANCHOR = make_forecast().anchor.at  # ten minutes before the training


def ask(model: Model, now: datetime) -> tuple[int, dict[str, object]]:
    answer = client(model, lambda: now).get("/fresh")
    return answer.status_code, json.loads(answer.data)


def test_a_fresh_model_is_reported_with_both_ages_and_their_limit() -> None:
    ages = {"age_seconds": 86_400 - 647, "candle_age_seconds": 86_400, "stale_after_seconds": 86_400}
    expected = {"status": "fresh", **ages, "simulated": False, "training": None}
    assert ask(make_model(), ANCHOR + LIMIT) == (200, expected)


@pytest.mark.parametrize(
    ("trained_ago", "verdict"),
    [
        (timedelta(minutes=5), "the newest price is too old: the model was trained 5 minutes ago"),
        (timedelta(days=3), "the model and the newest price are too old: the model was trained 3 days ago"),
    ],
)
def test_a_model_of_old_prices_is_stale_even_if_just_trained(trained_ago: timedelta, verdict: str) -> None:
    """A training that finds no new candle succeeds, so its time alone does not prove new prices."""
    now = ANCHOR + timedelta(days=148)
    status, body = ask(make_model(trained_at=now - trained_ago), now)
    assert status == 503
    assert body["detail"] == f"{verdict}, the newest price is 148 days old; the limit is 24 hours"
    assert (body["age_seconds"], body["candle_age_seconds"]) == (trained_ago.total_seconds(), 148 * 86_400)
    assert body["simulated"] is False


def test_an_old_model_of_new_prices_is_stale() -> None:
    """A clock that runs ahead where the history was read must not hide the age of the model."""
    status, body = ask(make_model(last=date(2024, 5, 20)), TRAINED_AT + LIMIT + timedelta(seconds=1))
    assert status == 503
    assert str(body["detail"]).startswith("the model is too old: the model was trained 24 hours ago, ")


def test_the_oldest_newest_price_of_several_pairs_counts() -> None:
    """No answer may be older than reported."""
    model = make_model(BTC, ETH)
    old = Anchor(at=model.forecasts[ETH].last_close_time, price=3_000.0)
    model.forecasts[ETH] = make_forecast(anchor=old)
    assert facts_of(model).newest_price == old.at
    assert freshness(facts_of(model), old.at + timedelta(days=2), LIMIT).candle_age_seconds == 2 * 86_400


def test_a_retrain_each_six_hours_never_lets_a_model_become_stale() -> None:
    """The hourly anchor counts, not the daily close, which is 30 hours old before the next training replaces it."""
    trained_at = datetime.fromisoformat("2024-05-18T23:50:00Z")
    model = make_model(trained_at=trained_at)
    model.forecasts[BTC] = make_forecast(anchor=Anchor(at=trained_at.replace(minute=0), price=67_000.0))
    next_training = trained_at + timedelta(hours=6)
    assert next_training - model.forecasts[BTC].last_close_time > LIMIT
    assert ask(model, next_training)[0] == 200


STALE = "Crypto-Predict-Stale"
ANSWERS = (
    *("/bitcoin?date=2024-06-01", "/bitcoin?date=2024-06-01T12:00Z", "/forecast/BTC-USD", "/model", "/version"),
    *(
        "/pairs",
        "/probability/BTC-USD?date=2024-06-01&above=60000",
        "/risk/BTC-USD",
        "/scorecard",
        "/",
        "/page/BTC-USD.json",
    ),
)


@pytest.mark.parametrize("path", ANSWERS)
def test_the_answers_of_a_stale_model_are_marked(path: str) -> None:
    """A program that reads one price must not have to ask for `/fresh`; one from a cache is no exception."""
    now = ANCHOR + LIMIT - timedelta(seconds=20.5)
    served = client(make_model(), lambda: now)
    fresh = served.get(path)
    assert STALE not in fresh.headers
    if fresh.headers["Cache-Control"] != "no-cache":
        assert fresh.headers["Cache-Control"] == "public, max-age=21"
        now += timedelta(seconds=20.5)
        assert STALE not in served.get(path).headers
    now = ANCHOR + LIMIT + timedelta(seconds=1)
    stale = served.get(path)
    assert (stale.status_code, stale.headers[STALE]) == (200, "true")
    unchanged = served.get(path, headers={"If-None-Match": stale.headers["ETag"]})
    assert (unchanged.status_code, unchanged.headers[STALE]) == (304, "true")
    assert served.get("/readyz").status_code == 200, "an outage would be worse than an old forecast"


def test_a_pair_with_new_prices_is_not_marked_for_another_one() -> None:
    """Of many collected pairs one may no longer be traded."""
    old = replace(make_forecast(), anchor=Anchor(ANCHOR - timedelta(days=30), 100.0))
    model = make_model(BTC, ETH)
    served = client(replace(model, forecasts=model.forecasts | {ETH: old}), lambda: TRAINED_AT)
    marked = [path for path in (*ANSWERS, "/forecast/ETH-USD", "/page/ETH-USD/") if STALE in served.get(path).headers]
    assert marked == ["/model", "/version", "/pairs", "/scorecard", "/forecast/ETH-USD", "/page/ETH-USD/"]
