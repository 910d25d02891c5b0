"""The OpenAPI 3.1 document. Its examples are questions that the model at hand has an answer to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apispec import APISpec

from crypto_predict.baked.schema import Card, Model
from crypto_predict.baked.scorecard import Scorecard
from crypto_predict.market import Pair
from crypto_predict.version import __version__
from crypto_predict.web import metrics, problems, swagger
from crypto_predict.web.examples import example_day, example_pair, example_start
from crypto_predict.web.questions import MOMENT_PATTERN
from crypto_predict.web.schemas import PAIR, Schema, record, schema_of

DESCRIPTION = """\
The price of Bitcoin and other currencies on any day of the model's range, as a forecast with its central 80 % interval.

Times are UTC unless they say otherwise. A **date** means the closing price of that UTC day, a **date-time** the price
at that instant. Past days are answered with the fitted curve, future ones with the forecast. The same model gives the
same answer to the same question, byte for byte. Errors are RFC 9457 problem details.
"""

LIVE_RECORD = """\
Every release puts its forecasts for the next 30 closes on record, in a ledger that is only ever appended to; `head` is
the digest of its last entry. A forecast is due once the close it was about is known. Errors are of log price, and
relative to persistence, the newest price at the time of the release. Forecasts overlap and err together: `days` counts
the different closes they were measured by. Forecasts of simulated prices are kept apart.
"""

BITCOIN = {
    "date": "Sat, 01 Jun 2024 00:00:00 GMT",
    "prediction": 56771.78,
    "prediction low": 53746.06,
    "prediction_high": 60034.62,
}

_TEXT: Schema = {"type": "string"}
_PRICE: Schema = {"type": "number", "exclusiveMinimum": 0}
_SECONDS: Schema = {"type": "integer"}


def document(model: Model) -> dict[str, Any]:
    """The whole document."""
    spec = APISpec(
        title="Crypto Predict",
        version=__version__,
        openapi_version="3.1.0",
        info={"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": "/"}],
        tags=[
            {"name": "forecast", "description": "What will it cost?"},
            {"name": "model", "description": "Where do the answers come from?"},
            {"name": "operation", "description": "For whoever keeps it running"},
            {"name": "documentation", "description": "These pages"},
        ],
    )
    _add_components(spec)
    for paths in (_forecast_paths(model), _model_paths(), _operation_paths(), _documentation_paths()):
        for path, operation in paths.items():
            spec.path(path=path, operations={"get": operation})
    return spec.to_dict()


def _add_components(spec: APISpec) -> None:
    for name, schema in _schemas().items():
        spec.components.schema(name, schema)
    for name, description in _FAULTS.items():
        content = {problems.CONTENT_TYPE: {"schema": "Problem"}}
        spec.components.response(name, {"description": description, "content": content})
    validators = {name: _HEADERS[name] for name in ("ETag", "Cache-Control")}
    spec.components.response("NotModified", {"description": "The copy you have is still good.", "headers": validators})


_HEADERS: dict[str, Any] = {
    "ETag": {"description": "Changes with the model and the program.", "schema": _TEXT},
    "Last-Modified": {"description": "When the model was trained.", "schema": _TEXT},
    "Cache-Control": {"description": "How long the answer holds: until the next retrain.", "schema": _TEXT},
}

_FAULTS = {
    "BadParameter": "A parameter is missing, repeated, unknown or malformed; `parameter` names it.",
    "UnknownPair": "The model holds no forecast for this pair; `detail` lists those it holds.",
    "OutsideModel": "The time lies outside the range of the model, which `detail` names; `parameter` says which time.",
    "NotReady": "The server is stopping: it finishes the requests it has and takes no new ones.",
    "Stale": "The model is older than it may be; `detail` says by how much.",
    "NotFound": "There is no such file.",
}


def _schemas() -> dict[str, Schema]:
    problem = record({"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT})
    problem["properties"] |= {
        "parameter": {"type": "string", "description": "The parameter at fault, where one is."},
        "age_seconds": _SECONDS,
        "stale_after_seconds": _SECONDS,
    }
    prediction = record({"date": _TEXT, "prediction": _PRICE, "prediction low": _PRICE, "prediction_high": _PRICE})
    prediction["examples"] = [BITCOIN]
    day = {"type": "string", "format": "date"}
    return {
        "Problem": problem,
        "BitcoinPrediction": prediction,
        "ForecastDay": record({"date": day, "prediction": _PRICE, "low": _PRICE, "high": _PRICE}),
        "PairRange": record({"pair": PAIR, "first_day": day, "last_candle": day, "last_day": day, "forecast": _TEXT}),
        "Card": schema_of(Card),
        "Scorecard": schema_of(Scorecard),
        "Version": record(
            {
                "version": _TEXT,
                "build": _TEXT,
                "git_revision": schema_of(str | None),
                "trained_at": {"type": "string", "format": "date-time"},
            }
        ),
        "State": record({"status": _TEXT}),
        "Freshness": record({"status": _TEXT, "age_seconds": _SECONDS, "stale_after_seconds": _SECONDS}),
    }


def _forecast_paths(model: Model) -> dict[str, Any]:
    start = example_start(model)
    return {
        "/bitcoin": {
            "operationId": "bitcoin",
            "tags": ["forecast"],
            "summary": "The price of Bitcoin on a day or at an instant",
            "parameters": [_date_parameter(model)],
            "responses": _model_responses("BitcoinPrediction", "BadParameter", "UnknownPair", "OutsideModel"),
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
            ],
            "responses": _model_responses(["ForecastDay"], "BadParameter", "UnknownPair", "OutsideModel"),
        },
        "/pairs": {
            "operationId": "pairs",
            "tags": ["forecast"],
            "summary": "Which pairs the model holds, and for which days",
            "responses": _model_responses(["PairRange"], "BadParameter"),
        },
    }


def _model_paths() -> dict[str, Any]:
    return {
        "/model": {
            "operationId": "model",
            "tags": ["model"],
            "summary": "The model card: what to know before trusting the model",
            "responses": _model_responses("Card", "BadParameter"),
        },
        "/scorecard": {
            "operationId": "scorecard",
            "tags": ["model"],
            "summary": "The live record: what became of the forecasts released before",
            "description": LIVE_RECORD,
            "responses": _model_responses("Scorecard", "BadParameter"),
        },
        "/version": {
            "operationId": "version",
            "tags": ["model"],
            "summary": "Which release this is, and when it was trained",
            "responses": _model_responses("Version", "BadParameter"),
        },
    }


def _operation_paths() -> dict[str, Any]:
    return {
        "/livez": _probe("livez", "Is the process alive?", "State"),
        "/readyz": _probe("readyz", "May it be sent requests?", "State", "NotReady"),
        "/fresh": _probe(
            "fresh", "Is the model as young as it should be? A stale one still answers.", "Freshness", "Stale"
        ),
        "/metrics": {
            "operationId": "metrics",
            "tags": ["operation"],
            "summary": "What Prometheus collects",
            "responses": {"200": _answer("The metrics, as text.", metrics.CONTENT_TYPE, _TEXT)},
        },
    }


def _documentation_paths() -> dict[str, Any]:
    redirect = {"description": "To /docs.", "headers": {"Location": {"schema": _TEXT}}, "content": {"text/html": {}}}
    file = {"name": "file", "in": "path", "required": True, "schema": {"type": "string", "enum": sorted(swagger.FILES)}}
    kinds = {kind: {"schema": _TEXT} for kind in sorted(set(swagger.FILES.values()))}
    return {
        "/": _page("root", "The way in", {"302": redirect}),
        "/docs": _page("docs", "This page", {"200": _answer("Swagger UI.", swagger.PAGE_TYPE, _TEXT)}),
        "/docs/{file}": {
            **_page(
                "docs_file",
                "What this page is made of",
                {"200": {"description": "It.", "content": kinds}, "404": "NotFound"},
            ),
            "parameters": [file | {"example": swagger.START}],
        },
        "/openapi.json": _page(
            "openapi",
            "This document",
            {"200": _answer("OpenAPI 3.1.", "application/json", {"type": "object"}), "304": "NotModified"},
        ),
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
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "string", "format": "date"},
        "example": example.isoformat(),
    }


def _model_responses(schema: str | list[str], *faults: str) -> dict[str, Any]:
    """An answer of the model: an object, or a list of them where the name stands in a list."""
    body = {"type": "array", "items": schema[0]} if isinstance(schema, list) else schema
    answer = _answer("The answer.", "application/json", body) | {"headers": _HEADERS}
    return {"200": answer, "304": "NotModified"} | {_STATUS[fault]: fault for fault in faults}


_STATUS = {"BadParameter": "400", "UnknownPair": "404", "OutsideModel": "422", "NotReady": "503", "Stale": "503"}


def _probe(name: str, summary: str, schema: str, *faults: str) -> dict[str, Any]:
    answer = _answer("It is.", "application/json", schema)
    return {
        "operationId": name,
        "tags": ["operation"],
        "summary": summary,
        "responses": {"200": answer} | {_STATUS[fault]: fault for fault in faults},
    }


def _page(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "tags": ["documentation"], "summary": summary, "responses": responses}


def _answer(description: str, content_type: str, schema: str | Schema) -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": schema}}}
