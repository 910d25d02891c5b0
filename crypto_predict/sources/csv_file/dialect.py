"""Find where a table begins and what separates its fields.

The header is the first line that names columns of a table of prices. What stands before it is a banner: an address, a
title, ``sep=;``. A table without a header begins with its first row.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice

from crypto_predict.sources.csv_file.columns import PRICES, Columns, continues, is_header, joined
from crypto_predict.sources.csv_file.lines import Lines, Unreadable, at_line, fields_of
from crypto_predict.sources.csv_file.notations import DayOrder, decimal_mark, instant, number

_DELIMITERS = ";\t|,"  # of two that are as frequent, a comma separates decimals
_MOST_BANNER = 20  # lines
_MOST_FURTHER = 2  # lines of a header after its first
_SAMPLE = 20  # rows of a table without a header
_BITFINEX = ("open", "close", "high", "low")


def find_table(lines: Lines, base: str | None) -> tuple[Columns, str, Lines]:
    """Return the columns of the table that begins in the first lines of a file, what separates them, and its rows.

    Raise `Unreadable` if there is none, or if columns are missing or ambiguous. `base` is the base currency.
    """
    start = list(islice(lines, _MOST_BANNER + _SAMPLE))
    if not start:
        raise Unreadable("it is empty")
    for index, (line, text) in enumerate(start[: _MOST_BANNER + 1]):
        delimiter = max(_DELIMITERS, key=text.count)
        with at_line(line):
            fields = fields_of(text, delimiter)
        if is_header(fields):
            rows = chain(start[index + 1 :], lines)
            columns = _with_header(line, fields, delimiter, rows, base)
        elif _is_row(fields):
            _check_banner(start[:index], delimiter, len(fields), base)
            columns, rows = _without_header(start[index:], delimiter), chain(start[index:], lines)
        else:
            continue
        banner = (f"line {line}, {text.strip()[:40]!r}, is not part of the table" for line, text in start[:index])
        return replace(columns, notices=(*banner, *columns.notices)), delimiter, rows
    line, text = start[0]
    _check_banner(start[:1], max(_DELIMITERS, key=text.count), None, base)
    raise Unreadable(f"line {line}: it is neither a header nor a row of prices")


def _check_banner(banner: Iterable[tuple[int, str]], delimiter: str, width: int | None, base: str | None) -> None:
    """Raise `Unreadable` if a line is the header of `width` columns, or of any: its names are in another language."""
    for line, text in banner:
        with at_line(line):
            names = fields_of(text, delimiter)
            if (width is None or len(names) == width) and not all(name.isdecimal() for name in names):
                Columns.of(names, base)


def _with_header(line: int, header: list[str], delimiter: str, rows: Lines, base: str | None) -> Columns:
    """Return the columns of a header, whose further lines are taken from the rows."""
    further = line
    while continues(header) and further < line + _MOST_FURTHER and (following := next(rows, None)):
        further, text = following
        with at_line(further):
            header = joined(header, fields_of(text, delimiter))
    with at_line(line):
        return Columns.of(header, base)


def _without_header(rows: Sequence[tuple[int, str]], delimiter: str) -> Columns:
    """Return the columns with the first order of prices in which every row of a sample is possible."""
    sample = []
    for line, text in rows:
        with at_line(line):
            sample.append(fields_of(text, delimiter))
    width, clock = len(sample[0]), ":" in sample[0][1]
    mark, _ = decimal_mark((field for fields in sample for field in fields[1 + clock :]), delimiter)
    for prices in (PRICES, _BITFINEX):
        columns = Columns.without_header(width, prices, clock=clock)
        if columns and all(_is_possible(fields, columns, mark) for fields in sample if len(fields) == width):
            return columns
    advice = "write a first line such as time,open,high,low,close,volume"
    raise Unreadable(f"line {rows[0][0]}: no header names these {width} columns: {advice}")


def _is_possible(fields: Sequence[str], columns: Columns, mark: str) -> bool:
    first, high, low, close = (_value(fields[columns.places[price]], mark) for price in PRICES)
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
