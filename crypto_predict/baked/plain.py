"""Dataclasses as plain data (dict, list, str, int, float, bool, None) and back.

``decode(type, encode(value)) == value`` for every dataclass whose fields are plain values, dates, instants, pairs,
tuples, dicts by string or pair, and further dataclasses. A dataclass may have a method ``faults() -> list[str]``;
decoding asks it. Nothing is trusted on the way in: faults are collected, each with the path at which it stands.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import types
import typing
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol, TypeVar

from crypto_predict.errors import CryptoPredictError, InvalidValue
from crypto_predict.market import Pair

T = TypeVar("T")
Decoder = Callable[[Any], Any]

MOST_FAULTS = 100  # kept; a hostile file may have a million


@typing.runtime_checkable
class Judged(Protocol):
    """A dataclass with rules for its values."""

    def faults(self) -> list[str]:
        """Return the violated rules, one line each."""


class Undecodable(CryptoPredictError):
    """Plain data that does not match a dataclass; `faults` names the places, at most `MOST_FAULTS`."""

    def __init__(self, faults: list[str]) -> None:
        least = "at least " if len(faults) == MOST_FAULTS else ""
        more = f"; and {least}{len(faults) - 10} more" if len(faults) > 10 else ""
        super().__init__("; ".join(faults[:10]) + more)
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands. It is written out for a fault alone: a path for every value would take quadratic time."""

    outer: _Place | None
    part: str  # of the path: .name, [0] or ['key']

    def __str__(self) -> str:
        parts = []
        place: _Place | None = self
        while place is not None:
            parts.append(place.part)
            place = place.outer
        return "".join(reversed(parts)).removeprefix(".") or "the model"


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of the mapping that stands at `place`."""

    place: _Place

    def __str__(self) -> str:
        return f"key of {self.place}"


_Decode = Callable[[Any, Any, "_Faults"], Any]  # of the data, its place, and where faults go


class _Faults:
    """The faults found so far; decoding ends at the last one that is kept."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, place: object, fault: str) -> None:
        self.found.append(f"{place}: {fault}")
        if len(self.found) == MOST_FAULTS:
            raise Undecodable(self.found)


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
        Undecodable: The data does not match the dataclass.
    """
    faults, kind = _Faults(), typing.cast("Any", cls)
    value = _decoder(kind)(data, _Place(None, name), faults)
    if faults.found:
        raise Undecodable(faults.found)
    return typing.cast("T", value)


@functools.cache
def _decoder(kind: Any) -> _Decode:
    """What decodes values of a type, prepared once: type hints are slow to look at, and asked for every band."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind) and kind is not Pair:
        return _dataclass_decoder(kind)
    if origin is types.UnionType:  # only `X | None` is used
        inner = _decoder(next(arm for arm in typing.get_args(kind) if arm is not types.NoneType))
        return lambda data, place, faults: None if data is None else inner(data, place, faults)
    if origin is tuple:
        return _tuple_decoder(typing.get_args(kind)[0])
    if origin is dict:
        return _dict_decoder(*typing.get_args(kind))
    return _scalar_decoder(kind)


def _dataclass_decoder(cls: Any) -> _Decode:
    fields = {name: (_decoder(kind), f".{name}") for name, kind in typing.get_type_hints(cls).items()}
    judges = issubclass(cls, Judged)

    def decode_dataclass(data: Any, place: _Place, faults: _Faults) -> Any:
        if not isinstance(data, dict):
            return faults.add(place, f"expected a mapping, found {_shown(data)}")
        if data.keys() != fields.keys():
            missing, unknown = fields.keys() - data.keys(), data.keys() - fields.keys()
            return faults.add(place, f"missing {_named(missing)}, unknown {_named(unknown)}")
        before = len(faults.found)
        values = {name: read(data[name], _Place(place, part), faults) for name, (read, part) in fields.items()}
        if len(faults.found) > before:
            return None
        value = cls(**values)
        if judges:
            for fault in value.faults():
                faults.add(place, fault)
        return value

    return decode_dataclass


def _tuple_decoder(kind: Any) -> _Decode:
    read = _decoder(kind)

    def decode_tuple(data: Any, place: _Place, faults: _Faults) -> Any:
        if not isinstance(data, list):
            return faults.add(place, f"expected a list, found {_shown(data)}")
        if kind is float and all(type(item) is float for item in data) and all(map(math.isfinite, data)):
            return tuple(data)  # most of a model
        return tuple([read(item, _Place(place, f"[{index}]"), faults) for index, item in enumerate(data)])

    return decode_tuple


def _dict_decoder(key_kind: Any, kind: Any) -> _Decode:
    read_key, read = _decoder(key_kind), _decoder(kind)

    def decode_dict(data: Any, place: _Place, faults: _Faults) -> Any:
        if not isinstance(data, dict):
            return faults.add(place, f"expected a mapping, found {_shown(data)}")
        decoded = {
            read_key(key, _Key(place), faults): read(item, _Place(place, f"[{_shown(key)}]"), faults)
            for key, item in data.items()
        }
        if len(decoded) < len(data):
            faults.add(place, f"{len(data)} keys mean {len(decoded)} different ones")
        return decoded

    return decode_dict


def _scalar_decoder(kind: Any) -> _Decode:
    expected, read = _SCALARS[kind]

    def decode_scalar(data: Any, place: _Place, faults: _Faults) -> Any:
        try:
            return read(data)
        except (ValueError, TypeError, OverflowError, InvalidValue):
            return faults.add(place, f"expected {expected}, found {_shown(data)}")

    return decode_scalar


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


def _named(keys: Set[Any]) -> str:
    """Some of the keys, in order."""
    names = sorted(_shown(key) for key in itertools.islice(keys, 20))
    return f"[{', '.join(names)}]" if names else "nothing"


def _shown(data: Any) -> str:
    text = repr(data) if isinstance(data, (str, int, float, bool, types.NoneType)) else type(data).__name__
    return text if len(text) <= 40 else f"{text[:40]}..."
