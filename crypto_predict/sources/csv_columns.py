"""Find the columns of a CSV file by the names that exchanges and data sites use.

Names are compared in lower case, with one underscore for whatever is not a letter or a digit: ``Open Time`` is
``open_time``, ``Volume (BTC)`` is ``volume_btc``.

* time, the opening: ``open_time`` and the like; else ``unix``, ``epoch``, ``mts``; else ``time``, ``time_ms``,
  ``date``, ``datetime``, ``timestamp``, ``gmt_time``; else a first column without a name, as pandas writes its index
* ``open``, ``high``, ``low``, ``close``, or their first letters
* ``volume``, ``vol``, ``v``; else ``volume_btc`` for a base currency BTC; else the one that begins with ``volume_``

Further columns are ignored, ``Adj Close`` among them.

yfinance writes a header of three lines, read as one: ``Price,Close,High,Low,Open,Volume``, then ``Ticker`` and the
ticker of each column, then the name of the time column alone. All columns must be of one ticker.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from crypto_predict.market import EPOCH, Candle

TIME, TIME_MS = "time", "time_ms"
PRICES = ("open", "high", "low", "close")

# The first group with a name in the header is the opening time; later groups may repeat it in another format.
_TIMES = (
    frozenset({"open_time", "opentime", "time_open", "timeopen", "opening_time", "start", "start_time"}),
    frozenset({"unix", "unix_time", "unix_timestamp", "epoch", "mts"}),
    frozenset({TIME, TIME_MS, "date", "datetime", "timestamp", "gmt_time", "date_utc"}),
)
_VOLUMES = frozenset({"volume", "vol", "v"})

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
    prices: tuple[int, ...]  # in the order of PRICES
    volume: int | None
    notices: list[str]
    units: set[str] = field(default_factory=set)  # of the times since 1970 read so far

    @classmethod
    def of(cls, header: Sequence[str], base: str | None) -> Columns:
        """Find the columns in a header; `base` is the base currency.

        Raises:
            BadRow: Columns are missing or ambiguous; all of them at once.
        """
        names = _names(header)
        times, volumes = _times(names), _volumes(names, base)
        prices = [_places(names, frozenset({name, name[0]})) for name in PRICES]
        found = {TIME: times, **dict(zip(PRICES, prices, strict=True)), "volume": volumes}
        faults = []
        if missing := [name for name, places in found.items() if not places and name != "volume"]:
            faults.append(f"missing columns: {', '.join(missing)}")
        faults += [
            f"several columns of {name}: {', '.join(header[place][:20] for place in places[:5])}"
            for name, places in found.items()
            if len(places) > 1
        ]
        if faults:
            shown = [name[:20] for name in header[:20]]
            raise BadRow(f"{'; '.join(faults)}; the columns found are {shown}")
        time, volume = times[0], volumes[0] if volumes else None
        notices = []
        if names[time] not in {TIME, TIME_MS}:
            notices.append(f"{header[time][:40]!r} is the opening in UTC")
        if volume is None:
            notices.append("the volume, which is missing, is 0")
        elif names[volume] != "volume":
            notices.append(f"{header[volume][:40]!r} is the volume")
        in_milliseconds = names[time] in {TIME_MS, "mts"}
        return cls(len(names), time, in_milliseconds, tuple(places[0] for places in prices), volume, notices)

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
        prices = [_number(name, fields[place], faults) for name, place in zip(PRICES, self.prices, strict=True)]
        volume = 0.0 if self.volume is None else _number("volume", fields[self.volume], faults)
        if faults:
            raise BadRow("; ".join(faults))
        if all(map(math.isnan, prices)):
            return None
        first, high, low, close = prices
        return Candle(opening, first, high, low, close, volume)

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
    return header[:1] == ["Price"] and not _times(_names(header))


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
    return [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in header]


def _places(names: Sequence[str], wanted: frozenset[str]) -> list[int]:
    return [place for place, name in enumerate(names) if name in wanted]


def _times(names: Sequence[str]) -> list[int]:
    """Return the columns that may be the opening time: exactly one in a valid header."""
    for group in _TIMES:
        if places := _places(names, group):
            return places
    return [0] if names[:1] == [""] else []


def _volumes(names: Sequence[str], base: str | None) -> list[int]:
    """Return the columns that may be the volume in the base currency: at most one in a valid header."""
    for group in (_VOLUMES, frozenset({f"volume_{(base or '').lower()}"})):
        if places := _places(names, group):
            return places
    return [place for place, name in enumerate(names) if name.startswith("volume_")]


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
