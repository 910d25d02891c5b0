"""Example requests that a given model can answer, and the answers, for the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.schema import Model
from crypto_predict.errors import CryptoPredictError, InvalidValue, OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web import problems, questions
from crypto_predict.web.answers import Answer, Answers, OutsideModel
from crypto_predict.web.freshness import Freshness
from crypto_predict.web.provenance import Basis, Provenance

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

_SHOWN = 2  # members of a list
_FRESH = {"model_age": timedelta(hours=2), "price_age": timedelta(hours=2, minutes=10)}
_STALE = {"model_age": timedelta(minutes=5), "price_age": timedelta(days=148)}


def example_pair(model: Model) -> Pair:
    """The first pair of the model."""
    return next(iter(model.forecasts))


def example_start(model: Model) -> date:
    """The first day of the future of `example_pair`."""
    return model.forecasts[example_pair(model)].last + DAY


def example_day(model: Model) -> date:
    """A day that lies a month ahead of the model."""
    return example_start(model) + timedelta(days=29)


def example_path(model: Model) -> str:
    """A first question: Bitcoin where the model holds it, else the pair that it does hold."""
    if any(pair.base == "BTC" for pair in model.forecasts):
        return f"/bitcoin?date={example_day(model)}"
    return f"/forecast/{example_pair(model).slug}"


def example_basis(model: Model) -> Basis:
    """What the forecast of `example_pair` rests on."""
    pair = example_pair(model)
    return Provenance(pair, COMBINED, model.forecasts[pair], simulated=model.card.pairs[pair].simulated).forecast


def example_answers(model: Model) -> dict[str, Any]:
    """What is answered to a first question, by the name of the answer's schema; long lists are cut."""
    answers = Answers(model)
    pair, start, simulated = example_pair(model), example_start(model), model.card.simulated
    holds_bitcoin = any(held.base == "BTC" for held in model.forecasts)
    ages = Freshness(**_FRESH, stale_after=DAY, simulated=simulated)
    record = model.scorecard
    scorecard = replace(record, pairs=_first(record.pairs), simulated=_first(record.simulated))
    return {
        "BitcoinPrediction": _read(answers.bitcoin(f"date={example_day(model)}")) if holds_bitcoin else BITCOIN,
        "ForecastDay": _read(answers.forecast(pair.slug, f"start={start}&end={start + DAY}")),
        "PairRange": _shortened(_read(answers.pairs(""))),
        "Card": _shortened(plain.encode(replace(model.card, pairs=_first(model.card.pairs)))),
        "Scorecard": _shortened(plain.encode(scorecard)),
        "Version": _read(answers.version("")),
        "Alive": {"status": "alive"},
        "Readiness": {"status": "ready", "simulated": simulated},
        "Freshness": {"status": "fresh", **ages.members()},
    }


def example_problems(model: Model) -> dict[str, CryptoPredictError]:
    """One error of each kind that is documented."""
    forecast = model.forecasts[example_pair(model)]
    out_of_range = OutOfRange(forecast.end + DAY, forecast.first, forecast.end)
    return {
        "BadParameter": InvalidValue("date", "yesterday", questions.MOMENT_EXPECTED),
        "UnknownPair": UnknownPair("XYZ/USD", [str(pair) for pair in model.forecasts]),
        "OutsideModel": OutsideModel("date", out_of_range),
        "NotReady": problems.Draining(),
        "Stale": problems.StaleModel(Freshness(**_STALE, stale_after=DAY, simulated=model.card.simulated)),
    }


def _read(answer: Answer) -> Any:
    return json.loads(answer.body)


def _first(table: Mapping[Pair, Any]) -> dict[Pair, Any]:
    """The first entry alone."""
    return dict(list(table.items())[:1])


def _shortened(value: Any) -> Any:
    """The same with the first members of each list alone."""
    if isinstance(value, dict):
        return {name: _shortened(member) for name, member in value.items()}
    return [_shortened(member) for member in value[:_SHOWN]] if isinstance(value, list) else value
