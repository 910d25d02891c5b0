"""Example answers of a given model, for the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.errors import InvalidValue, OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web import problems, rendering
from crypto_predict.web.answers import OutsideModel, Series
from crypto_predict.web.operations.freshness import Freshness
from crypto_predict.web.problems import Problem
from crypto_predict.web.questions import MOMENT_EXPECTED, ForecastQuestion
from crypto_predict.web.snapshots import Snapshot

METRICS = """\
# HELP crypto_predict_requests_total Requests answered.
# TYPE crypto_predict_requests_total counter
crypto_predict_requests_total{method="GET",route="/bitcoin",status="200"} 1027.0
"""


def example_series(snapshot: Snapshot) -> Series:
    """Return the combined forecast of the first pair."""
    return snapshot.answers.series[snapshot.answers.held[0], COMBINED]


def example_day(snapshot: Snapshot) -> date:
    """Return a day that lies a month ahead of the model."""
    return example_series(snapshot).last_candle + timedelta(days=30)


def example_answers(snapshot: Snapshot) -> dict[str, Any]:
    """Return an answer for each schema, by its name; long lists are cut."""
    answers, card, record = snapshot.answers, snapshot.answers.model.card, snapshot.answers.model.scorecard
    pair = next((pair for pair in answers.held if pair.base == "BTC"), answers.held[0])
    start = example_series(snapshot).last_candle + DAY
    days = answers.forecast(ForecastQuestion(answers.held[0], start, start + DAY))
    scorecard = replace(record, pairs=_first(record.pairs), simulated=_first(record.simulated))
    return {
        "BitcoinPrediction": json.loads(
            rendering.bitcoin(answers.series[pair, COMBINED].row(example_day(snapshot))).body
        ),
        "ForecastDay": json.loads(snapshot.rendering.forecast(days).body),
        "PairRange": _cut(plain.encode(answers.pairs())),
        "Card": _cut(plain.encode(replace(card, pairs=_first(card.pairs)))),
        "Scorecard": _cut(plain.encode(scorecard)),
        "Version": plain.encode(answers.version),
        "Alive": {"status": "alive"},
        "Readiness": {"status": "ready", "simulated": card.simulated},
        "Freshness": {"status": "fresh", **plain.encode(Freshness(7_200, 7_800, 86_400, card.simulated))},
        "Metrics": METRICS,
    }


def example_problems(snapshot: Snapshot) -> dict[str, Problem]:
    """Return a problem of each documented kind."""
    series, model = example_series(snapshot), snapshot.answers.model
    errors = {
        "BadParameter": InvalidValue("date", "yesterday", MOMENT_EXPECTED),
        "UnknownPair": UnknownPair("XYZ/USD", list(map(str, model.forecasts))),
        "OutsideModel": OutsideModel("date", OutOfRange(series.last_day + DAY, series.first_day, series.last_day)),
    }
    return {name: problems.of_error(error) for name, error in errors.items()} | {
        "PreconditionFailed": problems.PRECONDITION_FAILED,
        "NotReady": problems.DRAINING,
        "Stale": problems.stale(Freshness(300, 148 * 86_400, 86_400, model.card.simulated)),
    }


def _first(table: Mapping[Pair, Any]) -> dict[Pair, Any]:
    return dict(list(table.items())[:1])


def _cut(value: Any) -> Any:
    """Return the value with only the first two members of each list."""
    if isinstance(value, dict):
        return {name: _cut(member) for name, member in value.items()}
    return [_cut(member) for member in value[:2]] if isinstance(value, list) else value
