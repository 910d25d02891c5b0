"""Dataclasses as plain data (dict, list, str, int, float, bool, None) and back.

``decode(type, encode(value)) == value`` for every dataclass whose fields are plain values, dates, instants, pairs,
tuples, dicts by string or pair, and further dataclasses. If a dataclass has a method ``faults``, decoding adds what it
yields: the violated rules, a line each. The data is not trusted: all faults are collected, each with its path.
"""

import dataclasses
import functools
import itertools
import math
import types
import typing
from collections.abc import Callable, Set
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from crypto_predict.errors import CryptoPredictError, InvalidValue, shown
from crypto_predict.market import Pair

T = TypeVar("T")

_PLAIN = frozenset({str, int, float, bool, types.NoneType})  # are plain data; most values are one of them

# Most of a model are tuples of these types, whose items need not be decoded one by one.
_SIMPLE: dict[Any, frozenset[type]] = {
    int: frozenset({int}),
    float: frozenset({float}),
    float | None: frozenset({float, types.NoneType}),
}

MOST_WHOLE = 2**63  # whole numbers are less, which hold 64 bits
MOST_FAULTS = 100  # kept; a hostile file may have a million


class Undecodable(CryptoPredictError):
    """Plain data that does not match a dataclass; `faults` names the paths, at most `MOST_FAULTS`."""

    def __init__(self, faults: list[str]) -> None:
        least = "at least " if len(faults) == MOST_FAULTS else ""
        more = f"; and {least}{len(faults) - 10} more" if len(faults) > 10 else ""
        super().__init__("; ".join(faults[:10]) + more)
        self.faults = tuple(faults)


_Decoder = Callable[[Any, str, list[str]], Any]  # of data, its path, and the faults to add to; returns None if faulty


def encode(value: Any) -> Any:
    """Return a value as plain data: dataclasses and dicts as dicts, tuples as lists, others as text."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if names := _field_names(kind):
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {str(key): item if type(item) in _PLAIN else encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [item if type(item) in _PLAIN else encode(item) for item in value]  # most of a model are numbers
    if isinstance(value, date):  # or a datetime
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Pair) else value


@functools.cache
def _field_names(kind: type) -> tuple[str, ...]:
    """Return the fields of a dataclass; none of other types, and of a pair, which is text."""
    is_mapping = dataclasses.is_dataclass(kind) and kind is not Pair
    return tuple(field.name for field in dataclasses.fields(kind)) if is_mapping else ()


def decode(cls: type[T], data: Any, name: str = "") -> T:
    """Return the dataclass `cls` made of plain data; `name` is the name of the whole in faults, by default "the model".

    Raises:
        Undecodable: The data does not match the dataclass.
    """
    faults: list[str] = []
    value = _decoder(typing.cast("Any", cls))(data, name, faults)
    if faults:
        raise Undecodable(faults)
    return typing.cast("T", value)


def _add(faults: list[str], path: str, fault: str) -> None:
    faults.append(f"{path.removeprefix('.') or 'the model'}: {fault}")
    if len(faults) == MOST_FAULTS:
        raise Undecodable(faults)


@functools.cache
def _decoder(kind: Any) -> _Decoder:
    """Return the decoder of a type. Built once, because type hints are slow to inspect."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and kind is not Pair:
        return _expecting("a mapping", _exactly(dict), _dataclass_decoder(kind))
    if origin is types.UnionType:  # only `X | None` is used
        inner = _decoder(arguments[0])
        return lambda data, path, faults: None if data is None else inner(data, path, faults)
    if origin is tuple:
        return _expecting("a list", _exactly(list), _tuple_decoder(arguments[0]))
    if origin is dict:
        return _expecting("a mapping", _exactly(dict), _dict_decoder(*arguments))
    return _expecting(*_SCALARS[kind])


def _expecting(expected: str, read: Callable[[Any], Any], decoder: _Decoder | None = None) -> _Decoder:
    """Return the decoder of what `read` accepts, and what `decoder`, if there is one, makes of it."""

    def decode_value(data: Any, path: str, faults: list[str]) -> Any:
        try:
            value = read(data)
        except (ValueError, TypeError, OverflowError, InvalidValue):
            _add(faults, path, f"expected {expected}, found {shown(data)}")
            return None
        return value if decoder is None else decoder(value, path, faults)

    return decode_value


def _dataclass_decoder(cls: Any) -> _Decoder:
    fields = {name: (_decoder(kind), f".{name}") for name, kind in typing.get_type_hints(cls).items()}
    checked = hasattr(cls, "faults")

    def decode_dataclass(data: dict[Any, Any], path: str, faults: list[str]) -> Any:
        if data.keys() != fields.keys():
            missing, unknown = fields.keys() - data.keys(), data.keys() - fields.keys()
            _add(faults, path, f"missing {_named(missing)}, unknown {_named(unknown)}")
            return None
        before = len(faults)
        values = {name: read(data[name], path + part, faults) for name, (read, part) in fields.items()}
        if len(faults) > before:
            return None
        value = cls(**values)
        for fault in value.faults() if checked else ():
            _add(faults, path, fault)
        return value

    return decode_dataclass


def _tuple_decoder(kind: Any) -> _Decoder:
    read, simple = _decoder(kind), _SIMPLE.get(kind, frozenset())
    within = _whole_within if kind is int else _all_finite

    def decode_tuple(data: list[Any], path: str, faults: list[str]) -> Any:
        if simple.issuperset(map(type, data)) and within(data):
            return tuple(data)  # most of a model
        return tuple([read(item, f"{path}[{index}]", faults) for index, item in enumerate(data)])

    return decode_tuple


def _all_finite(data: list[float | None]) -> bool:
    return all(map(math.isfinite, filter(None, data)))


def _whole_within(data: list[int]) -> bool:
    return not data or (min(data) > -MOST_WHOLE and max(data) < MOST_WHOLE)


def _dict_decoder(key_kind: Any, kind: Any) -> _Decoder:
    read_key, read = _decoder(key_kind), _decoder(kind)

    def decode_dict(data: dict[Any, Any], path: str, faults: list[str]) -> Any:
        decoded = {
            read_key(key, f"key of {path.removeprefix('.')}", faults): read(item, f"{path}[{shown(key)}]", faults)
            for key, item in data.items()
        }
        if len(decoded) < len(data):
            _add(faults, path, f"{len(data)} keys mean {len(decoded)} different ones")
        return decoded

    return decode_dict


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(data: Any) -> Any:
        if type(data) is not kind:  # a bool is not accepted as an int
            raise TypeError
        return data

    return read


def _whole(data: Any) -> int:
    if type(data) is not int or not -MOST_WHOLE < data < MOST_WHOLE:
        raise ValueError
    return data


def _finite(data: Any) -> float:
    if type(data) not in (float, int) or not math.isfinite(data):
        raise ValueError
    return float(data)


def _instant(data: Any) -> datetime:
    instant = datetime.fromisoformat(data)
    if instant.tzinfo is None or not instant.year > 1 or instant >= _LATEST:
        raise ValueError
    return instant.astimezone(UTC)


_LATEST = datetime(9999, 6, 1, tzinfo=UTC)  # arithmetic with later instants may leave the calendar
_SCALARS: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    str: ("text", _exactly(str)),
    int: ("a whole number", _whole),
    bool: ("true or false", _exactly(bool)),
    types.NoneType: ("nothing", _exactly(types.NoneType)),
    float: ("a finite number", _finite),
    date: ("an ISO date", date.fromisoformat),
    datetime: ("an ISO instant in UTC before June 9999", _instant),
    Pair: ("a pair such as BTC/USD", lambda data: Pair.parse(_exactly(str)(data))),
}


def _named(keys: Set[Any]) -> str:
    """Return some of the keys, in order."""
    names = sorted(shown(key) for key in itertools.islice(keys, 20))
    return f"[{', '.join(names)}]" if names else "nothing"
