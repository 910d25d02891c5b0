"""The lines of a ledger: releases, which are published forecasts, and outcomes, the closing prices that followed.

A line is one JSON object (ASCII, members in order, no spaces) and a line feed::

    {"anchor":{...},"build":"...",...,"kind":"release",...,"previous":"<digest>",...,"sha256":"<digest>"}

``sha256``, the last member, is the SHA-256 of the line without this member, in hexadecimal. ``previous`` is the
``sha256`` of the line before, and 64 zeros in the first line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Anchor
from crypto_predict.errors import UnusableHistory, shown
from crypto_predict.market import DAY, Pair

FORMAT = 1  # of a line; raised whenever an older program could misread it
DAYS = 30  # ahead, recorded of every release
NO_ENTRY = "0" * 64  # the digest before the first entry
MOST_LINE_BYTES = 64 * 2**10
RESTORE = "take the ledger that was released with the last model"

_SHA256 = re.compile("[0-9a-f]{64}")
_LINE = re.compile(rb'(\{.*),"sha256":"([0-9a-f]{64})"\}')


@dataclass(frozen=True, slots=True)
class Release:
    """The forecasts that one model published for one pair: the closes 1 to 30 days after its last candle.

    Prices are in the pair's quote currency, as the server of that model answers them.
    """

    pair: Pair
    simulated: bool  # whether the prices are invented
    source: str  # of the history
    history_sha256: str
    made_at: datetime  # when the model was trained, by the clock or by SOURCE_DATE_EPOCH
    build: str  # of the model
    anchor: Anchor  # the newest price at that time; the forecast of persistence for every day
    last: date  # the last candle's day
    prediction: tuple[float, ...]  # (30,) for the closes of the days `last` + 1, + 2, ...
    low: tuple[float, ...]  # (30,) of the central 80 % interval
    high: tuple[float, ...]  # (30,)

    def targets(self) -> list[date]:
        """Return the days whose closes are forecast, in order."""
        return [self.last + horizon * DAY for horizon in range(1, DAYS + 1)]

    def faults(self) -> Iterator[str]:
        """Yield the reasons why this release cannot be scored."""
        if self.last > date.max - DAYS * DAY:
            yield f"last day {self.last} leaves no room for {DAYS} days of forecast in the calendar"
        if not _SHA256.fullmatch(self.history_sha256):
            yield "history_sha256 is not 64 hexadecimal digits"
        if not len(self.prediction) == len(self.low) == len(self.high) == DAYS:
            yield f"{len(self.prediction)}, {len(self.low)} and {len(self.high)} forecasts, not {DAYS} of each"
        elif not all(
            0 <= low <= price <= high and price > 0
            for low, price, high in zip(self.low, self.prediction, self.high, strict=True)
        ):
            yield "a forecast is not a positive price inside its interval"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The closing price of a day that was forecast. Of several outcomes of a day the first one counts."""

    pair: Pair
    simulated: bool  # whether the price is invented; outcomes are compared with forecasts of the same kind only
    day: date
    close: float  # in the pair's quote currency
    source: str  # of the history that contained it

    def faults(self) -> Iterator[str]:
        """Yield the reasons why this is not a price."""
        if self.close <= 0:
            yield f"close must be positive, not {self.close}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger."""

    content: Release | Outcome
    sha256: str
    line: bytes  # without its line feed


_KINDS: dict[str, type[Release] | type[Outcome]] = {"release": Release, "outcome": Outcome}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class EntryFault(ValueError):
    """The fault of one line, and what to do about it."""


def entry_after(content: Release | Outcome, previous: str) -> Entry:
    """Return the entry that follows the one with the digest `previous`.

    Raises:
        UnusableHistory: The forecasts or the price cannot be scored.
    """
    name, subject = _NAMES[type(content)], f"{content.pair} from {content.source:.80}"
    if faults := list(content.faults()):
        raise UnusableHistory(subject, [f"its {name} cannot be recorded: {faults[0]}"])
    data = {"format": FORMAT, "kind": name, "previous": previous, **plain.encode(content)}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    digest = _sha256(text.encode())
    line = f'{text[:-1]},"sha256":"{digest}"}}'.encode()
    if len(line) > MOST_LINE_BYTES:
        raise UnusableHistory(subject, [f"its {name} takes more than {MOST_LINE_BYTES:,} bytes"])
    return Entry(content, digest, line)


def read_entry(line: bytes, previous: str) -> Entry:
    """Return the entry in a line, which must follow the one with the digest `previous`.

    Raises:
        EntryFault: The line is damaged, altered, in the wrong place, or of another format.
    """
    data, digest = _verified(line)
    version, before, kind = data.pop("format", None), data.pop("previous", None), data.pop("kind", None)
    if type(version) is not int or version < 1:
        raise EntryFault(f"its format is {shown(version)}, not a whole number from 1 on")
    if version > FORMAT:
        raise EntryFault(f"it has the format {version}, this program reads {FORMAT}: update this program")
    if before != previous:
        raise EntryFault(f"it does not follow the line before: lines are missing, repeated or out of order; {RESTORE}")
    if type(kind) is not str or kind not in _KINDS:
        raise EntryFault(f"its kind is {shown(kind)}, not one of {', '.join(_KINDS)}")
    try:
        return Entry(plain.decode(_KINDS[kind], data, kind), digest, line)
    except plain.Undecodable as error:
        more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
        raise EntryFault(f"it cannot be read: {error.faults[0]:.200}{more}; {RESTORE}") from error


def _verified(line: bytes) -> tuple[dict[str, Any], str]:
    """Return the members of a line and its digest, which must be right."""
    if len(line) > MOST_LINE_BYTES:
        raise EntryFault(f"it has {len(line):,} bytes, more than an entry can have ({MOST_LINE_BYTES:,}); {RESTORE}")
    match = _LINE.fullmatch(line)
    if match is None:
        raise EntryFault(f"it is not an entry, which is a JSON object that ends with its sha256; {RESTORE}")
    text, digest = match[1] + b"}", match[2].decode()
    if (actual := _sha256(text)) != digest:
        raise EntryFault(f"its digest is {actual[:12]}..., not the one written in it: damaged or altered; {RESTORE}")
    try:
        data: dict[str, Any] = json.loads(text.decode())  # JSON that begins with a brace is an object
    except (ValueError, RecursionError) as error:
        raise EntryFault(f"it is not JSON: {error}; {RESTORE}") from error
    return data, digest


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
