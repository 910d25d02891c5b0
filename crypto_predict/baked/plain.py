"""Dataclasses as plain data (dict, list, str, int, float, bool, None) and back.

``decode(type, encode(value)) == value`` for every dataclass whose fields are plain values, dates, instants, pairs,
tuples, dicts by string or pair, and further dataclasses. A dataclass may have a method ``faults() -> list[str]``;
decoding asks it. Nothing is trusted on the way in: every fault is collected, each with the path at which it stands.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from crypto_predict.errors import CryptoPredictError, InvalidValue
from crypto_predict.market import Pair

T = TypeVar("T")
Decoder = Callable[[Any], Any]


class Undecodable(CryptoPredictError):
    """Plain data that is not what a dataclass says; `faults` names each place."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else ""))
        self.faults = tuple(faults)


def encode(value: Any) -> Any:
    """The value as plain data: dataclasses and dicts as dicts, tuples as lists, dates, instants and pairs as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, Pair):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Pair) else value


def decode(cls: type[T], data: Any, name: str = "") -> T:
    """The dataclass `cls` out of plain data; `name` is what faults call the whole, which is a model unless said.

    Raises:
        Undecodable: With every place that is not what the dataclass says.
    """
    faults: list[str] = []
    value = _decode(cls, data, name, faults)
    if faults:
        raise Undecodable(faults)
    return typing.cast("T", value)


def _decode(kind: Any, data: Any, path: str, faults: list[str]) -> Any:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind) and kind is not Pair:
        return _decode_dataclass(kind, data, path, faults)
    if origin is types.UnionType:  # only `X | None` is used
        inner = next(arm for arm in typing.get_args(kind) if arm is not types.NoneType)
        return None if data is None else _decode(inner, data, path, faults)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind)[0], data, path, faults)
    if origin is dict:
        return _decode_dict(typing.get_args(kind), data, path, faults)
    return _decode_scalar(kind, data, path, faults)


def _decode_dataclass(cls: Any, data: Any, path: str, faults: list[str]) -> Any:
    if not isinstance(data, dict):
        return faults.append(f"{_at(path)}: expected a mapping, found {_shown(data)}")
    hints = _hints(cls)
    missing, unknown = sorted(hints.keys() - data.keys()), sorted(map(str, data.keys() - hints.keys()))
    if missing or unknown:
        return faults.append(f"{_at(path)}: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}")
    before = len(faults)
    fields = {name: _decode(kind, data[name], f"{path}.{name}".lstrip("."), faults) for name, kind in hints.items()}
    if len(faults) > before:
        return None
    value = cls(**fields)
    if hasattr(value, "faults"):
        faults.extend(f"{_at(path)}: {fault}" for fault in value.faults())
    return value


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)  # slow, and asked for every band of every horizon


def _decode_tuple(kind: Any, data: Any, path: str, faults: list[str]) -> Any:
    if not isinstance(data, list):
        return faults.append(f"{_at(path)}: expected a list, found {_shown(data)}")
    return tuple(_decode(kind, item, f"{path}[{index}]", faults) for index, item in enumerate(data))


def _decode_dict(kinds: tuple[Any, ...], data: Any, path: str, faults: list[str]) -> Any:
    if not isinstance(data, dict):
        return faults.append(f"{_at(path)}: expected a mapping, found {_shown(data)}")
    key_kind, kind = kinds
    return {
        _decode_scalar(key_kind, key, f"key of {_at(path)}", faults): _decode(kind, item, f"{path}[{key!r}]", faults)
        for key, item in data.items()
    }


def _decode_scalar(kind: Any, data: Any, path: str, faults: list[str]) -> Any:
    expected, read = _SCALARS[kind]
    try:
        return read(data)
    except (ValueError, TypeError, OverflowError, InvalidValue):
        return faults.append(f"{_at(path)}: expected {expected}, found {_shown(data)}")


def _exactly(kind: type) -> Decoder:
    def read(data: Any) -> Any:
        if type(data) is not kind:  # bool is no int here
            raise TypeError
        return data

    return read


def _finite(data: Any) -> float:
    if type(data) not in (float, int) or not math.isfinite(data):
        raise ValueError
    return float(data)


def _instant(data: Any) -> datetime:
    instant = datetime.fromisoformat(data)
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)


_SCALARS: dict[Any, tuple[str, Decoder]] = {
    str: ("text", _exactly(str)),
    int: ("a whole number", _exactly(int)),
    bool: ("true or false", _exactly(bool)),
    types.NoneType: ("nothing", _exactly(types.NoneType)),
    float: ("a finite number", _finite),
    date: ("an ISO date", date.fromisoformat),
    datetime: ("an ISO instant in UTC", _instant),
    Pair: ("a pair such as BTC/USD", lambda data: Pair.parse(_exactly(str)(data))),
}


def _at(path: str) -> str:
    return path or "the model"


def _shown(data: Any) -> str:
    text = repr(data) if isinstance(data, (str, int, float, bool, types.NoneType)) else type(data).__name__
    return text if len(text) <= 40 else f"{text[:40]}..."
