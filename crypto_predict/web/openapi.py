"""The OpenAPI 3.1 document. Its examples are questions that the model at hand has an answer to, and those answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from apispec import APISpec

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, MODELS
from crypto_predict.baked.schema import Card, Model, PairCard
from crypto_predict.baked.scorecard import Scorecard
from crypto_predict.market import Pair
from crypto_predict.version import __version__
from crypto_predict.web import metrics, problems, provenance
from crypto_predict.web.caching import Caching
from crypto_predict.web.examples import (
    METRICS,
    example_answers,
    example_basis,
    example_day,
    example_pair,
    example_problems,
    example_start,
)
from crypto_predict.web.questions import MOMENT_PATTERN
from crypto_predict.web.schemas import PAIR, Schema, record, schema_of
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
`prophet` is what Prophet alone says, with its own interval.
"""

FRESHNESS = """\
A stale model still answers. The newest price is the one that the forecast starts from: the close of the newest hourly
candle, or of the newest daily one where the source has none by the hour. Of several pairs the oldest one counts.
"""

LIVE_RECORD = """\
Every release puts its forecasts for the next 30 closes on record, in a ledger that is only ever appended to; `head` is
the digest of its last entry. A forecast is due once the close it was about is known. Errors are of log price, and
relative to persistence, the newest price at the time of the release. Forecasts overlap and err together: `days` counts
the different closes they were measured by. Forecasts of simulated prices are kept apart.
"""

_TEXT: Schema = {"type": "string"}
_DAY: Schema = {"type": "string", "format": "date"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_PRICE: Schema = {"type": "number", "exclusiveMinimum": 0}
_SECONDS: Schema = {"type": "integer"}
_BOOLEAN: Schema = {"type": "boolean"}
_MODEL: Schema = {"type": "string", "enum": list(MODELS)}
_KIND: Schema = {"type": "string", "enum": list(provenance.KINDS)}

_LISTED = 10  # pairs in the description

_FAULTS = {  # name to status and description
    "BadParameter": ("400", "A parameter is missing, repeated, unknown or malformed; `parameter` names it."),
    "UnknownPair": ("404", "The model holds no forecast for this pair; `detail` lists those it holds."),
    "OutsideModel": (
        "422",
        "The model has no answer for this time, as `detail` says; `parameter` names the time, or the model.",
    ),
    "NotReady": ("503", "The server is stopping: it finishes the requests it has and takes no new ones."),
    "Stale": (
        "503",
        "The model or its newest price is older than it may be; `detail` says which, and how old both are.",
    ),
}


def document(model: Model, repository_url: str | None = None) -> dict[str, Any]:
    """The whole document; it links to the project where that is known to be at `repository_url`."""
    project: dict[str, Any] = {}
    if repository_url:
        project["externalDocs"] = {"url": repository_url, "description": "The project"}
    spec = APISpec(
        title="Crypto Predict",
        version=__version__,
        openapi_version="3.1.0",
        info={"description": _description(model.card), "license": {"name": "MIT", "identifier": "MIT"}},
        tags=[
            {"name": "forecast", "description": "What will it cost?"},
            {"name": "model", "description": "Where do the answers come from?"},
            {"name": "operation", "description": "For whoever keeps it running"},
        ],
        **project,
    )
    _add_components(spec, model)
    examples = example_answers(model)
    for paths in (_forecast_paths(model, examples), _model_paths(examples), _operation_paths(examples)):
        for path, operation in paths.items():
            spec.path(path=path, operations={"get": operation})
    return spec.to_dict()


def _description(card: Card) -> str:
    """Describe the service, and the prices that this model was trained on."""
    lines = [f"- {_origin(pair, facts)}" for pair, facts in list(card.pairs.items())[:_LISTED]]
    if len(card.pairs) > _LISTED:
        lines.append(f"- and {counted(len(card.pairs) - _LISTED, 'more pair')}, see [/pairs](/pairs)")
    trained = f"**This model**: release {card.build}, trained {card.trained_at:%Y-%m-%d %H:%M} UTC on daily candles."
    invented = listed([str(pair) for pair, facts in card.pairs.items() if facts.simulated])
    warning = SIMULATED.format(pairs=invented) if card.simulated else ""
    return warning + DESCRIPTION.format(model="\n".join([trained, "", *lines]))


def _origin(pair: Pair, facts: PairCard) -> str:
    span = f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d}"
    return f"{pair} from `{facts.source}`: {counted(facts.candles, 'candle')}, {span}"


def _add_components(spec: APISpec, model: Model) -> None:
    for name, schema in _schemas().items():
        spec.components.schema(name, schema)
    for name, error in example_problems(model).items():
        example = json.loads(problems.of_error(error).body())
        spec.components.response(name, _problem(_FAULTS[name][1], example))
    refused = json.loads(problems.precondition_failed().body())
    spec.components.response("PreconditionFailed", _problem("The condition of the request does not hold.", refused))
    headers = _headers(model)
    for name, header in headers.items():
        spec.components.header(name, header)
    kept = {name: name for name in ("ETag", "Cache-Control", provenance.SIMULATED)}
    spec.components.response("NotModified", {"description": "The copy you have is still good.", "headers": kept})


def _headers(model: Model) -> dict[str, Any]:
    """Every header that is documented, by its name."""
    caching, basis = Caching(model, timedelta(hours=6), lambda: model.card.trained_at), example_basis(model)
    cached = dict(caching.until_retrain())
    return {
        "ETag": _header("Changes with the model and the program.", cached["ETag"]),
        "Last-Modified": _header("When the model was trained.", cached["Last-Modified"]),
        "Cache-Control": _header("How long the answer holds: until the next retrain.", cached["Cache-Control"]),
        provenance.KIND: _header("`fitted` up to the newest price, `forecast` after it.", basis.kind, _KIND),
        provenance.AS_OF: _header("The instant of the newest price behind the answer.", basis.as_of, _INSTANT),
        provenance.PAIR: _header("The pair whose price it is.", basis.pair, PAIR),
        provenance.MODEL: _header("The model that was asked.", basis.model, _MODEL),
        provenance.SIMULATED: _header(
            "There, and `true`, where the answer rests on invented prices.",
            "true",
            {"type": "string", "enum": ["true"]},
        ),
    }


def _schemas() -> dict[str, Schema]:
    problem = record({"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT})
    ages = {"age_seconds": _SECONDS, "candle_age_seconds": _SECONDS, "stale_after_seconds": _SECONDS}
    fault: Schema = {"type": "string", "description": "The parameter at fault, where one is."}
    problem["properties"] |= {"parameter": fault, **ages, "simulated": _BOOLEAN}
    basis = {"kind": _KIND, "as_of": _INSTANT, "pair": PAIR, "model": _MODEL, "simulated": _BOOLEAN}
    days = {"first_day": _DAY, "last_candle": _DAY, "last_day": _DAY}
    return {
        "Problem": problem,
        "BitcoinPrediction": record(
            {"date": _TEXT, "prediction": _PRICE, "prediction low": _PRICE, "prediction_high": _PRICE}
        ),
        "ForecastDay": record({"date": _DAY, "prediction": _PRICE, "low": _PRICE, "high": _PRICE, **basis}),
        "PairRange": record({"pair": PAIR, **days, "forecast": _TEXT, "as_of": _INSTANT, "simulated": _BOOLEAN}),
        "Card": schema_of(Card),
        "Scorecard": schema_of(Scorecard),
        "Version": record(
            {
                "version": _TEXT,
                "build": _TEXT,
                "git_revision": schema_of(str | None),
                "trained_at": _INSTANT,
                "simulated": _BOOLEAN,
            }
        ),
        "Alive": record({"status": _TEXT}),
        "Readiness": record({"status": _TEXT, "simulated": _BOOLEAN}),
        "Freshness": record({"status": _TEXT, **ages, "simulated": _BOOLEAN}),
    }


def _forecast_paths(model: Model, examples: Mapping[str, Any]) -> dict[str, Any]:
    start = example_start(model)
    bitcoin = _model_responses("BitcoinPrediction", examples, "BadParameter", "UnknownPair", "OutsideModel")
    bitcoin["200"]["headers"] |= {name: name for name in provenance.HEADERS}
    return {
        "/bitcoin": {
            "operationId": "bitcoin",
            "tags": ["forecast"],
            "summary": "The price of Bitcoin on a day or at an instant",
            "parameters": [_date_parameter(model), _model_parameter()],
            "responses": bitcoin,
        },
        "/forecast/{pair}": {
            "operationId": "forecast",
            "tags": ["forecast"],
            "summary": "The price of a pair on each day of a stretch, at most the whole range",
            "parameters": [
                _pair_parameter(example_pair(model)),
                _day_parameter("start", "The first day. Where it is missing: the day after the last candle.", start),
                _day_parameter(
                    "end",
                    "The last day, included. Where it is missing: 30 days from the start.",
                    start + timedelta(days=6),
                ),
                _model_parameter(),
            ],
            "responses": _model_responses(["ForecastDay"], examples, "BadParameter", "UnknownPair", "OutsideModel"),
        },
        "/pairs": {
            "operationId": "pairs",
            "tags": ["forecast"],
            "summary": "Which pairs the model holds, and for which days",
            "responses": _model_responses(["PairRange"], examples, "BadParameter"),
        },
    }


def _model_paths(examples: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "/model": {
            "operationId": "model",
            "tags": ["model"],
            "summary": "The model card: what to know before trusting the model",
            "responses": _model_responses("Card", examples, "BadParameter"),
        },
        "/scorecard": {
            "operationId": "scorecard",
            "tags": ["model"],
            "summary": "The live record: what became of the forecasts released before",
            "description": LIVE_RECORD,
            "responses": _model_responses("Scorecard", examples, "BadParameter"),
        },
        "/version": {
            "operationId": "version",
            "tags": ["model"],
            "summary": "Which release this is, and when it was trained",
            "responses": _model_responses("Version", examples, "BadParameter"),
        },
    }


def _operation_paths(examples: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "/livez": _probe("livez", "Is the process alive?", "Alive", examples),
        "/readyz": _probe("readyz", "May it be sent requests?", "Readiness", examples, "NotReady"),
        "/fresh": {
            **_probe(
                "fresh",
                "Are the model and its newest price as young as they should be?",
                "Freshness",
                examples,
                "Stale",
            ),
            "description": FRESHNESS,
        },
        "/metrics": {
            "operationId": "metrics",
            "tags": ["operation"],
            "summary": "What Prometheus collects",
            "responses": {"200": _answer("The metrics, as text.", metrics.CONTENT_TYPE, _TEXT, METRICS)},
        },
    }


def _date_parameter(model: Model) -> dict[str, Any]:
    day = example_day(model)
    return {
        "name": "date",
        "in": "query",
        "required": True,
        "description": "An ISO 8601 date, for the closing price of that UTC day, or date-time, for that instant.",
        "schema": {"type": "string", "pattern": MOMENT_PATTERN},
        "examples": {
            "day": {"summary": "The close of a day", "value": day.isoformat()},
            "instant": {"summary": "An instant", "value": f"{day}T12:30:00Z"},
            "offset": {"summary": "An instant in another time zone", "value": f"{day}T12:30+02:00"},
        },
    }


def _pair_parameter(example: Pair) -> dict[str, Any]:
    return {
        "name": "pair",
        "in": "path",
        "required": True,
        "description": "Two currencies: `BTC-USD`, or `BTC/USD` encoded as `BTC%2FUSD`, in capital letters or not.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9]{2,10}[/_-][A-Za-z0-9]{2,10}$"},
        "example": example.slug,
    }


def _day_parameter(name: str, description: str, example: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": _DAY, "example": example.isoformat()}


def _model_parameter() -> dict[str, Any]:
    return {
        "name": "model",
        "in": "query",
        "description": MODEL_PARAMETER,
        "schema": _MODEL | {"default": COMBINED},
        "example": COMBINED,
    }


def _model_responses(schema: str | list[str], examples: Mapping[str, Any], *faults: str) -> dict[str, Any]:
    """An answer of the model: an object, or a list of them where the name stands in a list."""
    name = schema[0] if isinstance(schema, list) else schema
    body = {"type": "array", "items": name} if isinstance(schema, list) else name
    answer = _answer("The answer.", "application/json", body, examples[name])
    headers = {header: header for header in ("ETag", "Last-Modified", "Cache-Control", provenance.SIMULATED)}
    conditional = {"304": "NotModified", "412": "PreconditionFailed"}
    return {"200": answer | {"headers": headers}} | conditional | {_FAULTS[fault][0]: fault for fault in faults}


def _probe(name: str, summary: str, schema: str, examples: Mapping[str, Any], *faults: str) -> dict[str, Any]:
    answer = _answer("It is.", "application/json", schema, examples[schema])
    if "simulated" in examples[schema]:
        answer["headers"] = {provenance.SIMULATED: provenance.SIMULATED}
    return {
        "operationId": name,
        "tags": ["operation"],
        "summary": summary,
        "responses": {"200": answer} | {_FAULTS[fault][0]: fault for fault in faults},
    }


def _problem(description: str, example: object) -> dict[str, Any]:
    return _answer(description, problems.CONTENT_TYPE, "Problem", example)


def _answer(description: str, content_type: str, schema: str | Schema, example: object) -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": schema, "example": example}}}


def _header(description: str, example: object, schema: Schema | None = None) -> dict[str, Any]:
    return {"description": description, "schema": schema or _TEXT, "example": plain.encode(example)}
