"""The endpoints that change what is collected, in the OpenAPI document of a service with a database."""

from __future__ import annotations

from typing import Any

from crypto_predict.baked import plain
from crypto_predict.market import Pair
from crypto_predict.web.collected.administration import (
    AdministrationOff,
    ExchangeUnavailable,
    NotTraded,
    TooManyGuesses,
    Unauthorized,
)
from crypto_predict.web.collected.questions import NewPair
from crypto_predict.web.collected.series import Example
from crypto_predict.web.documentation.collected import TAG, example_states
from crypto_predict.web.documentation.schemas import (
    PAIR_PARAMETER,
    Schema,
    or_null,
    parameter,
    problem_response,
    record,
    ref,
    response,
)
from crypto_predict.web.http import problems
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import JSON
from crypto_predict.web.model.questions import MOMENT_PATTERN

_TEXT: Schema = {"type": "string"}
_SECURITY: list[dict[str, list[str]]] = [{"administrator": []}]
_OF_NEW_PAIR = """\
The pair is collected from the first source that has it, or from `source`, which is asked before anything is changed.
Some exchanges trade another currency in its place: then the answer names that pair. Its minutes are collected from
`since` on, or from 90 days ago on; the collector begins within a minute.
"""
_OF_REMOVED_PAIR = "Its candles stay. `POST /pairs` goes on with it, and fills what is missing."
_PROBLEMS = {  # name to description
    "Unauthorized": "The token is missing or wrong.",
    "TooManyGuesses": "Too many wrong tokens have come; `Retry-After` says when one is looked at again.",
    "AdministrationOff": "This server does not change what is collected.",
    "UnsupportedBody": "The body is not announced as JSON.",
    "BodyTooLong": "The body is too long.",
    "NotTraded": "No source has the pair, or not `source`.",
    "CannotChange": "The exchange or the database cannot be asked now; `Retry-After` says when to try again.",
}


def extend(document: dict[str, Any], example: Example) -> None:
    """Add the endpoints to a document that has those of a database."""
    components, states = document["components"], plain.encode(example_states(example))
    components["securitySchemes"] = {
        "administrator": {"type": "http", "scheme": "bearer", "description": "The token in ADMIN_TOKEN of the server."}
    }
    text = {**_TEXT, "pattern": PAIR_PARAMETER["schema"]["pattern"]}
    since = {**_TEXT, "pattern": MOMENT_PATTERN}
    body = record({"pair": text, "source": or_null(_TEXT), "since": or_null(since)}) | {"required": ["pair"]}
    components["schemas"]["NewPair"] = body
    for name, problem in _example_problems().items():
        components["responses"][name] = problem_response(_PROBLEMS[name], problem)
    refused = {
        "400": "BadParameter",
        "401": "Unauthorized",
        "403": "AdministrationOff",
        "429": "TooManyGuesses",
        "503": "CannotChange",
    }
    refused_bodies = {"413": "BodyTooLong", "415": "UnsupportedBody", "422": "NotTraded"}
    series = example.series
    asked = dict(zip(NewPair._fields, (str(series.pair), series.source, str(example.day)), strict=True))
    document["paths"]["/pairs"]["post"] = {
        "operationId": "addPair",
        "tags": [TAG],
        "summary": "Collect a pair",
        "description": _OF_NEW_PAIR,
        "security": _SECURITY,
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": ref("schemas", "NewPair"), "example": asked}},
        },
        "responses": {
            "200": response("It was collected already.", JSON, "OneSeries", states[0]),
            "201": response("It is collected now.", JSON, "OneSeries", states[0]),
            **{status: ref("responses", name) for status, name in {**refused, **refused_bodies}.items()},
        },
    }
    source = parameter("source", "By default the pair is no longer collected from any source.", _TEXT, series.source)
    document["paths"]["/pairs/{pair}"] = {
        "delete": {
            "operationId": "removePair",
            "tags": [TAG],
            "summary": "Stop collecting a pair",
            "description": _OF_REMOVED_PAIR,
            "security": _SECURITY,
            "parameters": [PAIR_PARAMETER | {"example": series.pair.slug}, source],
            "responses": {
                "200": response("The series that are no longer collected.", JSON, "SeriesState", states),
                **{status: ref("responses", name) for status, name in {**refused, "404": "NotCollected"}.items()},
            },
        }
    }


def _example_problems() -> dict[str, Problem]:
    """Return a problem of each kind in `_PROBLEMS`."""
    errors = {
        "Unauthorized": Unauthorized(is_wrong=True),
        "TooManyGuesses": TooManyGuesses(42),
        "AdministrationOff": AdministrationOff(),
        "NotTraded": NotTraded(Pair("XYZ", "USD"), ["binance: it does not have XYZ/USD"]),
        "CannotChange": ExchangeUnavailable("binance: no answer within 10 s"),
    }
    return {name: problems.of_error(error) for name, error in errors.items()} | {
        "UnsupportedBody": Problem(415, "the body must be JSON: send Content-Type: application/json"),
        "BodyTooLong": Problem(413, "the body of this request is too long"),
    }
