"""Find the columns of a CSV file by the names that exchanges and data sites use.

Names are compared in lower case, with one underscore for whatever is not a letter or a digit: ``Open Time`` is
``open_time``, ``Volume (BTC)`` is ``volume_btc``. The first group of `_NAMES` with a name in the header is the column.
Further columns are ignored, ``Adj Close`` among them.

yfinance writes a header of three lines, read as one: ``Price,Close,High,Low,Open,Volume``, then ``Ticker`` and the
ticker of each column, then the name of the time column alone. All columns must be of one ticker.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from crypto_predict.market import EPOCH, Candle

_INDEX = "(index)"  # a first column without a name, as pandas writes its index
_NAMES: dict[str, list[Set[str]]] = {
    "time": [  # the opening
        {"open_time", "opentime", "time_open", "timeopen", "opening_time", "start", "start_time"},
        {"unix", "unix_time", "unix_timestamp", "epoch", "mts"},
        {"time", "time_ms", "date", "datetime", "timestamp", "gmt_time", "date_utc"},
        {_INDEX},
    ],
    "open": [{"open", "o"}],
    "high": [{"high", "h"}],
    "low": [{"low", "l"}],
    "close": [{"close", "c"}],
    "volume": [{"volume", "vol", "v"}],  # else `volume_btc` for a base currency BTC, else what begins with `volume_`
}

_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_MISSING = frozenset({"", "na", "n/a", "null", "none"})  # in lower case
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_SINCE_1970 = re.compile(r"(\d{9,19})(\.\d*)?", re.ASCII)  # fewer digits are a date: 20240102
_YEAR_FIRST = re.compile(r"(\d{4})[./](\d\d)[./](\d\d)(?!\d)", re.ASCII)
_UNITS = (("seconds", 11, 1), ("milliseconds", 14, 10**3), ("microseconds", 17, 10**6), ("nanoseconds", 19, 10**9))


class BadRow(Exception):
    """One row is faulty. The message has all reasons; reading goes on."""


@dataclass(slots=True)
class Columns:
    """The index of each value in a row, and the assumptions made to find it."""

    width: int  # fields in a row
    time: int
    in_milliseconds: bool  # by the name of the time column
    numbers: list[tuple[str, int]]  # open, high, low, close, and the volume if the file has it
    notices: list[str]
    units: set[str] = field(default_factory=set)  # of the times since 1970 read so far

    @classmethod
    def of(cls, header: Sequence[str], base: str | None) -> Columns:
        """Find the columns in a header; `base` is the base currency.

        Raises:
            BadRow: Columns are missing or ambiguous; all of them at once.
        """
        names = _names(header)
        found = {column: _places(names, groups) for column, groups in _NAMES.items()}
        others = {name for name in names if name.startswith("volume_")}
        found["volume"] = found["volume"] or _places(names, [{f"volume_{(base or '').lower()}"}, others])
        faults = []
        if missing := [column for column, places in found.items() if not places and column != "volume"]:
            faults.append(f"missing columns: {', '.join(missing)}")
        for column, places in found.items():
            if len(places) > 1:
                faults.append(f"several columns of {column}: {', '.join(header[place][:20] for place in places[:5])}")
        if faults:
            shown = [name[:20] for name in header[:20]]
            raise BadRow(f"{'; '.join(faults)}; the columns found are {shown}")
        index = {column: places[0] for column, places in found.items() if places}
        time, volume = index.pop("time"), index.get("volume")
        notices = []
        if names[time] not in {"time", "time_ms"}:
            notices.append(f"{header[time][:40]!r} is the opening in UTC")
        if volume is None:
            notices.append("the volume, which is missing, is 0")
        elif names[volume] != "volume":
            notices.append(f"{header[volume][:40]!r} is the volume")
        return cls(len(names), time, names[time] in {"time_ms", "mts"}, list(index.items()), notices)

    def candle(self, fields: Sequence[str]) -> Candle | None:
        """Return the candle of one row, or None for a row without any price. An empty field is NaN.

        Raises:
            BadRow: A field cannot be read; all of them at once.
        """
        if len(fields) != self.width:
            raise BadRow(f"{len(fields)} fields, the header has {self.width}")
        faults: list[str] = []
        opening = EPOCH
        try:
            opening = self._opening(fields[self.time])
        except ValueError as error:
            faults.append(str(error))
        first, high, low, close, *volume = [_number(name, fields[place], faults) for name, place in self.numbers]
        if faults:
            raise BadRow("; ".join(faults))
        if all(map(math.isnan, (first, high, low, close))):
            return None
        return Candle(opening, first, high, low, close, volume[0] if volume else 0.0)

    def assumed(self) -> list[str]:
        """Return the assumptions so far, including the units of times."""
        return [*self.notices, *(f"times are {unit} since 1970" for unit in sorted(self.units))]

    def _opening(self, text: str) -> datetime:
        if self.in_milliseconds:
            return _milliseconds(text)
        if found := _SINCE_1970.fullmatch(text):
            unit, _, parts = next(unit for unit in _UNITS if len(found[1]) <= unit[1])
            self.units.add(unit)
            return EPOCH + timedelta(microseconds=int(found[1]) * 10**6 // parts)
        try:
            instant = datetime.fromisoformat(_YEAR_FIRST.sub(r"\1-\2-\3", text.removesuffix(" UTC")))
            return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"time {text[:40]!r} is not an ISO date or date-time") from error


def continues(header: Sequence[str]) -> bool:
    """Return whether the next line belongs to the header, as in files from yfinance."""
    return header[:1] == ["Price"] and not _places(_names(header), _NAMES["time"])


def joined(header: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Return a header that continues, together with its next line.

    Raises:
        BadRow: The line names several tickers.
    """
    first, others = fields[:1], fields[1:]
    if first == ["Ticker"] and len(tickers := list(dict.fromkeys(others))) > 1:
        shown = ", ".join(ticker[:20] for ticker in tickers[:5])
        raise BadRow(f"{len(tickers)} tickers, where a file must hold one: {shown}{', ...' if tickers[5:] else ''}")
    return [*(header[:1] if any(others) else first), *header[1:]]


def _names(header: Sequence[str]) -> list[str]:
    names = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in header]
    return [names[0] or _INDEX, *names[1:]] if names else []


def _places(names: Sequence[str], groups: Iterable[Set[str]]) -> list[int]:
    """Return every column of the first group that has any: exactly one in a valid header."""
    for group in groups:
        if places := [place for place, name in enumerate(names) if name in group]:
            return places
    return []


def _number(name: str, text: str, faults: list[str]) -> float:
    """Read a number: NaN for a missing value, and a fault for anything else."""
    if _NUMBER.fullmatch(text):
        return float(text)
    if text.lower() not in _MISSING:
        faults.append(f"{name} {text[:40]!r} is not a number")
    return math.nan


def _milliseconds(text: str) -> datetime:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"time_ms {text[:40]!r} is not a whole number of milliseconds since 1970")
    try:
        return EPOCH + timedelta(milliseconds=int(text))
    except OverflowError as error:
        raise ValueError(f"time_ms {text} lies beyond the year 9999: write milliseconds since 1970") from error
