"""JSON Schemas of dataclasses that are served as they are, so that document and answer cannot differ."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from crypto_predict.market import Pair
from crypto_predict.web.http import problems
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.model import questions

Schema = dict[str, Any]

PAIR: Schema = {"type": "string", "pattern": "^[A-Z0-9]{1,20}/[A-Z0-9]{2,10}$", "examples": ["BTC/USD"]}

PAIR_PARAMETER: dict[str, Any] = {
    "name": "pair",
    "in": "path",
    "required": True,
    "description": "Two currencies: `BTC-USD`, or `BTC/USD` encoded as `BTC%2FUSD`; upper and lower case are equal.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9]{1,20}[/_-][A-Za-z0-9]{2,10}$"},
}

_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    Pair: PAIR,
}


def schema_of(kind: Any) -> Schema:
    """Return the schema of what `plain.encode` makes of a value of this type.

    Raises:
        TypeError: Values of this type, or of a field's, are not served.
    """
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if dataclasses.is_dataclass(kind):
        return record({name: schema_of(hint) for name, hint in typing.get_type_hints(kind).items()})
    origin, arms = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return {"anyOf": [schema_of(arm) for arm in arms]}
    if origin is tuple:
        return {"type": "array", "items": schema_of(arms[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arms[1])}
    raise TypeError(f"{kind} has no schema")


def parameter(name: str, description: str, schema: Schema, example: object = None) -> dict[str, Any]:
    """Return a parameter of a query."""
    found = {"name": name, "in": "query", "description": description, "schema": schema}
    return found if example is None else found | {"example": example}


FORMAT_PARAMETER = parameter(
    questions.FORMAT,
    "`csv` for a file of CSV, as `.csv` at the end of the path.",
    {"type": "string", "enum": list(questions.FORMATS)},
    "json",
)


def record(properties: dict[str, Schema]) -> Schema:
    """Return the schema of an object that has all of these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def response(description: str, content_type: str, schema: str, example: object) -> dict[str, Any]:
    """Return a response whose schema is one of the components."""
    content = {content_type: {"schema": ref("schemas", schema), "example": example}}
    return {"description": description, "content": content}


def problem_response(description: str, problem: Problem) -> dict[str, Any]:
    """Return a response of an error, with an example."""
    return response(description, problems.CONTENT_TYPE, "Problem", json.loads(problem.rendered().body))


def or_null(schema: Schema) -> Schema:
    """Return the schema of what may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(kind: str, name: str) -> dict[str, str]:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def refs(kind: str, names: Sequence[str]) -> dict[str, Any]:
    """Return references to components, by their names."""
    return {name: ref(kind, name) for name in names}


def cut(value: Any) -> Any:
    """Return plain data with only the first two members of each list, for an example."""
    if isinstance(value, dict):
        return {name: cut(member) for name, member in value.items()}
    return [cut(member) for member in value[:2]] if isinstance(value, list) else value
