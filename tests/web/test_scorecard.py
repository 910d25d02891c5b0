"""The live record over HTTP."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import Client

from crypto_predict.baked import plain
from crypto_predict.baked.models import Estimate, ModelScore, PairwiseScore
from crypto_predict.baked.schema import (
    Confidence,
    CoverageTest,
    LiveDistribution,
    LiveForecast,
    LiveHourScore,
    LiveModel,
    LiveMonth,
    LiveRecord,
    LiveScore,
    Scorecard,
)
from crypto_predict.market import Pair
from tests.support.applications import client
from tests.support.models import BTC, ETH, TRAINED_AT, blank, make_live_probabilities, make_model, make_touch_score

MADE_AT = datetime(2024, 5, 17, 6, 10, tzinfo=UTC)


def live_forecast(day: int) -> LiveForecast:
    """A forecast for a day in May, and its outcome."""
    made_at, target = MADE_AT - timedelta(days=17 - day), date(2024, 5, day)
    prices = {"prediction": 66_500.25, "low": 64_000.0, "high": 69_000.5, "persistence": 66_400.0, "actual": 66_900.5}
    return LiveForecast(made_at=made_at, build="0.3.1-20240517061000", target=target, horizon_days=1, **prices)


SCORE = ModelScore(
    horizon_days=1,
    forecasts=60,
    relative_mae=Estimate(1.0, 0.99, 1.01),
    relative_crps=Estimate(0.98, 0.95, 1.01),
    winkler=Estimate(0.09, 0.08, 0.1),
    relative_winkler=None,
    coverage_50=Estimate(0.5, 0.4, 0.6),
    coverage_80=Estimate(0.8, 0.75, 0.85),
    coverage_90=Estimate(1.0, None, None),
    pit=(0.1,) * 10,
    pit_p_value=None,
    p_value=0.21,
    words="nobody can say whether it or persistence is better at 1 day, p = 0.21",
)
MODELS = (
    LiveModel("combined", MADE_AT - timedelta(days=60), MADE_AT, 240, 128, (SCORE,)),
    LiveModel("mine", MADE_AT - timedelta(days=9), MADE_AT - timedelta(days=8), 4, 4, ()),
)
PROBABILITIES = make_live_probabilities()
PAIRWISE = (
    PairwiseScore("combined", "garch", 1, 60, Estimate(0.9, 0.8, 0.98), 0.02, "combined is better than garch at 1 day"),
    PairwiseScore("combined", "mine", 1, 1, None, None, "combined cannot be compared with mine at 1 day"),
)
DUE = LiveRecord(
    since=MADE_AT - timedelta(days=60),
    releases=240,
    due=5_100,
    days=60,
    hindsight=0,
    pending=2_100,
    overdue=120,
    mae=0.0421,
    relative_mae=0.98,
    skill=0.02,
    coverage=0.81,
    coverage_confidence=None,
    winkler=0.21,
    distribution=LiveDistribution(1_200, 0.031, 0.48, 0.91, 0.97, 0.95, (0.1,) * 10),
    probabilities=PROBABILITIES,
    by_horizon=(
        LiveScore(
            horizon_days=1,
            due=240,
            days=60,
            mae=0.021,
            relative_mae=0.99,
            skill=0.01,
            coverage=0.8,
            coverage_confidence=Confidence(0.7, 0.9),
            winkler=0.09,
            distribution=LiveDistribution(60, 0.01, 0.5, 0.9, None, None, (0.1,) * 10),
            probabilities=PROBABILITIES,
        ),
        LiveScore(30, 124, 31, 0.0, None, None, 1.0, None, 0.4, None, None),
    ),
    months=(
        LiveMonth(date(2024, 5, 1), 1, None, 68, 17, Estimate(0.8, 0.6, 1.0)),
        LiveMonth(date(2024, 5, 1), None, 6, 68, 17, Estimate(1.0, None, None)),
    ),
    lately=(CoverageTest(1, date(2024, 3, 19), 240, 60, Estimate(0.8, 0.7, 0.9), 0.97),),
    latest=(live_forecast(17), live_forecast(16)),
    words="5,100 forecasts of 60 days came due: error 0.98 of persistence's, 81 % inside the 80 % interval",
    models=MODELS,
    pairwise=PAIRWISE,
    hours=(
        blank(LiveHourScore, horizon_hours=1, due=240, relative_mae=0.99, probabilities=PROBABILITIES),
        blank(LiveHourScore, horizon_hours=24, due=236, coverage_confidence=Confidence(0.7, 0.9)),
    ),
    touches=(make_touch_score(None, 6), make_touch_score(7)),
)
NOTHING: dict[str, Any] = dict.fromkeys(
    ("mae", "relative_mae", "skill", "coverage", "coverage_confidence", "winkler", "distribution", "probabilities")
)
NOTHING |= {"releases": 1, "due": 0, "days": 0, "pending": 30, "overdue": 0, "by_horizon": (), "latest": ()}
NOTHING |= {"models": MODELS[1:], "pairwise": (), "hours": (), "touches": (), "months": (), "lately": ()}
NONE_DUE = replace(DUE, **NOTHING, words="no forecast has come due yet")
SCORECARD = Scorecard(
    entries=301, head="0123456789abcdef" * 4, pairs={BTC: DUE, ETH: NONE_DUE}, simulated={Pair("DOGE", "USD"): DUE}
)
EMPTY = Scorecard(entries=0, head="0" * 64, pairs={}, simulated={})


def client_of(scorecard: Scorecard = SCORECARD) -> Client:
    return client(replace(make_model(BTC, ETH), scorecard=scorecard), lambda: TRAINED_AT + timedelta(hours=1))


CLIENT = client_of()


@pytest.mark.parametrize("scorecard", [SCORECARD, EMPTY], ids=["due", "empty"])
def test_the_scorecard_is_served_as_it_was_baked(scorecard: Scorecard) -> None:
    """Every figure of it, down to the last digit."""
    served = json.loads(client_of(scorecard).get("/scorecard").data)
    assert plain.decode(Scorecard, served) == scorecard
    assert served == plain.encode(scorecard)


def test_a_record_of_invented_prices_is_marked_even_if_the_model_has_real_ones() -> None:
    """A ledger may hold forecasts of a simulated market from before the first of a real one."""
    marked = "Crypto-Predict-Simulated"
    assert CLIENT.get("/scorecard").headers[marked] == "true"
    assert marked not in client_of(EMPTY).get("/scorecard").headers
    assert marked not in CLIENT.get("/model").headers
