"""``file:PATH``: candles from a CSV or CSV.gz file of the user's own.

The first line names the columns, in any order and in any case: ``time,open,high,low,close,volume``; further columns
are ignored, and so are blank lines. ``time`` is the opening of the candle, an ISO 8601 date or date-time (UTC unless it
says otherwise); ``time_ms`` in its place is milliseconds since 1970. The text is UTF-8. Whether the file is compressed
is read from its content, not from its name. ``{base}`` and ``{quote}`` in the path stand for the pair's currencies.

Rows ascend. Nothing is repaired, left out or resampled: every fault is reported at once, with its line, and the user
repairs the file.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import stat
import zlib
from bisect import bisect_right
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
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_MILLISECONDS = re.compile(r"-?\d{1,18}", re.ASCII)
_GZIP_MAGIC = b"\x1f\x8b"
_UNITS = {
    Interval.MINUTE_1: "minute",
    Interval.MINUTE_5: "5 minutes",
    Interval.MINUTE_10: "10 minutes",
    Interval.HOUR_1: "hour",
    Interval.DAY_1: "day",
}


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class CsvFile:
    """A file of candles as a source. It is read once and remembered."""

    def __init__(self, path: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._clock = clock
        self._read: dict[tuple[Path, Interval], list[Candle]] = {}

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
        """The close of the last row that closes at or before `limit` (UTC).

        Raises:
            UnusableHistory: The file cannot be read, is faulty, or has no such row.
        """
        rows = self._rows(pair, interval)
        count = bisect_right(rows, limit - interval.length, key=lambda row: row.open_time)
        if count == 0:
            first = rows[0].open_time
            fault = f"no row closes by {limit:%Y-%m-%d %H:%M}, the first opens at {first:%Y-%m-%d %H:%M}"
            raise UnusableHistory(str(self.path_for(pair)), [fault])
        return rows[count - 1].open_time + interval.length

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """The rows that open in `span`.

        Raises:
            UnusableHistory: The file cannot be read or is faulty.
        """
        yield from (candle for candle in self._rows(pair, interval) if candle.open_time in span)

    def _rows(self, pair: Pair, interval: Interval) -> list[Candle]:
        path = self.path_for(pair)
        if (path, interval) not in self._read:
            self._read[path, interval] = read_csv(path, interval, self._clock())
        return self._read[path, interval]


def read_csv(path: Path, interval: Interval, now: datetime, most_lines: int = MOST_LINES) -> list[Candle]:
    """Every row of the file, ascending and at least one; a row that opens after `now` (UTC) is a fault.

    A file of more than `most_lines` lines is refused.

    Raises:
        UnusableHistory: With every fault of the file.
    """
    table = _Table(interval, now)
    try:
        with _opened(path) as file:
            table.read(_lines(file, most_lines))
    except _Unreadable as error:
        table.faults.append(str(error))
    if table.faults:
        raise UnusableHistory(str(path), table.faults)
    return list(table.rows.values())


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

    def __init__(self, interval: Interval, now: datetime) -> None:
        self.rows: dict[datetime, Candle] = {}  # by opening
        self.faults: list[str] = []
        self._order = _Order(interval, now)

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
        prices_faults: list[str] = []
        candle = Candle(opening or EPOCH, *columns.values(fields, prices_faults))
        if opening is not None:
            faults += self._order.faults(opening, number)
            self.rows[opening] = candle
        faults += prices_faults or candle.faults()
        if faults:
            raise _BadRow("; ".join(faults))


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
        """Prices and volume; NaN, and a fault, for what is no number."""
        texts = [fields[column] for column in self.numbers]
        numbers = [float(text) if _NUMBER.fullmatch(text) else math.nan for text in texts]
        faults += [
            f"{name} {text[:40]!r} is not a number"
            for name, text, number in zip(_NUMBERS, texts, numbers, strict=True)
            if math.isnan(number)
        ]
        return numbers


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


class _Order:
    """Watches over the openings: aligned, ascending, once each, not in the future."""

    def __init__(self, interval: Interval, now: datetime) -> None:
        self._interval = interval
        self._now = now
        self._lines: dict[datetime, int] = {}  # the line of each opening
        self._above: tuple[datetime, int] | None = None  # the row above: its opening and its line

    def faults(self, opening: datetime, line: int) -> list[str]:
        """What is wrong with this opening, after all those above it."""
        found = []
        if self._interval.floor(opening) != opening:
            found.append(self._off_grid(opening))
        if opening in self._lines:
            found.append(f"{_shown(opening)} stands in line {self._lines[opening]} already")
        elif self._above is not None and opening < self._above[0]:
            above, above_line = self._above
            found.append(f"{_shown(opening)} comes after {_shown(above)} in line {above_line}: rows must ascend")
        if opening > self._now:
            found.append(f"{_shown(opening)} lies in the future")
        self._lines.setdefault(opening, line)
        self._above = (opening, line)
        return found

    def _off_grid(self, opening: datetime) -> str:
        expected = f"expected one row per {_UNITS[self._interval]} (UTC)"
        since = f", this is {opening - self._above[0]} after line {self._above[1]}" if self._above else ""
        return f"{_shown(opening)} is not where a candle opens: {expected}{since}"


def _shown(instant: datetime) -> str:
    return instant.isoformat(" ").removesuffix("+00:00").removesuffix(" 00:00:00")
