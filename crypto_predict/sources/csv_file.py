"""``file:PATH``: candles from a CSV or CSV.gz file.

The first line names the columns, in any order and in any case: ``time,open,high,low,close,volume``, or as Yahoo
Finance, CryptoDataDownload and exchanges write them (see `csv_columns`). ``time`` is the opening of the candle: an ISO
8601 date or date-time (UTC unless it has an offset), or a time since 1970 in seconds, milli-, micro- or nanoseconds,
by its length; ``time_ms`` is milliseconds. Blank lines are skipped, and before the header addresses, comments (``#``)
and ``sep=``. Fields are separated by comma, semicolon, tab or ``|``. The text is UTF-8. Compression is recognised by
the content. ``{base}`` and ``{quote}`` in the path stand for the currencies of the pair.

Rows are sorted by time, and rows without any price are left out as gaps; one line of the log has every assumption. A
row that cannot be read makes the file unusable. All others are returned unchanged, even if they are repeated or
impossible: ``nan`` and ``inf`` are numbers, and an empty field is NaN, as spreadsheets and pandas write it.
"""

from __future__ import annotations

import csv
import gzip
import logging
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO, cast

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.sources.csv_columns import BadRow, Columns, continues, joined
from crypto_predict.sources.limits import Bounds

MOST_LINES = Bounds().candles
MOST_LINE_BYTES = 10_000
LINE_BYTES = 500  # of a line on average, at most
MOST_FAULTS = 1_000

_GZIP_MAGIC = b"\x1f\x8b"
_PREAMBLE = re.compile(r"#.*|\W*https?://\S*|sep=.", re.IGNORECASE)  # a line before the header
_MOST_PREAMBLE = 10  # lines
_MOST_FURTHER = 2  # lines of a header after its first
_DELIMITERS = ",;\t|"

Row = tuple[Candle, int]  # a candle and its line

_log = logging.getLogger(__name__)


class CsvFile:
    """A file of daily candles as a source. It is read once; more than `most_lines` lines are refused."""

    simulated = False
    intervals = frozenset({Interval.DAY_1})

    def __init__(self, path: str, most_lines: int = MOST_LINES) -> None:
        self.id = f"file:{path}"  # as the user wrote it
        self._path = path
        self._most_lines = most_lines
        self._read: dict[Path, list[Row]] = {}

    def path_for(self, pair: Pair) -> Path:
        """Return the file with the candles of `pair`. Without placeholders it is always the same."""
        return pair.fill(Path(self._path))

    def traded(self, pair: Pair) -> Pair:
        """Return the pair itself: the user names the pair of a file."""
        return pair

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """Return the close of the newest row that closes by `limit` (UTC); without such a row, `limit` rounded down."""
        latest = limit - interval.length  # the rows may reach to the end of the year 9999
        closes = (row.open_time + interval.length for row, _ in self._rows(pair) if row.open_time <= latest)
        return max(closes, default=interval.floor(limit))

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles that open in `span` or later, ascending."""
        return (candle for candle, _ in self.rows(pair, interval, span))

    def rows(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Row]:  # noqa: ARG002 the port's signature
        """Return what `candles` returns, each candle with its line."""
        return (row for row in self._rows(pair) if row[0].open_time >= span.start)

    def _rows(self, pair: Pair) -> list[Row]:
        path = self.path_for(pair)
        if path not in self._read:
            self._read[path] = read_csv(path, self._most_lines, pair.base)
        return self._read[path]


def read_csv(path: Path, most_lines: int = MOST_LINES, base: str | None = None) -> list[Row]:
    """Return every row with a price, ascending, at least one. The assumptions are logged in one line.

    Args:
        path: The file.
        most_lines: More are refused, and so is a file with more than `LINE_BYTES` a line on average.
        base: The currency whose volume is read, if the file has several.

    Raises:
        UnusableHistory: With every fault of the file.
    """
    table = _Table(base)
    try:
        with _opened(path) as file:
            table.read(_lines(file, most_lines))
    except _Unreadable as error:
        table.faults.append(str(error))
    if table.faults:
        raise UnusableHistory(f"file:{path}", table.faults)
    if table.notices:
        _log.warning("file:%s: assumed that %s", path, "; ".join(table.notices))
    return table.rows


class _Unreadable(Exception):
    """Reading cannot continue."""


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open the file for its decompressed content. Every error while it is open becomes `_Unreadable`."""
    try:
        if path.is_dir():
            raise _Unreadable("it is a directory, not a file")
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe may never end
            raise _Unreadable("it is not a regular file")
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file
    except FileNotFoundError as error:
        raise _Unreadable("the file does not exist") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _Unreadable(f"it is a truncated or damaged gzip file: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a path that no system call accepts
        raise _Unreadable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _lines(file: BinaryIO, most: int) -> Iterator[tuple[int, bytes]]:
    """Yield every line that is not blank, with its number."""
    left = most * LINE_BYTES + MOST_LINE_BYTES  # bytes
    for number in range(1, most + 1):
        line = file.readline(MOST_LINE_BYTES + 1)
        left -= len(line)
        if len(line) > MOST_LINE_BYTES:
            raise _Unreadable(f"line {number} is longer than {MOST_LINE_BYTES:,} bytes: this is not a table of candles")
        if left < 0:
            raise _Unreadable(f"it has more than {most * LINE_BYTES:,} bytes; SOURCE_CANDLES allows more")
        if not line:
            return
        if not line.isspace():
            yield number, line
    if file.read(1):
        raise _Unreadable(f"it has more than {most:,} lines; SOURCE_CANDLES allows more")


class _Table:
    """The rows, faults and assumptions so far."""

    def __init__(self, base: str | None) -> None:
        self.rows: list[Row] = []
        self.faults: list[str] = []
        self.notices: list[str] = []
        self._base = base
        self._delimiter = ","

    def read(self, lines: Iterator[tuple[int, bytes]]) -> None:
        """Read the header and every row, and sort the rows by time. Those of the same time keep their order."""
        columns = self._columns(lines)
        number, priceless = 0, []
        for number, line in lines:
            try:
                candle = columns.candle(self._fields(line))
            except BadRow as error:
                self.faults.append(f"line {number}: {error}")
                if len(self.faults) == MOST_FAULTS:
                    raise _Unreadable(f"reading stopped at line {number}") from None
                continue
            if candle is None:
                priceless.append(number)
            else:
                self.rows.append((candle, number))
        if not number:
            raise _Unreadable("no row follows the header")
        if not (self.rows or self.faults):
            raise _Unreadable("no row has a price")
        self.notices += columns.assumed()
        if priceless:
            self.notices.append(f"rows without a price are gaps ({len(priceless):,}, the first in line {priceless[0]})")
        openings = [candle.open_time for candle, _ in self.rows]
        if any(earlier > later for earlier, later in pairwise(openings)):
            newest_first = all(earlier >= later for earlier, later in pairwise(openings))
            self.notices.append(f"the order is {'newest first' if newest_first else 'not by time'}, which is sorted")
            self.rows.sort(key=lambda row: row[0].open_time)

    def _columns(self, lines: Iterator[tuple[int, bytes]]) -> Columns:
        number, line = next(lines, (0, b""))
        for _ in range(_MOST_PREAMBLE):
            text = line.decode("utf-8-sig", "replace").strip()
            if not _PREAMBLE.fullmatch(text):
                break
            self.notices.append(f"line {number}, {text[:40]!r}, is not part of the table")
            number, line = next(lines, (0, b""))
        if not number:
            raise _Unreadable("it is empty")
        self._delimiter = max(_DELIMITERS, key=lambda delimiter: line.count(delimiter.encode()))
        current = number
        try:
            header = self._fields(line)
            for further, line in islice(lines, _MOST_FURTHER) if continues(header) else ():
                current = further
                header = joined(header, self._fields(line))
                if not continues(header):
                    break
            current = number
            return Columns.of(header, self._base)
        except BadRow as error:
            raise _Unreadable(f"line {current}: {error}") from error

    def _fields(self, line: bytes) -> list[str]:
        """Return the fields of one line. A quoted field ends with its line, so that one lost quote costs one line."""
        if b"\0" in line:
            raise BadRow("it holds a NUL byte, so this is not text")
        try:
            reader = csv.reader([line.decode("utf-8-sig")], delimiter=self._delimiter, strict=True)
            return [text.strip() for text in next(reader)]
        except UnicodeDecodeError as error:
            raise BadRow(f"byte {line[error.start]:#04x} is not UTF-8 text") from error
        except csv.Error as error:
            raise BadRow(f"it is not CSV: {error}") from error
