"""``file:PATH``: candles from a CSV or CSV.gz file of the user's own.

The first line names the columns, in any order and in any case: ``time,open,high,low,close,volume``; further columns
are ignored, and so are blank lines. ``time`` is the opening of the candle, an ISO 8601 date or date-time (UTC unless it
says otherwise); ``time_ms`` in its place is milliseconds since 1970. The text is UTF-8. Whether the file is compressed
is read from its content, not from its name. ``{base}`` and ``{quote}`` in the path stand for the pair's currencies.

Nothing is repaired, left out or resampled. A file that is no table of candles, or has a row that cannot be read, is
refused with every fault at once, each with its line. Rows that can be read are handed on as they stand, be they
repeated, out of order or impossible: ``nan`` and ``inf`` are taken at their word, and an empty field, which is how
spreadsheets and pandas write what they do not have, is NaN. Each candle knows its line.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import EPOCH, Candle, Interval, Pair, Span

MOST_LINES = 5_000_000  # nine years of minutes
MOST_LINE_BYTES = 10_000
MOST_FAULTS = 1_000  # a hostile file has no end of them

TIME, TIME_MS = "time", "time_ms"
_NUMBERS = ("open", "high", "low", "close", "volume")
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_MISSING = frozenset({"", "na", "n/a", "null", "none"})  # in small letters
_MILLISECONDS = re.compile(r"-?\d{1,18}", re.ASCII)
_GZIP_MAGIC = b"\x1f\x8b"


class CsvFile:
    """A file of candles as a source. It is read once and remembered."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: dict[Path, list[Candle]] = {}

    @property
    def name(self) -> str:
        """``file:`` and the path as the user wrote it."""
        return f"file:{self._path}"

    @property
    def simulated(self) -> bool:
        """A file's prices count as real."""
        return False

    def path_for(self, pair: Pair) -> Path:
        """The file that holds `pair`; without placeholders in the path, one file serves whatever pair is asked for."""
        return Path(self._path.replace("{base}", pair.base).replace("{quote}", pair.quote))

    def end(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """The close of the newest row that closes at or before `limit` (UTC); `limit` rounded down where none does.

        Raises:
            UnusableHistory: The file cannot be read.
        """
        closes = (
            row.open_time + interval.length for row in self._rows(pair) if row.open_time <= limit - interval.length
        )
        return max(closes, default=interval.floor(limit))

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:  # noqa: ARG002 the port's signature
        """The rows that open in `span` or later, as they stand in the file.

        Raises:
            UnusableHistory: The file cannot be read.
        """
        yield from (candle for candle in self._rows(pair) if candle.open_time >= span.start)

    def _rows(self, pair: Pair) -> list[Candle]:
        path = self.path_for(pair)
        if path not in self._read:
            self._read[path] = read_csv(path)
        return self._read[path]


def read_csv(path: Path, most_lines: int = MOST_LINES) -> list[Candle]:
    """Every row of the file, as it stands there, and at least one.

    A file of more than `most_lines` lines is refused.

    Raises:
        UnusableHistory: With every fault of the file.
    """
    table = _Table()
    try:
        with _opened(path) as file:
            table.read(_lines(file, most_lines))
    except _Unreadable as error:
        table.faults.append(str(error))
    if table.faults:
        raise UnusableHistory(str(path), table.faults)
    return table.rows


class _Unreadable(Exception):
    """Reading cannot go on."""


class _BadRow(Exception):
    """One row is faulty; reading goes on."""


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's content, decompressed. Whatever goes wrong while it is open becomes `_Unreadable`."""
    try:
        if path.is_dir():
            raise _Unreadable("it is a directory, not a file")
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe could keep us waiting for ever
            raise _Unreadable("it is not a regular file")
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file
    except FileNotFoundError as error:
        raise _Unreadable("there is no such file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _Unreadable(f"it is a truncated or damaged gzip file: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a path that no system call takes
        raise _Unreadable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _lines(file: BinaryIO, most: int) -> Iterator[tuple[int, bytes]]:
    """Every line that is not blank, with its number; never more in memory than one line of bounded length."""
    for number in range(1, most + 1):
        line = file.readline(MOST_LINE_BYTES + 1)
        if len(line) > MOST_LINE_BYTES:
            raise _Unreadable(f"line {number} is longer than {MOST_LINE_BYTES:,} bytes: no table of candles")
        if not line:
            return
        if not line.isspace():
            yield number, line
    if file.read(1):
        raise _Unreadable(f"it has more than {most:,} lines")


def _fields(line: bytes) -> list[str]:
    """The fields of one line. A quoted field cannot run over its end: one lost quote must not swallow the rest."""
    if b"\0" in line:
        raise _BadRow("it holds a NUL byte, so this is no text")
    try:
        return [text.strip() for text in next(csv.reader([line.decode("utf-8-sig")], strict=True))]
    except UnicodeDecodeError as error:
        raise _BadRow(f"byte {line[error.start]:#04x} is not UTF-8 text") from error
    except csv.Error as error:
        raise _BadRow(f"it is no CSV: {error}") from error


class _Table:
    """The rows and the faults found so far."""

    def __init__(self) -> None:
        self.rows: list[Candle] = []
        self.faults: list[str] = []

    def read(self, lines: Iterator[tuple[int, bytes]]) -> None:
        """Read the header, then every row.

        Raises:
            _Unreadable: Reading ended early; the faults found before stand.
        """
        columns = _Columns.of(lines)
        last = 0
        for last, line in lines:
            try:
                self._read_row(columns, last, _fields(line))
            except _BadRow as error:
                self.faults.append(f"line {last}: {error}")
            if len(self.faults) == MOST_FAULTS:
                raise _Unreadable(f"reading stopped at line {last}")
        if not last:
            raise _Unreadable("there is no row below the header")

    def _read_row(self, columns: _Columns, number: int, fields: list[str]) -> None:
        if len(fields) != columns.width:
            raise _BadRow(f"{len(fields)} fields, the header has {columns.width}")
        faults: list[str] = []
        opening = columns.opening(fields, faults)
        values = columns.values(fields, faults)
        if faults or opening is None:
            raise _BadRow("; ".join(faults))
        self.rows.append(Candle(opening, *values, line=number))


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a row each value stands."""

    width: int  # fields in a row
    time: int
    read_time: Callable[[str], datetime]
    numbers: tuple[int, ...]  # in the order of _NUMBERS

    @classmethod
    def of(cls, lines: Iterator[tuple[int, bytes]]) -> _Columns:
        """Read the header, the first line that is not blank."""
        number, line = next(lines, (0, b""))
        if not number:
            raise _Unreadable("it is empty")
        try:
            names = [name.lower() for name in _fields(line)]
        except _BadRow as error:
            raise _Unreadable(f"line {number}: {error}") from error
        if faults := _header_faults(names):
            raise _Unreadable(
                f"line {number}: {'; '.join(faults)}; the columns found are {[name[:20] for name in names[:20]]}"
            )
        time = TIME if TIME in names else TIME_MS
        return cls(len(names), names.index(time), _TIMES[time], tuple(map(names.index, _NUMBERS)))

    def opening(self, fields: Sequence[str], faults: list[str]) -> datetime | None:
        """When the candle opens; None, and a fault, where that cannot be read."""
        try:
            return self.read_time(fields[self.time])
        except ValueError as error:
            faults.append(str(error))
            return None

    def values(self, fields: Sequence[str], faults: list[str]) -> list[float]:
        """Prices and volume; NaN where a field is empty; NaN, and a fault, for what is no number."""
        texts = [fields[column] for column in self.numbers]
        faults += [
            f"{name} {text[:40]!r} is not a number"
            for name, text in zip(_NUMBERS, texts, strict=True)
            if not _is_number(text) and not _is_missing(text)
        ]
        return [float(text) if _is_number(text) else math.nan for text in texts]


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _is_missing(text: str) -> bool:
    return text.lower() in _MISSING


def _header_faults(names: Sequence[str]) -> list[str]:
    missing = [name for name in _NUMBERS if name not in names]
    times = [name for name in _TIMES if name in names]
    faults = []
    if not times:
        missing.insert(0, TIME)
    if missing:
        faults.append(f"missing columns: {', '.join(missing)}")
    if len(times) > 1:
        faults.append(f"there can be only one of {TIME} and {TIME_MS}")
    if repeated := [name for name in (*_TIMES, *_NUMBERS) if names.count(name) > 1]:
        faults.append(f"repeated columns: {', '.join(repeated)}")
    return faults


def _iso_time(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        hint = f" (milliseconds belong in a column called {TIME_MS})" if _MILLISECONDS.fullmatch(text) else ""
        raise ValueError(f"time {text[:40]!r} is not an ISO date or date-time{hint}") from error


def _epoch_time(text: str) -> datetime:
    if not _MILLISECONDS.fullmatch(text):
        raise ValueError(f"time_ms {text[:40]!r} is not a whole number of milliseconds since 1970")
    try:
        return EPOCH + timedelta(milliseconds=int(text))
    except OverflowError as error:
        raise ValueError(f"time_ms {text} lies beyond the year 9999: are these milliseconds?") from error


_TIMES = {TIME: _iso_time, TIME_MS: _epoch_time}
