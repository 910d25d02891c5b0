"""Example requests that a given model can answer, and the answers, for the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Model
from crypto_predict.errors import CryptoPredictError, InvalidValue, OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web import problems, questions
from crypto_predict.web.answers import OutsideModel
from crypto_predict.web.operations.freshness import Freshness
from crypto_predict.web.questions import BitcoinQuestion, ForecastQuestion
from crypto_predict.web.rendering import bitcoin
from crypto_predict.web.snapshots import Snapshot

BITCOIN = {
    "date": "Sat, 01 Jun 2024 00:00:00 GMT",
    "prediction": 56771.78,
    "prediction low": 53746.06,
    "prediction_high": 60034.62,
}
METRICS = """\
# HELP crypto_predict_requests_total Requests answered.
# TYPE crypto_predict_requests_total counter
crypto_predict_requests_total{method="GET",route="/bitcoin",status="200"} 1027.0
"""


def example_start(model: Model) -> date:
    """Return the first day of the future of the first pair."""
    return next(iter(model.forecasts.values())).last + DAY


def example_day(model: Model) -> date:
    """Return a day that lies a month ahead of the model."""
    return example_start(model) + timedelta(days=29)


def example_answers(snapshot: Snapshot) -> dict[str, Any]:
    """Return an answer for each schema, by its name; long lists are cut."""
    answers, model = snapshot.answers, snapshot.answers.model
    pair, start, simulated = answers.held[0], example_start(model), model.card.simulated
    holds_bitcoin = any(held.base == "BTC" for held in answers.held)
    days = answers.forecast(ForecastQuestion(pair, start, start + DAY))
    record = model.scorecard
    scorecard = replace(record, pairs=_first(record.pairs), simulated=_first(record.simulated))
    return {
        "BitcoinPrediction": json.loads(bitcoin(answers.bitcoin(BitcoinQuestion(example_day(model)))).body)
        if holds_bitcoin
        else BITCOIN,
        "ForecastDay": json.loads(snapshot.rendering.forecast(days).body),
        "PairRange": _cut(plain.encode(answers.pairs())),
        "Card": _cut(plain.encode(replace(model.card, pairs=_first(model.card.pairs)))),
        "Scorecard": _cut(plain.encode(scorecard)),
        "Version": plain.encode(answers.version),
        "Alive": {"status": "alive"},
        "Readiness": {"status": "ready", "simulated": simulated},
        "Freshness": {"status": "fresh", **plain.encode(Freshness(7_200, 7_800, 86_400, simulated))},
        "Metrics": METRICS,
    }


def example_problems(model: Model) -> dict[str, CryptoPredictError]:
    """Return an error of each documented kind."""
    forecast = next(iter(model.forecasts.values()))
    out_of_range = OutOfRange(forecast.end + DAY, forecast.first, forecast.end)
    stale = Freshness(300, 148 * 86_400, 86_400, model.card.simulated)
    return {
        "BadParameter": InvalidValue("date", "yesterday", questions.MOMENT_EXPECTED),
        "UnknownPair": UnknownPair("XYZ/USD", list(map(str, model.forecasts))),
        "OutsideModel": OutsideModel("date", out_of_range),
        "NotReady": problems.Draining(),
        "Stale": problems.StaleModel(stale),
    }


def _first(table: Mapping[Pair, Any]) -> dict[Pair, Any]:
    return dict(list(table.items())[:1])


def _cut(value: Any) -> Any:
    """Return the value with only the first two members of each list."""
    if isinstance(value, dict):
        return {name: _cut(member) for name, member in value.items()}
    return [_cut(member) for member in value[:2]] if isinstance(value, list) else value
