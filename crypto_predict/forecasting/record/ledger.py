"""The ledger: every forecast that was ever released, and what became of it, in a file that is only ever appended to.

Each line is an entry that names the digest of the one before it (see `ledger_entries`). So nothing can be changed,
inserted, removed or reordered without breaking the chain, but for lines missing at its end. Against those a model names
the digest of its ledger's last entry: by it `read_ledger` detects a ledger that lost its end or was replaced.

The ledger is written before the model, and the model is the commit point. What a ledger holds beyond the entry that its
model names was never released: `read_ledger` drops it.

A release of a pair takes 1.3 to 3 kB and an outcome 0.3 kB: four releases a day of one pair come to 250 MB in fifty
years at most. The file is read line by line. What stays in memory are figures, the outcomes, and the forecasts that
wait for one.

Ledgers are values: `settled` and `released` give new ones, and the bytes of the old are how the bytes of the new begin.
"""

from __future__ import annotations

import hashlib
import io
import logging
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import Card, PairForecast
from crypto_predict.baked.scorecard import LiveRecord, Scorecard
from crypto_predict.errors import BrokenLedger, InvalidValue
from crypto_predict.forecasting.record.entries import (
    DAYS,
    MOST_LINE_BYTES,
    NO_ENTRY,
    RESTORE,
    Entry,
    EntryFault,
    Outcome,
    Release,
    entry_after,
    read_entry,
)
from crypto_predict.forecasting.record.live import Tally
from crypto_predict.history import History
from crypto_predict.market import DAY, Interval, Pair

MOST_BYTES = 2**30  # fifty years of four pairs
ROOM = 2**24  # bytes that one more training may append
MOST_PENDING = 500_000  # forecasts without an outcome; a pair that is released four times a day has 3,600
MOST_OUTCOMES = 500_000  # of all pairs; fifty years of one have 18,000
MOST_TALLIES = 500  # pairs; one with real and with invented prices counts twice
MOST_AT_ONCE = 10_000  # releases of one instant, kept to detect duplicates

_CHUNK = 2**20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    """The file, or the bytes, that hold the first entries of a ledger."""

    path: Path  # what errors call the file
    open: Callable[[], IO[bytes]]
    size: int  # bytes
    sha256: str

    def content(self) -> Iterator[bytes]:
        """Read the same bytes again.

        Raises:
            BrokenLedger: The file has changed since it was read.
        """
        digest, left = hashlib.sha256(), self.size
        with self.open() as file:
            while left and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
                yield chunk
        if left or digest.hexdigest() != self.sha256:
            raise BrokenLedger(self.path, None, "it was changed during the training; train again")


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole chain of entries. Made by `Ledger.empty`, `read_ledger` and the methods that append."""

    entries: int = 0
    head: str = NO_ENTRY  # the digest of the last entry, which decides all the others; 64 zeros where there is none
    newest: tuple[Release, ...] = field(default=(), compare=False)  # the releases that were made last, at one instant
    _tallies: Mapping[tuple[Pair, bool], Tally] = field(default_factory=dict, compare=False, repr=False)
    _stored: _Stored | None = field(default=None, compare=False, repr=False)
    _appended: tuple[bytes, ...] = field(default=(), compare=False, repr=False)  # lines after those that are stored

    @classmethod
    def empty(cls) -> Ledger:
        """The ledger before the first release."""
        return cls()

    @property
    def size(self) -> int:
        """Bytes of the ledger as a file."""
        return (self._stored.size if self._stored else 0) + sum(map(len, self._appended))

    def settled(self, histories: Iterable[History]) -> Ledger:
        """This ledger with the outcomes of all target days that have a candle in one of `histories` and no outcome yet.

        A day that no history brings stays pending. What was recorded once stands, whatever a later history says.

        Args:
            histories: Daily ones. Forecasts of real prices wait for real ones, forecasts of invented for invented.

        Raises:
            InvalidValue: A history is not daily.
        """
        return self._with(outcome for history in histories for outcome in self._came_due(history))

    def released(self, card: Card, forecasts: Mapping[Pair, PairForecast]) -> Ledger:
        """This ledger with the forecasts of a model that is about to be released: one entry for each pair.

        A release that is on record already, as when the same training runs again, is not entered twice.

        Args:
            card: Says of what history and when; its `trained_at` may equal that of earlier releases.
            forecasts: As they will be baked.

        Raises:
            InvalidValue: The model was trained before the newest release on record, or the ledger is full.
            UnusableHistory: A forecast leaves the range of prices.
        """
        self.check_follows(card.trained_at)
        made = [_release(card, pair, forecast) for pair, forecast in forecasts.items()]
        return self._with(release for release in made if release not in self.newest)

    def check_follows(self, trained_at: datetime) -> None:
        """Refuse a training time (UTC) at which no release can follow those on record, and a ledger that is full.

        Raises:
            InvalidValue: It lies before the newest release, or the ledger has no room for another one.
        """
        if self.newest and trained_at < (newest := self.newest[-1].made_at):
            expected = f"at or after the ledger's newest release, {newest}: check clock, SOURCE_DATE_EPOCH"
            raise InvalidValue("training time", trained_at, expected)
        pending = sum(tally.count_pending() for tally in self._tallies.values())
        if self.size > MOST_BYTES - ROOM or pending > MOST_PENDING * 0.9:
            size = f"{self.size:,} bytes with {pending:,} forecasts pending"
            raise InvalidValue("ledger", size, "small enough for another release: begin a new one, without --ledger")

    def scorecard(self) -> Scorecard:
        """The live record of every pair, in the order in which they were first released."""
        records: dict[bool, dict[Pair, LiveRecord]] = {False: {}, True: {}}
        for (pair, simulated), tally in self._tallies.items():
            if (record := tally.record()) is not None:
                records[simulated][pair] = record
        return Scorecard(self.entries, self.head, pairs=records[False], simulated=records[True])

    def content(self) -> Iterator[bytes]:
        """The ledger as the bytes of a ledger file, in pieces.

        Raises:
            BrokenLedger: The file that it was read from has changed since.
        """
        if self._stored is not None:
            yield from self._stored.content()
        yield from self._appended

    def dumps(self) -> bytes:
        """Return the content in one piece."""
        return b"".join(self.content())

    def _came_due(self, history: History) -> list[Outcome]:
        if history.interval is not Interval.DAY_1:
            raise InvalidValue("interval", history.interval.length, "that of daily candles, whose closes are forecast")
        tally = self._tallies.get((history.pair, history.simulated))
        awaited = tally.awaited if tally else frozenset()
        return [
            Outcome(history.pair, history.simulated, candle.open_time.date(), candle.close, history.source)
            for candle in history.candles
            if candle.open_time.date() in awaited
        ]

    def _with(self, contents: Iterable[Release | Outcome]) -> Ledger:
        chain, lines = _Chain(self), []
        for content in contents:
            entry = entry_after(content, chain.head)
            chain.add(entry)
            lines.append(entry.line + b"\n")
        return chain.ledger(self._stored, (*self._appended, *lines))


class _Chain:
    """A ledger to which entries are being added."""

    def __init__(self, ledger: Ledger) -> None:
        self.entries, self.head, self._newest = ledger.entries, ledger.head, list(ledger.newest)
        self._tallies = {kind: tally.copy() for kind, tally in ledger._tallies.items()}  # noqa: SLF001 its own part

    def add(self, entry: Entry) -> None:
        """Add an entry, which must follow the last one.

        Raises:
            EntryFault: It is a release that was made before an earlier one.
        """
        content = entry.content
        if isinstance(content, Release):
            self._check_order(content)
        tally = self._tallies.setdefault((content.pair, content.simulated), Tally())
        if len(self._tallies) > MOST_TALLIES:
            raise EntryFault(f"{content.pair} is one pair more than a ledger can have ({MOST_TALLIES}); {RESTORE}")
        if isinstance(content, Release):
            tally.add_release(content)
        else:
            tally.add_outcome(content)
        self.entries, self.head = self.entries + 1, entry.sha256

    def _check_order(self, release: Release) -> None:
        newest = self._newest[-1].made_at if self._newest else release.made_at
        if release.made_at < newest:
            raise EntryFault(f"its release was made at {release.made_at}, before an earlier one of {newest}; {RESTORE}")
        if release.made_at > newest:
            self._newest.clear()
        elif len(self._newest) == MOST_AT_ONCE:
            raise EntryFault(f"more than {MOST_AT_ONCE:,} releases were made at {newest}; {RESTORE}")
        self._newest.append(release)

    def check_memory(self) -> None:
        """Check the limits that bound the memory."""
        tallies = self._tallies.values()
        if (pending := sum(tally.count_pending() for tally in tallies)) > MOST_PENDING:
            raise EntryFault(f"{pending:,} forecasts have no outcome up to here; at most {MOST_PENDING:,} are allowed")
        if (outcomes := sum(tally.outcomes for tally in tallies)) > MOST_OUTCOMES:
            raise EntryFault(f"it is outcome {outcomes:,}; at most {MOST_OUTCOMES:,} are allowed")

    def ledger(self, stored: _Stored | None, appended: tuple[bytes, ...]) -> Ledger:
        """Return the ledger with all entries added."""
        return Ledger(self.entries, self.head, tuple(self._newest), self._tallies, stored, appended)


def read_ledger(path: Path, heads: Collection[str] = (), before: datetime | None = None) -> Ledger:
    """Read a ledger file without trusting it.

    Args:
        path: The file.
        heads: `Scorecard.head` of models that were released with it. Entries beyond the last one that they name were
            never released, and are dropped with a warning.
        before: The training time of a first release that was not completed: the ledger ends before it, likewise.

    Raises:
        BrokenLedger: It is absent, empty, too large, truncated, altered or of a newer format (the line is named), or it
            does not hold an entry that a model names: its end is missing, or it is another one.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BrokenLedger(path, None, "it is not a regular file")
        if status.st_size > MOST_BYTES:
            raise BrokenLedger(path, None, f"{status.st_size:,} bytes are more than a ledger may have ({MOST_BYTES:,})")
        return _read(lambda: path.open("rb"), path, heads, before)
    except FileNotFoundError as error:
        raise BrokenLedger(path, None, "there is no such file; to begin a new ledger, leave --ledger out") from error
    except OSError as error:
        raise BrokenLedger(path, None, f"it cannot be read: {error.strerror}") from error


def loads(data: bytes, path: Path, heads: Collection[str] = ()) -> Ledger:
    """The ledger in the bytes of a ledger file; `path` is what errors call it.

    Raises:
        BrokenLedger: As for `read_ledger`.
    """
    return _read(lambda: io.BytesIO(data), path, heads, None)


def size_up_to(path: Path, head: str) -> int | None:
    """The bytes of a ledger file up to the entry with the digest `head`, included; None if it is not there.

    Raises:
        OSError: The file cannot be read.
    """
    end, size = f'"sha256":"{head}"}}\n'.encode(), 0
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES):
            size += len(line)
            if line.endswith(end):
                return size
    return None


def _read(opened: Callable[[], IO[bytes]], path: Path, heads: Collection[str], before: datetime | None) -> Ledger:
    chain, digest, size, dropped = _Chain(Ledger.empty()), hashlib.sha256(), 0, 0
    missing = set(heads) - {NO_ENTRY}
    ends = bool(missing)  # at the last of them
    with opened() as file:
        for line in iter(lambda: file.readline(MOST_LINE_BYTES + 2), b""):
            try:
                entry = read_entry(_whole(line), chain.head)
                if before is not None and isinstance(entry.content, Release) and entry.content.made_at >= before:
                    dropped = 1 + _count_lines(file)
                    break
                chain.add(entry)
                if chain.entries % 1000 == 0:
                    chain.check_memory()
            except EntryFault as fault:
                raise BrokenLedger(path, chain.entries + 1, str(fault)) from fault
            digest.update(line)
            size += len(line)
            missing.discard(entry.sha256)
            if ends and not missing:
                dropped = _count_lines(file)
                break
    if not size and not dropped:
        raise BrokenLedger(path, None, f"it is empty; to begin a new ledger, leave --ledger out; else {RESTORE}")
    if missing:
        raise BrokenLedger(
            path,
            None,
            f"its {chain.entries} entries do not contain {min(missing)[:12]}..., the last entry of the model released "
            f"before: its end is missing, or it belongs to another model; {RESTORE}",
        )
    if dropped:
        _log.warning(
            "%s: entries dropped from the end: %d. They belong to a training that was interrupted", path, dropped
        )
    return chain.ledger(_Stored(path, opened, size, digest.hexdigest()), ())


def _whole(line: bytes) -> bytes:
    """Return a line without its line feed. `read_entry` refuses lines that are too long."""
    if not line.endswith(b"\n") and len(line) <= MOST_LINE_BYTES:
        raise EntryFault(f"it is cut off: no line feed ends it; {RESTORE}")
    return line.removesuffix(b"\n")


def _count_lines(file: IO[bytes]) -> int:
    """Count the remaining lines; the last one may lack its line feed."""
    count, last = 0, b"\n"
    while chunk := file.read(_CHUNK):
        count, last = count + chunk.count(b"\n"), chunk
    return count + (not last.endswith(b"\n"))


def _release(card: Card, pair: Pair, forecast: PairForecast) -> Release:
    """Return the release entry of one pair, with the same predictions as the server's."""
    evaluator = Evaluator(forecast)
    predictions = [evaluator.at_close(forecast.last + horizon * DAY) for horizon in range(1, DAYS + 1)]
    return Release(
        pair=pair,
        simulated=card.pairs[pair].simulated,
        source=card.pairs[pair].source,
        history_sha256=card.pairs[pair].history_sha256,
        made_at=card.trained_at,
        build=card.build,
        anchor=forecast.anchor,
        last=forecast.last,
        prediction=tuple(prediction.price for prediction in predictions),
        low=tuple(prediction.low for prediction in predictions),
        high=tuple(prediction.high for prediction in predictions),
    )
