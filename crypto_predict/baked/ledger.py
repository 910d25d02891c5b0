"""The ledger, ``model.ledger.jsonl``: the released forecasts and the closing prices that followed, one entry a line.

A line is one JSON object (ASCII, members in order, no spaces) and a line feed::

    {"anchor":{...},"build":"...",...,"kind":"release",...,"previous":"<digest>",...,"sha256":"<digest>"}

``sha256``, the last member, is the SHA-256 of the line without this member, in hexadecimal. ``previous`` is the
``sha256`` of the line before, and 64 zeros in the first line. So nothing can be changed, inserted, removed or reordered
without breaking the chain, except lines missing at its end. Therefore a model names the digest of its ledger's last
entry. The ledger is written before the model, and the model is the commit point: entries after the one that it names
were never released.

A release of a pair takes 4 to 5 kB, each of its models 0.3 kB more, the outcome of a day 0.3 kB, and that of its hours
1 kB. Four releases a day of one pair, with their outcomes, come to 0.4 GB in fifty years, with twelve models to 0.7 GB.
The file is read line by line and not kept in memory.

Lines of earlier formats are read and continued as they are. Releases of format 1 have the interval, but not the other
quantiles and the volatility; those of formats 1 and 2 have no models, and those before format 4 neither hours nor
touches, nor do outcomes have highs and lows. A program refuses a line of a later format than its own, by the number of
the line: what it cannot score, it must not continue.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from crypto_predict.baked import files, plain
from crypto_predict.baked.models import MOST_MODELS, Quantiles, quantile_faults
from crypto_predict.baked.schema import SHA256, Anchor, not_positive
from crypto_predict.baked.touches import DAY_MOVES, SCORED_DAYS, SCORED_HOURS
from crypto_predict.errors import BrokenLedger, UnusableHistory, shown
from crypto_predict.market import DAY, Interval, Pair
from crypto_predict.market.forecast import LEVELS

FORMAT = 4  # of a line; raised whenever an older program could misread it
DAYS = 30  # ahead, recorded of every release
HOURS_A_DAY = 24
MODEL_DAYS = (1, 7, 30, 90)  # ahead, recorded of each of its models
HOURS = SCORED_HOURS  # ahead, recorded of every release that forecasts hours
NO_ENTRY = "0" * 64  # the digest before the first entry
MOST_BYTES = 2**30  # decades of four pairs with the default models
MOST_LINE_BYTES = 64 * 2**10
MOST_AT_ONCE = 10_000  # releases of one instant, kept to detect duplicates
RESTORE = "take the ledger that was released with the last model"

_LINE = re.compile(rb'(\{.*),"sha256":"([0-9a-f]{64})"\}')
_log = logging.getLogger(__name__)


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
    quantiles: tuple[tuple[float, ...], ...]  # (30, 7) at `LEVELS`, to six digits; none in format 1
    volatility: float | None  # `PairCard.volatility`, of persistence's Gaussian distribution; None in format 1
    # (4, 7) at `MODEL_DAYS` and `LEVELS`, to six digits, of each model, the combined forecast and Prophet included
    models: dict[str, Quantiles]  # none in formats 1 and 2
    # (3, 7) `HOURS` after the anchor, at `LEVELS`, to six digits
    hours: Quantiles  # none before format 4, and of a model without hours
    # (6, 10) to three decimals: the probability that the price at each of `HOUR_MOVES` from the anchor is touched until
    # each of `HOURS`, then at each of `DAY_MOVES` until the closes of `SCORED_DAYS` after `last`; these alone, (3, 10),
    # of a model without hours, and none before format 4
    touched: tuple[tuple[float, ...], ...]

    def faults(self) -> Iterator[str]:
        if self.last > date.max - DAYS * DAY:
            yield f"last day {self.last} leaves no room for {DAYS} days of forecast in the calendar"
        if not SHA256.fullmatch(self.history_sha256):
            yield "history_sha256 is not 64 hexadecimal digits"
        if not len(self.prediction) == len(self.low) == len(self.high) == DAYS:
            yield f"{len(self.prediction)}, {len(self.low)} and {len(self.high)} forecasts, not {DAYS} of each"
        elif not all(
            0 <= low <= price <= high and price > 0
            for low, price, high in zip(self.low, self.prediction, self.high, strict=True)
        ):
            yield "a forecast is not a positive price inside its interval"
        if bool(self.quantiles) != (self.volatility is not None):
            yield "of quantiles and volatility, one is missing"
        elif self.quantiles and len(self.quantiles) != DAYS:
            yield f"quantiles of {len(self.quantiles)} forecasts, not of {DAYS}"
        elif not all(len(row) == len(LEVELS) and row[0] > 0 and list(row) == sorted(row) for row in self.quantiles):
            yield f"quantiles are not {len(LEVELS)} positive prices that ascend"
        if self.volatility is not None and self.volatility < 0:
            yield f"volatility is {self.volatility}, below 0"
        if self.models and self.volatility is None:
            yield "of models and volatility, one is missing"
        yield from quantile_faults(self.models, len(MODEL_DAYS), MOST_MODELS + 2)
        if not all(row[0] > 0 for rows in self.models.values() for row in rows if row):
            yield "the quantiles of a model are not positive prices"
        if self.hours:
            yield from self._hour_faults()
        yield from self._touch_faults()

    def _hour_faults(self) -> Iterator[str]:
        if len(self.hours) != len(HOURS):
            yield f"quantiles of {len(self.hours)} hours, not of {len(HOURS)}"
        if not all(len(row) == len(LEVELS) and row[0] > 0 and list(row) == sorted(row) for row in self.hours):
            yield f"the quantiles of an hour are not {len(LEVELS)} positive prices that ascend"
        if self.volatility is None:
            yield "of hours and volatility, one is missing"

    def _touch_faults(self) -> Iterator[str]:
        if (self.hours or self.touched) and not is_hour(self.anchor.at):
            yield f"the hours after {self.anchor.at} have no candles"
        if not self.touched:
            return
        if len(self.touched) != (horizons := len(self.hours) + len(SCORED_DAYS)):
            yield f"touched is of {len(self.touched)} horizons, not of {horizons}"
        for row in self.touched:
            if len(row) != len(DAY_MOVES) or not all(0 <= probability <= 1 for probability in row):
                yield f"touched are not {len(DAY_MOVES)} probabilities: {row!s:.80}"
        if not self.quantiles:
            yield "of touched and quantiles, one is missing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The closing price of a day that was forecast. Of several outcomes of a day the first one counts."""

    pair: Pair
    simulated: bool  # whether the price is invented; outcomes are compared with forecasts of the same kind only
    day: date
    close: float  # in the pair's quote currency
    high: float | None  # of the day; None before format 4
    low: float | None
    source: str  # of the history that contained it

    def faults(self) -> Iterator[str]:
        yield from not_positive("close", self.close)
        if (self.high is None) != (self.low is None):
            yield "of high and low, one is missing"
        elif self.high is not None and self.low is not None and not 0 < self.low <= self.close <= self.high:
            yield f"the close {self.close} is not between low {self.low} and high {self.high}, above 0"


@dataclass(frozen=True, slots=True)
class HourlyOutcome:
    """The prices of the hours of a day that has ended. Of several outcomes of a day the first one counts.

    An hour without a candle has None in each of the three.
    """

    pair: Pair
    simulated: bool  # as in `Outcome`
    day: date  # in UTC
    closes: tuple[float | None, ...]  # (24,) in the pair's quote currency, of the hours that open at 0:00, 1:00, ...
    highs: tuple[float | None, ...]  # (24,)
    lows: tuple[float | None, ...]  # (24,)
    source: str  # of the hourly candles

    def faults(self) -> Iterator[str]:
        if not len(self.closes) == len(self.highs) == len(self.lows) == HOURS_A_DAY:
            yield f"{len(self.closes)} closes, {len(self.highs)} highs and {len(self.lows)} lows, not {HOURS_A_DAY}"
            return
        for close, high, low in zip(self.closes, self.highs, self.lows, strict=True):
            if close is None and high is None and low is None:
                continue
            if close is None or high is None or low is None or not 0 < low <= close <= high:
                yield f"the close {close} is not between low {low} and high {high}, above 0"


def is_hour(instant: datetime) -> bool:
    """Return whether an hourly candle opens or closes at an instant."""
    return Interval.HOUR_1.floor(instant) == instant


Content = Release | Outcome | HourlyOutcome
Place = tuple[int, str]  # where an entry begins, in bytes, and its digest

_KINDS: dict[str, type[Content]] = {"release": Release, "outcome": Outcome, "hours": HourlyOutcome}
_NAMES = {kind: name for name, kind in _KINDS.items()}
# The members of an entry that a format added, by its kind, and what they are in earlier ones.
_ADDED: dict[str, dict[int, dict[str, Any]]] = {
    "release": {
        2: {"quantiles": [], "volatility": None},
        3: {"models": {}},
        4: {"hours": [], "touched": []},
    },
    "outcome": {4: {"high": None, "low": None}},
}


class EntryFault(ValueError):
    """The fault of one line, and what to do about it."""


def entry_after(content: Content, previous: str) -> tuple[str, bytes]:
    """Return the digest and the line, with its line feed, of the entry after the one with the digest `previous`.

    `UnusableHistory` is raised if the forecasts or the price cannot be scored.
    """
    name, subject = _NAMES[type(content)], f"{content.pair} from {content.source:.80}"
    if faults := list(content.faults()):
        raise UnusableHistory(subject, [f"its {name} cannot be recorded: {faults[0]}"])
    data = {"format": FORMAT, "kind": name, "previous": previous, **plain.encode(content)}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    line = f'{text[:-1]},"sha256":"{digest}"}}\n'.encode()
    if len(line) > MOST_LINE_BYTES:
        raise UnusableHistory(subject, [f"its {name} takes more than {MOST_LINE_BYTES:,} bytes"])
    return digest, line


def read_entry(line: bytes, previous: str | None) -> tuple[Content, str]:
    """Return the content and the digest of a line, which must follow the one with the digest `previous`; None: any.

    `EntryFault` is raised if the line is damaged, altered, in the wrong place, or of another format.
    """
    data, digest = _verified(line)
    version, before, kind = data.pop("format", None), data.pop("previous", None), data.pop("kind", None)
    if type(version) is not int or version < 1:
        raise EntryFault(f"its format is {shown(version)}, not a whole number from 1 on")
    if version > FORMAT:
        raise EntryFault(f"it has the format {version}, this program reads {FORMAT}: update this program")
    if previous is not None and before != previous:
        raise EntryFault(f"it does not follow the line before: lines are missing, repeated or out of order; {RESTORE}")
    if type(kind) is not str or kind not in _KINDS:
        raise EntryFault(f"its kind is {shown(kind)}, not one of {', '.join(_KINDS)}")
    for added in (members for format_, members in _ADDED.get(kind, {}).items() if version < format_):
        data |= added
    try:
        return plain.decode(_KINDS[kind], data, kind), digest
    except plain.Undecodable as error:
        more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
        raise EntryFault(f"it cannot be read: {error.faults[0]:.200}{more}; {RESTORE}") from error


def _verified(line: bytes) -> tuple[dict[str, Any], str]:
    """Return the members of a line and its digest, which must be right."""
    if len(line) > MOST_LINE_BYTES:
        raise EntryFault(f"it has over {MOST_LINE_BYTES:,} bytes, more than an entry can have; {RESTORE}")
    if not line.endswith(b"\n"):
        raise EntryFault(f"it is cut off: the line feed at its end is missing; {RESTORE}")
    match = _LINE.fullmatch(line[:-1])
    if match is None:
        raise EntryFault(f"it is not an entry, which is a JSON object that ends with its sha256; {RESTORE}")
    text, digest = match[1] + b"}", match[2].decode()
    if (actual := hashlib.sha256(text).hexdigest()) != digest:
        raise EntryFault(f"its digest is {actual[:12]}..., not the one written in it: damaged or altered; {RESTORE}")
    try:
        data: dict[str, Any] = json.loads(text.decode())  # JSON that begins with a brace is an object
    except (ValueError, RecursionError) as error:
        raise EntryFault(f"it is not JSON: {error}; {RESTORE}") from error
    return data, digest


@dataclass(slots=True)
class Ledger:
    """A whole chain of entries, empty or made by `Ledger.read`, and those appended to it."""

    entries: int = 0
    head: str = NO_ENTRY  # the digest of the last entry, which determines all the others
    newest: list[Release] = field(default_factory=list, compare=False)  # the last releases, made at one instant
    size: int = field(default=0, compare=False)  # bytes of the ledger as a file
    # The file of the first entries, its size in bytes and its SHA-256; then the lines that follow.
    _stored: tuple[Path, int, str] | None = field(default=None, compare=False, repr=False)
    _appended: list[bytes] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def read(
        cls,
        path: Path,
        heads: Collection[str] = (),
        before: datetime | None = None,
        visit: Callable[[Content, Place], None] | None = None,
    ) -> "Ledger":
        """Read a ledger file without trusting it, and call `visit` with the content of each entry and its place.

        Entries after the last one that `heads` name (`Scorecard.head` of models that were released with it) were never
        released, and are dropped with a warning; so are those from the instant `before` on, the training time of a
        first release that was not completed. An `EntryFault` of `visit` is reported with the line.

        Raises:
            BrokenLedger: The file is absent, empty, too large, truncated, altered or of a newer format (the line is
                named), or lacks an entry that a model names: its end is missing, or it belongs to another model.
        """
        broken = partial(BrokenLedger, path, None)
        begin = "to begin a new ledger, omit --ledger"
        ledger, digest, missing = cls(), hashlib.sha256(), set(heads) - {NO_ENTRY}
        ends = bool(missing)  # at the last of them
        with files.opened(path, "ledger", MOST_BYTES, begin, broken) as file:
            for line in iter(lambda: file.readline(MOST_LINE_BYTES + 1), b""):
                try:
                    content, head = read_entry(line, ledger.head)
                    if before is not None and isinstance(content, Release) and content.made_at >= before:
                        break
                    if visit is not None:
                        visit(content, (ledger.size, head))
                    ledger._add(content, head, len(line))
                except EntryFault as fault:
                    raise BrokenLedger(path, ledger.entries + 1, str(fault)) from fault
                digest.update(line)
                missing.discard(head)
                if ends and not missing:
                    break
            dropped = os.fstat(file.fileno()).st_size - ledger.size
        if not ledger.size and not dropped:
            raise broken(f"it is empty; {begin}; otherwise {RESTORE}")
        if missing:
            raise broken(
                f"its {ledger.entries} entries do not contain {min(missing)[:12]}..., the last entry of the model "
                f"released before: its end is missing, or it belongs to another model; {RESTORE}"
            )
        if dropped:
            _log.warning(
                "%s: %d bytes dropped after entry %d. Their training was interrupted", path, dropped, ledger.entries
            )
        ledger._stored = path, ledger.size, digest.hexdigest()
        return ledger

    def append(self, content: Content) -> None:
        """Append an entry as `entry_after` makes it; raise `EntryFault` if an earlier release was made later."""
        head, line = entry_after(content, self.head)
        self._add(content, head, len(line))
        self._appended.append(line)

    def content(self) -> Iterator[bytes]:
        """Yield the bytes of the ledger file, in pieces; raise `BrokenLedger` if the file that was read has changed."""
        if self._stored is not None:
            path, rest, sha256 = self._stored
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while rest and (chunk := file.read(min(rest, 2**20))):
                    digest.update(chunk)
                    rest -= len(chunk)
                    yield chunk
            if rest or digest.hexdigest() != sha256:
                raise BrokenLedger(path, None, "it was changed during the training; train again")
        yield from self._appended

    def _add(self, content: Content, head: str, size: int) -> None:
        if isinstance(content, Release):
            newest = self.newest[-1].made_at if self.newest else content.made_at
            if content.made_at < newest:
                fault = f"its release was made at {content.made_at}, before an earlier one of {newest}"
                raise EntryFault(f"{fault}; {RESTORE}")
            if content.made_at > newest:
                self.newest.clear()
            elif len(self.newest) == MOST_AT_ONCE:
                raise EntryFault(f"more than {MOST_AT_ONCE:,} releases were made at {newest}; {RESTORE}")
            self.newest.append(content)
        self.entries += 1
        self.head = head
        self.size += size


def entries_from(path: Path, place: Place, end: int) -> Iterator[tuple[Content, str]]:
    """Yield content and digest of each entry from a place, passed to a visitor of `Ledger.read`, to an offset in bytes.

    `BrokenLedger` is raised if the file cannot be read, or has changed since.
    """
    (offset, first), previous = place, None
    changed = BrokenLedger(path, None, "it has changed since the start")
    with files.opened(path, "ledger", MOST_BYTES, RESTORE, partial(BrokenLedger, path, None)) as file:
        file.seek(offset)
        while offset < end:
            try:
                content, digest = read_entry(line := file.readline(MOST_LINE_BYTES + 1), previous)
            except EntryFault as fault:
                raise changed from fault
            if previous is None and digest != first:
                raise changed
            offset, previous = offset + len(line), digest
            yield content, digest


def size_up_to(path: Path, head: str) -> int | None:
    """Return the size of a ledger file up to and including the entry with the digest `head`; None if it lacks it."""
    end, size = f'"sha256":"{head}"}}\n'.encode(), 0
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES):
            size += len(line)
            if line.endswith(end):
                return size
    return None
