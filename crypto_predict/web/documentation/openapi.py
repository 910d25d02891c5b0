"""The OpenAPI 3.1 document. Its examples are requests that the given model can answer, and those answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, MODELS
from crypto_predict.baked.schema import Card, Scorecard
from crypto_predict.errors import InvalidValue, OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.version import __version__
from crypto_predict.web.collected.series import Example
from crypto_predict.web.documentation import administration, collected
from crypto_predict.web.documentation.schemas import (
    FORMAT_PARAMETER,
    PAIR,
    PAIR_PARAMETER,
    Schema,
    cut,
    parameter,
    problem_response,
    record,
    ref,
    refs,
    response,
    schema_of,
)
from crypto_predict.web.http import problems
from crypto_predict.web.http.response import CSV_TYPE, PROVENANCE, STALE
from crypto_predict.web.http.response import SIMULATED as SIMULATED_HEADER
from crypto_predict.web.model import answers, probability, questions, rendering
from crypto_predict.web.model.questions import MOMENT_EXPECTED, MOMENT_PATTERN, ForecastQuestion, ProbabilityQuestion
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.web.operations import metrics
from crypto_predict.web.operations.freshness import Freshness, Training, stale
from crypto_predict.wording import counted, listed

DESCRIPTION = """\
The price of Bitcoin and other currencies on any day of the model's range, as a forecast with its central 80 % interval.

Times are UTC unless they say otherwise. A **date** means the closing price of that UTC day, a **date-time** the price
at that instant. Past days are answered with the fitted curve, future ones with the forecast. The same model gives the
same answer to the same question, byte for byte. Errors are RFC 9457 problem details.

{model}

The [model card](/model) has the rest: gaps, backtest, versions.
"""
SIMULATED = """\
**The prices of {pairs} are simulated: every answer about them is invented.** Such an answer carries the header
`Crypto-Predict-Simulated: true`, and every answer but that of `/bitcoin` the member `simulated`.

"""
MODEL_PARAMETER = """\
`combined` is the forecast that earned its place out of sample: persistence, Prophet and others, weighted by horizon.
`prophet` is the forecast of Prophet alone, with its own interval.
"""
PROBABILITY = """\
How probable it is that the price is `above` one limit, `below` another one, or between both. `based_on` says what the
answer rests on: `calibration` is how often the model's 80 % interval held out of sample, at the horizon of the backtest
nearest to the question. A day that has passed is answered from the fitted distribution (`kind` is `fitted`): how
closes lay around the curve, not what happened. If `extrapolated` is true, a limit lies so far out that the shape of
the distribution there is an assumption.
"""
QUANTILES_PARAMETER = f"""\
Levels of quantiles, from {questions.LEAST_LEVEL} to {questions.MOST_LEVEL}, at most {questions.MOST_LEVELS}: each row
then has the member `quantiles`, with the price that is not exceeded with that probability. 0.1 and 0.9 are `low` and
`high`.
"""
FRESHNESS = """\
A stale model still answers. The newest price is the one that the forecast starts from: the close of the newest hourly
candle, or of the newest daily one if the source has no hourly ones. Of several pairs the oldest one counts.
`training` says when the next training begins, and when and why the last attempt failed; it is null if none is planned.
"""
LIVE_RECORD = """\
Every release records its forecasts for the next 30 closes in a ledger, to which entries are only ever appended; `head`
is the digest of its last entry. A forecast is due once the close that it predicts is known. Errors are of log price,
and relative to persistence, the newest price at the time of the release. Forecasts overlap and err together: `days`
counts the different closes they were measured by. Forecasts of simulated prices are kept apart.
"""

_METRICS = """\
# HELP crypto_predict_requests_total Requests answered.
# TYPE crypto_predict_requests_total counter
crypto_predict_requests_total{method="GET",route="/bitcoin",status="200"} 1027.0
"""

_TEXT: Schema = {"type": "string"}
_DAY: Schema = {**_TEXT, "format": "date"}
_PRICE: Schema = {"type": "number", "exclusiveMinimum": 0}
_MODEL: Schema = {"type": "string", "enum": list(MODELS)}
_LEVEL: Schema = {"type": "number", "minimum": questions.LEAST_LEVEL, "maximum": questions.MOST_LEVEL}
_LEVELS: Schema = {
    "type": "array",
    "items": _LEVEL,
    "minItems": 1,
    "maxItems": questions.MOST_LEVELS,
    "uniqueItems": True,
}
_EXAMPLE_LEVELS = (0.05, 0.5, 0.95)
_KIND: Schema = {"type": "string", "enum": [answers.FITTED, answers.FORECAST]}
_LISTED = 10  # pairs in the description

_PROBLEMS = {  # name to description
    "BadParameter": "A parameter is missing, repeated, unknown or malformed; `parameter` names it.",
    "UnknownPair": "The model holds no forecast for this pair; `detail` lists those it holds.",
    "PreconditionFailed": "The condition of the request does not hold.",
    "OutsideModel": "The model has no answer for this time, see `detail`; `parameter` is the time, or the model.",
    "NotReady": "The server is stopping: it finishes the requests it has and takes no new ones.",
    "Stale": "The model or its newest price is too old; `detail` names which, and how old both are.",
}
_OPERATIONS = {  # path to tag, schema of the answer and summary
    "/bitcoin": ("forecast", "BitcoinPrediction", "The price of Bitcoin on a day or at an instant"),
    "/forecast/{pair}": ("forecast", "ForecastDay", "The price of a pair on each day of a span"),
    "/probability/{pair}": ("forecast", "Probability", "How probable is a price, on a day or at an instant?"),
    "/pairs": ("forecast", "PairRange", "The pairs of the model, and the days it answers for"),
    "/model": ("model", "Card", "The model card: what to know before trusting the model"),
    "/scorecard": ("model", "Scorecard", "The live record: the outcomes of earlier forecasts"),
    "/version": ("model", "Version", "The release, and when its model was trained"),
    "/livez": ("operation", "Alive", "Is the process alive?"),
    "/readyz": ("operation", "Readiness", "May it be sent requests?"),
    "/fresh": ("operation", "Freshness", "Are the model and its newest price as young as they should be?"),
    "/metrics": ("operation", "Metrics", "What Prometheus collects"),
}
_RESPONSES = {  # status to response, in addition to those of every answer of the model
    "/bitcoin": {"404": "UnknownPair", "422": "OutsideModel"},
    "/forecast/{pair}": {"404": "UnknownPair", "422": "OutsideModel"},
    "/probability/{pair}": {"404": "UnknownPair", "422": "OutsideModel"},
    "/readyz": {"503": "NotReady"},
    "/fresh": {"503": "Stale"},
}
_DESCRIPTIONS = {"/probability/{pair}": PROBABILITY, "/scorecard": LIVE_RECORD, "/fresh": FRESHNESS}


def document(snapshot: Snapshot, repository_url: str | None = None, example: Example | None = None) -> dict[str, Any]:
    """Return the whole document; it links to the project if `repository_url` is known.

    The endpoints of a database are part of it if there is an `example` of a series.
    """
    examples, parameters = _example_answers(snapshot), _parameters(snapshot)
    link = {"externalDocs": {"url": repository_url, "description": "The project"}} if repository_url else {}
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "Crypto Predict",
            "version": __version__,
            "description": _description(snapshot.answers.model.card),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [
            {"name": "forecast", "description": "What will it cost?"},
            {"name": "model", "description": "Where do the answers come from?"},
            {"name": "operation", "description": "For operators"},
        ],
        "paths": {path: {"get": _operation(path, examples, parameters.get(path, []))} for path in _OPERATIONS},
        "components": {"schemas": _schemas(), "responses": _responses(snapshot), "headers": _headers(snapshot)},
        **link,
    }
    if example is not None:
        collected.extend(found, example, snapshot.answers.pairs())
        administration.extend(found, example)
    return found


def _description(card: Card) -> str:
    """Describe the service, and the prices that this model was trained on."""
    lines = [
        f"- {pair} from `{facts.source}`: {counted(facts.candles, 'candle')}, "
        f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d}"
        for pair, facts in list(card.pairs.items())[:_LISTED]
    ]
    if len(card.pairs) > _LISTED:
        lines.append(f"- and {counted(len(card.pairs) - _LISTED, 'more pair')}, see [/pairs](/pairs)")
    trained = f"**This model**: release {card.build}, trained {card.trained_at:%Y-%m-%d %H:%M} UTC on daily candles."
    invented = listed([str(pair) for pair, facts in card.pairs.items() if facts.simulated])
    warning = SIMULATED.format(pairs=invented) if card.simulated else ""
    return warning + DESCRIPTION.format(model="\n".join([trained, "", *lines]))


def _operation(path: str, examples: Mapping[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    tag, schema, summary = _OPERATIONS[path]
    headers, responses = [], dict(_RESPONSES.get(path, {}))
    if tag != "operation":
        headers += ["ETag", "Last-Modified", "Cache-Control", SIMULATED_HEADER, STALE[0]]
        responses |= {"400": "BadParameter", "304": "NotModified", "412": "PreconditionFailed"}
    elif "simulated" in examples[schema]:
        headers.append(SIMULATED_HEADER)
    if path == "/bitcoin":
        headers += PROVENANCE
    content_type = metrics.CONTENT_TYPE if schema == "Metrics" else "application/json"
    answer = response("The answer.", content_type, schema, examples[schema]) | {"headers": refs("headers", headers)}
    if path == "/forecast/{pair}":
        answer["content"][CSV_TYPE] = {"schema": _TEXT, "example": examples["ForecastFile"]}
    return {
        "operationId": path.split("/")[1],
        "tags": [tag],
        "summary": summary,
        "description": _DESCRIPTIONS.get(path, ""),
        "parameters": parameters,
        "responses": {"200": answer, **{status: ref("responses", name) for status, name in responses.items()}},
    }


def _parameters(snapshot: Snapshot) -> dict[str, list[dict[str, Any]]]:
    """Return the parameters by path."""
    start, day = _example_series(snapshot).last_candle + DAY, _example_day(snapshot)
    moments = {
        "day": {"summary": "The close of a day", "value": day.isoformat()},
        "instant": {"summary": "An instant", "value": f"{day}T12:30:00Z"},
        "offset": {"summary": "An instant in another time zone", "value": f"{day}T12:30+02:00"},
    }
    moment = parameter(
        "date",
        "An ISO 8601 date, for the closing price of that UTC day, or date-time, for that instant.",
        {**_TEXT, "pattern": MOMENT_PATTERN},
    )
    pair = PAIR_PARAMETER | {"example": snapshot.answers.held[0].slug}
    first = parameter("start", "The first day; by default the day after the last candle.", _DAY, start.isoformat())
    last = parameter("end", "The last day, included; by default 30 days from the start.", _DAY, day.isoformat())
    model = parameter("model", MODEL_PARAMETER, _MODEL | {"default": COMBINED}, COMBINED)
    required = moment | {"required": True, "examples": moments}
    lists = {"style": "form", "explode": False}  # 0.05,0.5,0.95
    quantiles = parameter("quantiles", QUANTILES_PARAMETER, _LEVELS, list(_EXAMPLE_LEVELS)) | lists
    above = parameter("above", "The lower limit of the price; or `below`, or both.", _PRICE, _example_limit(snapshot))
    below = parameter("below", "The upper limit of the price, more than `above`.", _PRICE)
    return {
        "/bitcoin": [
            required | {"required": False, "description": f"{moment['description']} By default today."},
            model,
        ],
        "/forecast/{pair}": [pair, first, last, model, quantiles, FORMAT_PARAMETER],
        "/probability/{pair}": [pair, required, above, below, model],
    }


def _schemas() -> dict[str, Schema]:
    problem = record({"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT})
    ages = schema_of(Freshness)["properties"]
    fault: Schema = {"type": "string", "description": "The parameter at fault, if one is."}
    lag: Schema = {"type": ["integer", "null"], "description": "How old the newest minute forecast is."}
    problem["properties"] |= {"parameter": fault, "lag_seconds": lag, **ages}
    day = {"date": _DAY, "prediction": _PRICE, "low": _PRICE, "high": _PRICE}
    provenance = schema_of(answers.Provenance)["properties"] | {"kind": _KIND, "model": _MODEL}
    days = record(day | provenance)
    days["properties"]["quantiles"] = {"type": "object", "additionalProperties": _PRICE}  # if they were asked for
    named = {"pair": PAIR, "kind": _KIND, "model": _MODEL}
    four_keys = {"date": _TEXT, "prediction": _PRICE, "prediction low": _PRICE, "prediction_high": _PRICE}
    return {
        "Problem": problem,
        "BitcoinPrediction": record(four_keys),
        "ForecastDay": {"type": "array", "items": days},
        "Probability": record(schema_of(probability.Probability)["properties"] | named),
        "PairRange": {"type": "array", "items": schema_of(answers.PairRange)},
        "Card": schema_of(Card),
        "Scorecard": schema_of(Scorecard),
        "Version": schema_of(answers.Version),
        "Alive": record({"status": _TEXT}),
        "Readiness": record({"status": _TEXT, "simulated": {"type": "boolean"}}),
        "Freshness": record({"status": _TEXT, **ages}),
        "Metrics": _TEXT,
    }


def _responses(snapshot: Snapshot) -> dict[str, Any]:
    """Return the responses that operations share, by their names."""
    kept = {"headers": refs("headers", ("ETag", "Cache-Control", SIMULATED_HEADER, STALE[0]))}
    found = {"NotModified": {"description": "The copy you have is still good.", **kept}}
    for name, problem in _example_problems(snapshot).items():
        found[name] = problem_response(_PROBLEMS[name], problem)
    return found


def _headers(snapshot: Snapshot) -> dict[str, Any]:
    """Return the documented headers, by their names."""
    validity, trained_at = snapshot.validity, snapshot.answers.model.card.trained_at
    provenance = rendering.provenance_headers(_example_series(snapshot).forecast)
    values = dict([*validity.until_change(trained_at), *provenance, (SIMULATED_HEADER, "true"), STALE])
    described: dict[str, tuple[str, Schema]] = {
        "ETag": ("Changes with the model and the program.", _TEXT),
        "Last-Modified": ("When the model was trained.", _TEXT),
        "Cache-Control": ("How long the answer holds: until the next training, or until it is stale.", _TEXT),
        "Crypto-Predict-Kind": ("`fitted` up to the newest price, `forecast` after it.", _KIND),
        "Crypto-Predict-As-Of": ("The instant of the newest price behind the answer.", schema_of(datetime)),
        "Crypto-Predict-Pair": ("The pair of the price.", PAIR),
        "Crypto-Predict-Model": ("The model of the price.", _MODEL),
        SIMULATED_HEADER: ("Present if the answer rests on invented prices.", {**_TEXT, "enum": ["true"]}),
        STALE[0]: (
            "Present if the model, or the newest price behind it, is too old.",
            {**_TEXT, "enum": ["true"]},
        ),
    }
    return {
        name: {"description": text, "schema": schema, "example": values[name]}
        for name, (text, schema) in described.items()
    }


def _example_series(snapshot: Snapshot) -> answers.Series:
    """Return the combined forecast of the first pair."""
    return snapshot.answers.series[snapshot.answers.held[0], COMBINED]


def _example_day(snapshot: Snapshot) -> date:
    """Return a day that lies a month ahead of the model."""
    return _example_series(snapshot).last_candle + timedelta(days=30)


def _example_limit(snapshot: Snapshot) -> float:
    """Return a round price near the forecast of the example's day."""
    return float(f"{_example_series(snapshot).row(_example_day(snapshot)).price.price:.2g}")


def _example_answers(snapshot: Snapshot) -> dict[str, Any]:
    """Return an answer for each schema, by its name; long lists are cut."""
    served, card, live = snapshot.answers, snapshot.answers.model.card, snapshot.answers.model.scorecard
    pair = next((pair for pair in served.held if pair.base == "BTC"), served.held[0])
    start = _example_series(snapshot).last_candle + DAY
    days = served.forecast(ForecastQuestion(served.held[0], start, start + DAY, levels=_EXAMPLE_LEVELS))
    limit = ProbabilityQuestion(served.held[0], _example_day(snapshot), _example_limit(snapshot), None)
    scorecard = replace(live, pairs=_first(live.pairs), simulated=_first(live.simulated))
    return {
        "BitcoinPrediction": json.loads(
            rendering.bitcoin(served.series[pair, COMBINED].row(_example_day(snapshot))).body
        ),
        "ForecastDay": json.loads(snapshot.rendering.forecast(days).body),
        "ForecastFile": rendering.forecast_table(days).body.decode(),
        "Probability": plain.encode(probability.answer(served, limit)),
        "PairRange": cut(plain.encode(served.pairs())),
        "Card": cut(plain.encode(replace(card, pairs=_first(card.pairs)))),
        "Scorecard": cut(plain.encode(scorecard)),
        "Version": plain.encode(served.version),
        "Alive": {"status": "alive"},
        "Readiness": {"status": "ready", "simulated": card.simulated},
        "Freshness": {"status": "fresh", **plain.encode(_example_ages(snapshot, 7_800))},
        "Metrics": _METRICS,
    }


def _example_ages(snapshot: Snapshot, price_seconds: int) -> Freshness:
    card, hours = snapshot.answers.model.card, timedelta(hours=6)
    failed = card.trained_at + hours
    training = Training(failed + timedelta(minutes=6), int(hours.total_seconds()), failed, "no exchange was reached")
    return Freshness(300, price_seconds, 86_400, card.simulated, training)


def _example_problems(snapshot: Snapshot) -> dict[str, problems.Problem]:
    """Return a problem of each documented kind."""
    series, model = _example_series(snapshot), snapshot.answers.model
    outside = OutOfRange(series.last_day + DAY, series.first_day, series.last_day)
    errors = {
        "BadParameter": InvalidValue("date", "yesterday", MOMENT_EXPECTED),
        "UnknownPair": UnknownPair("XYZ/USD", list(map(str, model.forecasts))),
        "OutsideModel": answers.OutsideModel("date", outside),
    }
    return {name: problems.of_error(error) for name, error in errors.items()} | {
        "PreconditionFailed": problems.PRECONDITION_FAILED,
        "NotReady": problems.DRAINING,
        "Stale": stale(_example_ages(snapshot, 148 * 86_400)),
    }


def _first(table: Mapping[Pair, Any]) -> dict[Pair, Any]:
    return dict(list(table.items())[:1])
