"""Read a CSV file into candles, and report every fault of it.

The file is read once. Its rows are kept as text until the last one has been seen, since the whole file decides how its
dates and numbers are written.
"""

import logging
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from itertools import pairwise
from pathlib import Path

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import DAY, Candle
from crypto_predict.sources.csv_file.columns import PRICES, BadRow, Columns
from crypto_predict.sources.csv_file.dates import AmbiguousDates, DayOrder, day_order, instant, milliseconds
from crypto_predict.sources.csv_file.dialect import fields_of, find_table
from crypto_predict.sources.csv_file.lines import MOST_LINES, Unreadable, lines, opened
from crypto_predict.sources.csv_file.numbers import DecimalMark, number

MOST_FAULTS = 1_000
_MOST_FOOTER = 5  # lines
_MOST_CELL = 80  # characters of a value that are kept: a message shows 40

Row = tuple[Candle, int]  # a candle and its line

_log = logging.getLogger(__name__)


def read_csv(path: Path, most_lines: int = MOST_LINES, base: str | None = None) -> list[Row]:
    """Return every row with a price, ascending, at least one. The assumptions are logged in one line; see `read`."""
    rows, assumptions = read(path, most_lines, base)
    log_assumptions(path, assumptions)
    return rows


def log_assumptions(path: Path, assumptions: Sequence[str]) -> None:
    """Log in one line what was assumed about a file."""
    if assumptions:
        _log.warning("file:%s: assumed that %s", path, "; ".join(assumptions))


def read(path: Path, most_lines: int, base: str | None) -> tuple[list[Row], list[str]]:
    """Return every row with a price, ascending, at least one, and the assumptions.

    A row is returned unchanged, even if it is repeated or impossible. Where a file has closes alone, the close is the
    only price of each candle. If a volume is missing anywhere, it is 0 everywhere.

    Args:
        path: The file.
        most_lines: More are refused, and so is a file with more than `lines.USUAL_LENGTH` characters a line on average.
        base: The currency whose volume is read, if the file has several.

    Raises:
        UnusableHistory: With every fault of the file.
        InvalidValue: The dates of the file have two readings.
    """
    table, rows = _Table(), list[Row]()
    try:
        with opened(path) as file:
            table.take(lines(file, most_lines, table.notices), base)
    except Unreadable as error:
        table.faults.append(_Fault(None, str(error)))
    try:
        rows = table.rows()
    except Unreadable as error:
        table.faults.append(_Fault(None, str(error)))
    except AmbiguousDates as error:
        expected = f"one day: {error.readings} fit every row. Write the dates of this file as 2025-06-30"
        raise InvalidValue(f"file:{path}", error.text, expected) from error
    if table.faults:
        raise UnusableHistory(f"file:{path}", [str(fault) for fault in sorted(table.faults, key=_Fault.place)])
    return rows, table.notices


@dataclass(frozen=True, slots=True)
class _Fault:
    line: int | None  # None: of the whole file
    reason: str
    is_text: bool = False  # the line has neither a date nor a close: below the last row it is a footer

    def place(self) -> float:
        """Return the line, for sorting: what ended the reading comes last."""
        return math.inf if self.line is None else self.line

    def __str__(self) -> str:
        return self.reason if self.line is None else f"line {self.line}: {self.reason}"


@dataclass
class _Table:
    """The rows of a file as text, and what was noticed so far."""

    faults: list[_Fault] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    _columns: Columns | None = None
    _delimiter: str = ","
    _texts: list[str] = field(default_factory=list)  # a row each, its cells separated by NUL: lists would take more
    _lines: "array[int]" = field(default_factory=lambda: array("q"))
    _decimals: DecimalMark = field(default_factory=DecimalMark)

    def take(self, numbered: Iterator[tuple[int, str]], base: str | None) -> None:
        """Take the text of every row.

        Raises:
            Unreadable: Reading cannot continue.
        """
        dialect = find_table(numbered, base)
        self._columns, self._delimiter = dialect.columns, dialect.delimiter
        self.notices += dialect.notices
        line, headers = 0, 0
        for line, text in dialect.rows:
            try:
                fields = fields_of(text, dialect.delimiter)
                if fields == dialect.header:
                    headers += 1
                elif any(fields):
                    self._add(line, dialect.columns.cells(fields))
            except BadRow as error:
                self._fail(_Fault(line, str(error), is_text=not text.lstrip(" \"'")[:1].isdigit()))
        if not line:
            raise Unreadable("no row follows the header")
        if headers:
            self.notices.append(f"lines that repeat the header are not rows ({headers:,})")

    def rows(self) -> list[Row]:
        """Return the candles of all rows, ascending; those of the same time keep their order.

        Raises:
            AmbiguousDates: Day and month may be exchanged.
            Unreadable: No row has a price, or too many are faulty.
        """
        if self._columns is None:
            return []
        order = day_order([text.partition("\0")[0] for text in self._texts])
        cells = _Cells(self._columns, order and order[0], self._decimals.mark(self._delimiter))
        rows, priceless = list[Row](), list[int]()
        for line, text in zip(self._lines, self._texts, strict=True):
            try:
                candle = cells.candle(text.split("\0"))
            except _BadCells as error:
                self._fail(_Fault(line, str(error), error.is_text))
            else:
                if candle is None:
                    priceless.append(line)
                else:
                    rows.append((candle, line))
        self._drop_footer(max([line for _, line in rows[-1:]] + priceless[-1:], default=0))
        if not (rows or self.faults):
            raise Unreadable("no row has a price")
        self.notices += [f"times are {unit} since 1970" for unit in sorted(cells.units)]
        if order:
            self.notices.append(f"{order[1]!r} is {order[0].value}")
        if notice := self._decimals.notice(self._delimiter):
            self.notices.append(notice)
        if priceless:
            self.notices.append(f"rows without a price are gaps ({len(priceless):,}, the first in line {priceless[0]})")
        self.notices += [*_closes_alone(self._columns), *_without_volumes(rows, cells.empty_volumes), *_sorted(rows)]
        return rows

    def _add(self, line: int, cells: Sequence[str]) -> None:
        self._texts.append("\0".join(cell[:_MOST_CELL] for cell in cells))
        self._lines.append(line)
        for cell in cells[1:]:
            self._decimals.see(cell)

    def _fail(self, fault: _Fault) -> None:
        self.faults.append(fault)
        if len(self.faults) == MOST_FAULTS:
            raise Unreadable(f"reading stopped at line {fault.line}")

    def _drop_footer(self, last: int) -> None:
        """Forget faults below the line of the `last` row where these lines are text: totals, sources, notes."""
        below = [fault for fault in self.faults if fault.place() > last]
        if last and 0 < len(below) <= _MOST_FOOTER and all(fault.is_text for fault in below):
            self.faults = [fault for fault in self.faults if fault not in below]
            self.notices.append(f"the last lines are not rows ({len(below)}, the first is line {below[0].line})")


class _BadCells(Exception):
    """Cells of a row cannot be read. The message has all reasons."""

    def __init__(self, faults: Sequence[str], *, is_text: bool) -> None:
        super().__init__("; ".join(faults))
        self.is_text = is_text


class _Cells:
    """Read the cells of rows, with what the whole file has decided."""

    def __init__(self, columns: Columns, order: DayOrder | None, mark: str) -> None:
        self.units: set[str] = set()  # of the times since 1970 read so far
        self.empty_volumes = 0  # beside a price
        self._columns, self._order, self._mark = columns, order, mark
        self._names = [*PRICES[-len(columns.prices) :], *(() if columns.volume is None else ("volume",))]

    def candle(self, cells: Sequence[str]) -> Candle | None:
        """Return the candle of one row, or None for a row without any price. A missing number is NaN.

        Raises:
            _BadCells: A cell cannot be read; all of them at once.
        """
        faults, opening, values = list[str](), None, dict.fromkeys((*PRICES, "volume"), math.nan)
        try:
            opening = self._opening(cells[0])
        except (ValueError, OverflowError) as error:
            faults.append(str(error))
        for name, text in zip(self._names, cells[1:], strict=True):
            try:
                values[name] = number(text, self._mark, short=name == "volume")
            except ValueError as error:
                faults.append(f"{name} {error}")
        first, high, low, close, volume = values.values()
        if faults or opening is None:
            raise _BadCells(faults, is_text=opening is None and math.isnan(close))
        if len(self._columns.prices) == 1:
            first = high = low = close
        if all(map(math.isnan, (first, high, low, close))) or (self._columns.is_snapshot and opening.time() != time()):
            return None
        self.empty_volumes += math.isnan(volume) and cells[-1].lower() != "nan"
        return Candle(opening, first, high, low, close, volume)

    def _opening(self, text: str) -> datetime:
        if self._columns.in_milliseconds:
            return milliseconds(text)
        opening = instant(text, self._order, self.units)
        return opening - DAY if self._columns.is_snapshot else opening


def _closes_alone(columns: Columns) -> list[str]:
    if len(columns.prices) > 1:
        return []
    return ["the close is the only price, so that the range of the forecast rests on closes alone"]


def _without_volumes(rows: list[Row], empty: int) -> list[str]:
    """Replace all volumes by 0 if `empty` ones are missing: a volume means something relative to the others."""
    if not empty and not all(math.isnan(candle.volume) for candle, _ in rows):
        return []
    for index, (candle, line) in enumerate(rows):
        rows[index] = candle._replace(volume=0.0), line
    if 0 < empty < len(rows):
        return [f"the volume, which is missing in {empty:,} rows, is not used"]
    return ["there is no volume"]


def _sorted(rows: list[Row]) -> list[str]:
    """Sort the rows by time."""
    openings = [candle.open_time for candle, _ in rows]
    if all(earlier <= later for earlier, later in pairwise(openings)):
        return []
    newest_first = all(earlier >= later for earlier, later in pairwise(openings))
    rows.sort(key=lambda row: row[0].open_time)
    return [f"the order is {'newest first' if newest_first else 'not by time'}, which is sorted"]
