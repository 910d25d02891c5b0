"""Read a CSV file into candles, and report every fault of it; the file as a source of daily candles.

The file is read once. Its rows are kept as text until the last one has been seen, since the whole file decides how its
dates and numbers are written.
"""

import logging
import math
from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from statistics import median_low

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import DAY, EPOCH, Candle, Interval, Pair, Span, resample
from crypto_predict.sources.csv_file.lines import MOST_LINES, BadRow, Lines, Unreadable, fields_of, lines
from crypto_predict.sources.csv_file.notations import DayOrder, day_order, decimal_mark, instant, milliseconds, number
from crypto_predict.sources.csv_file.table import PRICES, Columns, find_table

MOST_FAULTS = 1_000
_MOST_FOOTER = 5  # lines
_MOST_CELL = 80  # characters of a value that are kept: a message shows 40

Row = tuple[Candle, int]  # a candle and its line
# A line, infinite for what ended the reading; the reason; whether the line is text: below the last row it is a footer.
Fault = tuple[float, str, bool]

_log = logging.getLogger(__name__)


class CsvFile:
    """A file of daily candles as a source. It is read once; more than `most_lines` lines are refused."""

    simulated = False
    intervals = frozenset({Interval.DAY_1})

    def __init__(self, path: str, most_lines: int = MOST_LINES) -> None:
        self.id = f"file:{path}"  # as the user wrote it
        self._path = path
        self._most_lines = most_lines
        self._read: dict[tuple[Path, bool], list[Row]] = {}  # and whether they are days

    def path_for(self, pair: Pair) -> Path:
        """Return the file with the candles of `pair`. Without placeholders it is always the same."""
        return pair.fill(Path(self._path))

    def traded(self, pair: Pair) -> Pair:
        """Return the pair itself: the user names the pair of a file."""
        return pair

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """Return the close of the newest row that closes by `limit` (UTC); without such a row, `limit` rounded down."""
        latest = limit - interval.length  # the rows may reach to the end of the year 9999
        closes = (row.open_time + interval.length for row, _ in self._rows(pair, interval) if row.open_time <= latest)
        return max(closes, default=interval.floor(limit))

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles that open in `span` or later, ascending."""
        return (candle for candle, _ in self.rows(pair, interval, span))

    def rows(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Row]:
        """Return what `candles` returns, each candle with its line."""
        return (row for row in self._rows(pair, interval) if row[0].open_time >= span.start)

    def _rows(self, pair: Pair, interval: Interval) -> list[Row]:
        path, daily = self.path_for(pair), interval is Interval.DAY_1
        if (path, daily) not in self._read:
            self._read[path, daily] = read_csv(path, self._most_lines, pair.base, daily=daily)
        return self._read[path, daily]


def read_csv(path: Path, most_lines: int = MOST_LINES, base: str | None = None, *, daily: bool = False) -> list[Row]:
    """Return every row with a price, ascending, at least one. The assumptions are logged in one line.

    A row is returned unchanged, even if it is repeated or impossible. Where a file has closes alone, the close is the
    only price of each candle. If a volume is missing anywhere, it is 0 everywhere. Of several volumes that of the
    currency `base` is read. Where `daily`, minutes and hours in the file become days.

    Raises:
        UnusableHistory: With every fault of the file. More than `most_lines` lines are one, and more than
            `lines.USUAL_LENGTH` characters a line on average.
        InvalidValue: The dates of the file have two readings.
    """
    columns, delimiter, rows = None, "", list[Row]()
    texts, numbers = list[str](), array("q")  # of the rows, with NUL between their cells: lists would take more
    faults, notices = list[Fault](), list[str]()
    try:
        columns, delimiter, table = find_table(lines(path, most_lines, notices), base)
        notices += columns.notices
        for line, text in _texts(table, columns, delimiter, faults, notices):
            numbers.append(line)
            texts.append(text)
    except Unreadable as error:
        faults.append((math.inf, str(error), False))
    try:
        if columns is not None:
            rows = _candles(columns, delimiter, texts, numbers, faults, notices)
    except Unreadable as error:
        faults.append((math.inf, str(error), False))
    except InvalidValue as error:
        raise InvalidValue(f"file:{path}", error.value, error.expected) from error
    if faults:
        raise UnusableHistory(f"file:{path}", [reason for _, reason, _ in sorted(faults, key=itemgetter(0))])
    rows = _days(rows, notices) if daily else rows
    if notices:
        _log.warning("file:%s: assumed that %s", path, "; ".join(notices))
    return rows


def _texts(
    table: Lines, columns: Columns, delimiter: str, faults: list[Fault], notices: list[str]
) -> Iterator[tuple[int, str]]:
    """Yield the line and the cells of each row; raise `Unreadable` if there is none, or if too many are faulty."""
    line = headers = 0
    for line, text in table:
        try:
            fields = fields_of(text, delimiter)
            if fields == columns.header:
                headers += 1
            elif any(fields):
                yield line, "\0".join(cell[:_MOST_CELL] for cell in columns.cells(fields))
        except BadRow as error:
            _fail(faults, line, str(error), is_text=not text.lstrip(" \"'")[:1].isdigit())
    if not line:
        raise Unreadable("no row follows the header")
    if headers:
        notices.append(f"lines that repeat the header are not rows ({headers:,})")


def _candles(  # noqa: PLR0913, PLR0917 what was read, and what is noticed
    columns: Columns,
    delimiter: str,
    texts: Sequence[str],
    numbers: "array[int]",
    faults: list[Fault],
    notices: list[str],
) -> list[Row]:
    """Return the candles of all rows, ascending; those of the same time keep their order.

    Raise `InvalidValue` if day and month may be exchanged, `Unreadable` if no row has a price or too many are faulty.
    """
    order = day_order([text.partition("\0")[0] for text in texts])
    mark, marked = decimal_mark((cell for text in texts for cell in text.split("\0")[1:]), delimiter)
    rows, priceless, units, empty = list[Row](), list[int](), set[str](), 0
    for line, text in zip(numbers, texts, strict=True):
        cells = text.split("\0")
        try:
            candle = _candle(columns, cells, order[0] if order else DayOrder.MONTH_FIRST, mark, units)
        except BadRow as error:
            _fail(faults, line, str(error), is_text=error.is_text)
        else:
            if candle is None:
                priceless.append(line)
            else:
                rows.append((candle, line))
                empty += math.isnan(candle.volume) and cells[-1].lower() != "nan"
    _drop_footer(max([line for _, line in rows[-1:]] + priceless[-1:], default=0), faults, notices)
    if not (rows or faults):
        raise Unreadable("no row has a price")
    notices += [f"times are {unit} since 1970" for unit in sorted(units)]
    if order:
        notices.append(f"{order[1]!r} is {order[0].value}")
    if marked:
        notices.append(marked)
    if priceless:
        notices.append(f"rows without a price are gaps ({len(priceless):,}, the first in line {priceless[0]})")
    if "open" not in columns.places:
        notices.append("the close is the only price, so that the range of the forecast rests on closes alone")
    notices += [*_without_volumes(rows, empty), *_sorted(rows)]
    return rows


def _candle(columns: Columns, cells: Sequence[str], order: DayOrder, mark: str, units: set[str]) -> Candle | None:
    """Return the candle of one row, or None for a row without any price; raise `BadRow` with the faults of all cells.

    A missing number is NaN.
    """
    faults, opening, values = list[str](), None, dict.fromkeys((*PRICES, "volume"), math.nan)
    try:
        opening = milliseconds(cells[0]) if columns.in_milliseconds else instant(cells[0], order, units)
        opening -= columns.is_snapshot * DAY
    except (ValueError, OverflowError) as error:
        faults.append(str(error))
    for name, text in zip(columns.places, cells, strict=True):
        try:
            if name != "time":
                values[name] = number(text, mark, short=name == "volume")
        except ValueError as error:
            faults.append(f"{name} {error}")
    first, high, low, close, volume = values.values()
    if faults or opening is None:
        raise BadRow("; ".join(faults), is_text=opening is None and math.isnan(close))
    if "open" not in columns.places:
        first = high = low = close
    if all(map(math.isnan, (first, high, low, close))) or (columns.is_snapshot and opening.time() != time()):
        return None
    return Candle(opening, first, high, low, close, volume)


def _fail(faults: list[Fault], line: int, reason: str, *, is_text: bool) -> None:
    faults.append((line, f"line {line}: {reason}", is_text))
    if len(faults) == MOST_FAULTS:
        raise Unreadable(f"reading stopped at line {line}")


def _drop_footer(last: int, faults: list[Fault], notices: list[str]) -> None:
    """Forget faults below the line of the `last` row where these lines are text: totals, sources, notes."""
    below = [fault for fault in faults if fault[0] > last]
    if last and 0 < len(below) <= _MOST_FOOTER and all(is_text for _, _, is_text in below):
        faults[:] = [fault for fault in faults if fault not in below]
        notices.append(f"the last lines are not rows ({len(below)}, the first is line {below[0][0]})")


def _without_volumes(rows: list[Row], empty: int) -> list[str]:
    """Replace all volumes by 0 if `empty` ones are missing: a volume means something relative to the others."""
    if not empty and not all(math.isnan(candle.volume) for candle, _ in rows):
        return []
    rows[:] = [(candle._replace(volume=0.0), line) for candle, line in rows]
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


def _days(rows: list[Row], notices: list[str]) -> list[Row]:
    """Return the days that rows of equally spaced shorter candles make up, each with the line of its first part.

    Days within which the file begins or ends are left out. Other rows are returned unchanged.
    """
    steps = [later.open_time - earlier.open_time for (earlier, _), (later, _) in pairwise(rows)]
    step = median_low(steps) if steps else timedelta(0)
    length = Interval.DAY_1.length
    on_grid = timedelta(0) < step < length and all((row.open_time - EPOCH) % step == timedelta(0) for row, _ in rows)
    if not on_grid or length % step:
        return rows
    parts = {candle.open_time: (candle, line) for candle, line in rows}  # the last of repeated ones
    first_lines: dict[datetime, int] = {}
    for opening, (_, line) in parts.items():
        first_lines.setdefault(Interval.DAY_1.floor(opening), line)
    span = Span(rows[0][0].open_time, rows[-1][0].open_time + step)
    days = list[Candle](resample((candle for candle, _ in parts.values()), span, Interval.DAY_1))
    if not days:
        return rows
    notices.append(f"{len(parts):,} candles of {step} are joined to {len(days):,} days")
    return [(day, first_lines[day.open_time]) for day in days]
