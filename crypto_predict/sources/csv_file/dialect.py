"""Find where a table begins and what separates its fields.

The header is the first line that names columns of a table of prices. What stands before it is a banner: an address, a
title, ``sep=;``. A table without a header begins with its first row.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from crypto_predict.sources.csv_file.columns import BadRow, Columns, continues, is_header, joined
from crypto_predict.sources.csv_file.dates import DayOrder, instant
from crypto_predict.sources.csv_file.lines import Unreadable
from crypto_predict.sources.csv_file.numbers import DecimalMark, number

_DELIMITERS = ";\t|,"  # of two that are as frequent, a comma separates decimals
_MOST_BANNER = 20  # lines
_MOST_FURTHER = 2  # lines of a header after its first
_SAMPLE = 20  # rows of a table without a header

Lines = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class Dialect:
    """How a table is written: its columns, and its rows still as lines."""

    columns: Columns
    delimiter: str
    header: Sequence[str]  # empty if there is none
    rows: Lines
    notices: tuple[str, ...]


def find_table(lines: Lines, base: str | None) -> Dialect:
    """Return the table that begins in the first lines of a file; `base` is the base currency.

    Raises:
        Unreadable: There is none, or columns are missing or ambiguous.
    """
    start = list(islice(lines, _MOST_BANNER + _SAMPLE))
    if not start:
        raise Unreadable("it is empty")
    for index, (line, text) in enumerate(start[: _MOST_BANNER + 1]):
        delimiter = delimiter_of(text)
        fields = _sound_fields(line, text, delimiter)
        banner = tuple(f"line {line}, {text.strip()[:40]!r}, is not part of the table" for line, text in start[:index])
        if is_header(fields):
            return _with_header(line, fields, delimiter, chain(start[index + 1 :], lines), base, banner)
        if _is_row(fields):
            _check_banner(start[:index], delimiter, len(fields), base)
            return _without_header(start[index:], delimiter, lines, banner)
    _check_banner(start[:1], delimiter_of(start[0][1]), None, base)
    raise Unreadable(f"line {start[0][0]}: it is neither a header nor a row of prices")


def delimiter_of(line: str) -> str:
    """Return what separates the fields of a line: the most frequent candidate."""
    return max(_DELIMITERS, key=line.count)


def fields_of(line: str, delimiter: str) -> list[str]:
    """Return the fields of one line. A quoted field ends with its line, so that one lost quote costs one line.

    Raises:
        BadRow: It is not CSV.
    """
    if "\0" in line:
        raise BadRow("it holds a NUL byte, so this is not text")
    try:
        return [text.strip() for text in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise BadRow(f"it is not CSV: {error}") from error


def _sound_fields(line: int, text: str, delimiter: str) -> list[str]:
    try:
        return fields_of(text, delimiter)
    except BadRow as error:
        raise Unreadable(f"line {line}: {error}") from error


def _check_banner(
    banner: Lines | Sequence[tuple[int, str]], delimiter: str, width: int | None, base: str | None
) -> None:
    """Raise `Unreadable` if a line is the header of `width` columns, or of any: its names are in another language."""
    for line, text in banner:
        names = _sound_fields(line, text, delimiter)
        if (width is None or len(names) == width) and not all(name.isdecimal() for name in names):
            try:
                Columns.of(names, base)
            except BadRow as error:
                raise Unreadable(f"line {line}: {error}") from error


def _with_header(  # noqa: PLR0913, PLR0917 what is known where a header begins
    line: int, header: list[str], delimiter: str, rest: Lines, base: str | None, banner: tuple[str, ...]
) -> Dialect:
    further = line
    while continues(header) and further < line + _MOST_FURTHER and (following := next(rest, None)):
        further, text = following
        try:
            header = joined(header, fields_of(text, delimiter))
        except BadRow as error:
            raise Unreadable(f"line {further}: {error}") from error
    try:
        columns = Columns.of(header, base)
    except BadRow as error:
        raise Unreadable(f"line {line}: {error}") from error
    return Dialect(columns, delimiter, header, rest, (*banner, *columns.notices))


def _without_header(rows: Sequence[tuple[int, str]], delimiter: str, rest: Lines, banner: tuple[str, ...]) -> Dialect:
    """Return the dialect with the first order of prices in which every row of a sample is possible."""
    sample = [_sound_fields(line, text, delimiter) for line, text in rows]
    width, clock = len(sample[0]), ":" in sample[0][1]
    decimals = DecimalMark()
    for fields in sample:
        for field in fields[1 + clock :]:
            decimals.see(field)
    mark = decimals.mark(delimiter)
    for high in (1, 2):
        columns = Columns.without_header(width, clock=clock, high=high)
        if columns and all(_is_possible(fields, columns, mark) for fields in sample if len(fields) == width):
            return Dialect(columns, delimiter, (), chain(rows, rest), (*banner, *columns.notices))
    advice = "write a first line such as time,open,high,low,close,volume"
    raise Unreadable(f"line {rows[0][0]}: no header names these {width} columns: {advice}")


def _is_possible(fields: Sequence[str], columns: Columns, mark: str) -> bool:
    first, high, low, close = (_value(fields[place], mark) for place in columns.prices)
    return not (low > min(first, close) or max(first, close) > high)  # NaN does not contradict


def _is_row(fields: Sequence[str]) -> bool:
    """Return whether the fields begin with a time, and a number follows."""
    try:
        instant(fields[0], DayOrder.DAY_FIRST if "." in fields[0] else DayOrder.MONTH_FIRST)
    except ValueError:
        return False
    return any(_value(field, mark) > 0 for field in fields[1:3] for mark in ".,")


def _value(text: str, mark: str) -> float:
    try:
        return number(text, mark)
    except ValueError:
        return math.nan
