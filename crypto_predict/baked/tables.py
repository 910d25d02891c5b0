"""Plain data in fewer bytes: the columns of its tables as small whole numbers, which compress well.

``unpacked(packed(data), most) == data`` for all plain data: nothing is rounded, and only the sign of -0.0 is lost. A
table is a list of values, or of rows or mappings that are alike. Each column is of whole numbers: the values times a
power of ten, or days. They are replaced with their differences from the day before and from the week before, as in
seasonal models of time series (Box and Jenkins, "Time Series Analysis", 1970, chapter 9), by which smooth and weekly
columns become small.

A packed table is the list of the text "table" and a `Table` as plain data. No other list is of a text and a mapping,
since the items of a list in plain data are of one type.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate, repeat
from operator import sub, truediv
from typing import Any

from crypto_predict.baked import plain

_MARK = "table"
_VALUES, _ROWS, _MAPPINGS = "values", "rows", "mappings"
_WHOLE, _DECIMAL, _DATE = "whole", "decimal", "date"
_NESTED = frozenset({dict, list})
_MOST_DECIMALS = 15
_MOST_NUMBER = 2**53  # up to which floats are exact
_MOST_CELLS = 300_000  # of a table: one at a time is in memory twice
_LAGS = ((), (1,), (1, 1), (1, 7), (1, 7, 7))  # ways to take differences; the best one is chosen for each column


@dataclass(frozen=True, slots=True)
class Column:
    """A column of values as differences of whole numbers: the values times ``10**decimals``, or ordinals of dates."""

    kind: str
    decimals: int  # 0 unless the values are decimal
    lags: tuple[int, ...]  # one after the other, the number so many rows above was subtracted, as far as there is one
    numbers: tuple[int, ...]
    missing: tuple[int, ...]  # the places of values that are None, whose numbers are those above

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.kind not in {_WHOLE, _DECIMAL, _DATE}:
            yield f"{self.kind!r:.40} is not a kind of column"
        if not 0 <= self.decimals <= _MOST_DECIMALS:
            yield f"{self.decimals} decimals are not 0 to {_MOST_DECIMALS}"
        if self.lags not in _LAGS:
            yield f"lags {self.lags!s:.40} are none of {_LAGS}"
        if any(not 0 <= place < len(self.numbers) for place in self.missing):
            yield f"places without a value are not among {len(self.numbers)}"


@dataclass(frozen=True, slots=True)
class Table:
    """A list of plain data by its columns."""

    form: str  # the items are the values of one column, rows of all columns, or mappings
    names: tuple[str, ...]  # of the members of mappings; otherwise none
    columns: tuple[Column, ...]

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        count = len(self.columns)
        if self.form not in {_VALUES, _ROWS, _MAPPINGS}:
            yield f"{self.form!r:.40} is not a form of table"
        if not count or (self.form == _VALUES and count > 1):
            yield f"{count} columns do not make {self.form:.40}"
        if len({*self.names}) != (count if self.form == _MAPPINGS else 0) or len({*self.names}) != len(self.names):
            yield f"{len(self.names)} names are not those of {count} columns"
        if len({len(column.numbers) for column in self.columns}) > 1:
            yield "columns differ in length"
        if (cells := sum(len(column.numbers) for column in self.columns)) > _MOST_CELLS:
            yield f"{cells:,} values are more than a table can have ({_MOST_CELLS:,})"


def packed(data: Any) -> Any:
    """Return plain data with its tables packed, as far as that makes them shorter."""
    if type(data) is dict:
        return {name: packed(item) for name, item in data.items()}
    if type(data) is not list:
        return data
    if (table := _table(data)) is not None:
        result = [_MARK, plain.encode(table)]
        if _length(result) < _length(data):
            return result
    return [packed(item) for item in data]


def unpacked(data: Any, most: int) -> Any:
    """Return what was packed, in place of `data`, which may be any plain data.

    Raises:
        Undecodable: A table is faulty, or all of them have more rows, and members of mappings, than `most`.
    """
    return _Unpacking(most).of(data)


class _Unpacking:
    def __init__(self, most: int) -> None:
        self._room = most  # for rows and members

    def of(self, data: Any) -> Any:
        if type(data) is list and len(data) == 2 and data[0] == _MARK and type(data[1]) is dict:
            return self._items(plain.decode(Table, data[1], "a table"))
        places: Iterable[tuple[Any, Any]] = ()
        if type(data) is dict:
            places = data.items()
        elif type(data) is list:
            places = enumerate(data)
        for place, item in places:
            if type(item) in _NESTED:
                data[place] = self.of(item)
        return data

    def _items(self, table: Table) -> list[Any]:
        columns = list(map(_values, table.columns))
        if table.form == _VALUES:
            return columns[0]
        self._room -= len(columns[0]) * (1 + len(table.names))
        if self._room < 0:
            raise plain.Undecodable(["its tables have more rows and members than a model can have"])
        rows = zip(*columns, strict=True)
        return (
            list(map(list, rows)) if table.form == _ROWS else [dict(zip(table.names, row, strict=True)) for row in rows]
        )


def _table(data: list[Any]) -> Table | None:
    """Return a list as a table; None if it is none, is too large, or has a column that cannot be packed."""
    form, names, kinds = _VALUES, tuple[str, ...](), {*map(type, data)}
    columns: Sequence[Sequence[Any]] = [data]
    if kinds == {list} and len({*map(len, data)}) == 1:
        form, columns = _ROWS, [*zip(*data, strict=True)]
    elif kinds == {dict} and len({*map(tuple, data)}) == 1:
        form, names, columns = _MAPPINGS, tuple(data[0]), [*zip(*(item.values() for item in data), strict=True)]
    if not 0 < sum(map(len, columns)) <= _MOST_CELLS:
        return None
    made = []
    for column in columns:
        if (differences := _column(column)) is None:
            return None
        made.append(differences)
    return Table(form, names, tuple(made))


def _column(values: Sequence[Any]) -> Column | None:
    """Return a column of values; None if they are not of one kind, or have too many digits."""
    given = [value for value in values if value is not None]
    kinds, decimals = {*map(type, given)}, 0
    if kinds == {int}:
        kind, whole = _WHOLE, given
    elif kinds == {float} and all(map(math.isfinite, given)):
        exact = [Decimal(repr(value)).normalize() for value in given]  # the digits that JSON has
        decimals = max(0, *(-int(number.as_tuple().exponent) for number in exact))
        kind, whole = _DECIMAL, [int(number.scaleb(decimals)) for number in exact]
    elif kinds == {str} and all(map(_is_date, given)):
        kind, whole = _DATE, [date.fromisoformat(value).toordinal() for value in given]
    else:
        return None
    if decimals > _MOST_DECIMALS or max(map(abs, whole)) > _MOST_NUMBER:
        return None
    above, following, numbers = 0, iter(whole), []
    for value in values:
        above = above if value is None else next(following)
        numbers.append(above)
    ways = [(lags, _differences(numbers, lags)) for lags in _LAGS]
    lags, differences = min(ways, key=lambda way: len(str(way[1])))
    return Column(kind, decimals, lags, differences, tuple(n for n, value in enumerate(values) if value is None))


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _differences(numbers: Sequence[int], lags: Sequence[int]) -> tuple[int, ...]:
    for lag in lags:
        numbers = list(map(sub, numbers, [*repeat(0, lag), *numbers]))
    return tuple(numbers)


def _values(column: Column) -> list[Any]:
    """Return the values of a column."""
    numbers: list[Any] = list(column.numbers)
    for lag in reversed(column.lags):
        for start in range(lag):
            numbers[start::lag] = accumulate(numbers[start::lag])
    if column.kind == _DECIMAL:
        numbers = list(map(truediv, numbers, repeat(10**column.decimals)))  # the float nearest to these digits
    elif column.kind == _DATE:
        try:
            numbers = [date.fromordinal(number).isoformat() for number in numbers]
        except (ValueError, OverflowError) as error:
            raise plain.Undecodable(["a table has days outside of the calendar"]) from error
    for place in column.missing:
        numbers[place] = None
    return numbers


def _length(data: Any) -> int:
    return len(json.dumps(data, separators=(",", ":")))
