"""JSON Schemas of dataclasses that are served as they are, so that document and answer cannot differ."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.market import Pair
from crypto_predict.web.http.queries import FORMAT, FORMATS, MOMENT_PATTERN

Schema = dict[str, Any]
Parameter = dict[str, Any]

TEXT: Schema = {"type": "string"}
DAY: Schema = {**TEXT, "format": "date"}
MOMENT: Schema = {**TEXT, "pattern": MOMENT_PATTERN}
PAIR: Schema = {**TEXT, "pattern": "^[A-Z0-9]{1,20}/[A-Z0-9]{2,10}$", "examples": ["BTC/USD"]}
BOOLEAN: Schema = {"type": "boolean"}

_SCALARS: dict[Any, Schema] = {
    str: TEXT,
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: BOOLEAN,
    types.NoneType: {"type": "null"},
    date: DAY,
    datetime: {**TEXT, "format": "date-time"},
    Pair: PAIR,
}


def schema_of(kind: Any) -> Schema:
    """Return the schema of what `plain.encode` makes of a value of this type; of ``Annotated[T, SCHEMA]`` that."""
    origin, arms = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return dict(arms[1])
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if origin in {types.UnionType, typing.Union}:
        return {"anyOf": [schema_of(arm) for arm in arms]}
    if origin in {list, tuple}:
        return listed(schema_of(arms[0]))
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arms[1])}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return record({name: schema_of(hint) for name, hint in hints.items()})
    raise TypeError(f"{kind} has no schema")


def record(properties: dict[str, Schema]) -> Schema:
    """Return the schema of an object that has all of these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def listed(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """Return the schema of what may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(kind: str, name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def refs(kind: str, names: Sequence[str]) -> dict[str, Schema]:
    """Return references to components, by their names."""
    return {name: ref(kind, name) for name in names}


def parameter(name: str, description: str, schema: Schema, example: object = None) -> Parameter:
    """Return a parameter of a query."""
    described = {"name": name, "in": "query", "description": description, "schema": schema}
    return described if example is None else described | {"example": example}


def pair_parameter(pair: Pair) -> Parameter:
    """Return the parameter of a path that names a pair, such as this one."""
    text = "Two currencies: `BTC-USD`, or `BTC/USD` encoded as `BTC%2FUSD`; upper and lower case are equal."
    named = parameter("pair", text, {**TEXT, "pattern": PAIR_TEXT}, pair.slug)
    return named | {"in": "path", "required": True}


PAIR_TEXT = "^[A-Za-z0-9]{1,20}[/_-][A-Za-z0-9]{2,10}$"  # a pattern of a pair in a path or a body
FORMAT_PARAMETER = parameter(
    FORMAT, "`csv` for a file of CSV, as `.csv` at the end of the path.", {**TEXT, "enum": list(FORMATS)}, "json"
)


def cut(value: Any) -> Any:
    """Return a value as plain data for an example: the first pair of a dict by pair, two members of any list."""
    if dataclasses.is_dataclass(value) and not isinstance(value, Pair):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        most = 1 if any(isinstance(key, Pair) for key in value) else len(value)
        return {str(key): cut(member) for key, member in list(value.items())[:most]}
    return [cut(member) for member in value[:2]] if isinstance(value, list | tuple) else plain.encode(value)
