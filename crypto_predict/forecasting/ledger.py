"""The ledger: every forecast that was ever released, and what became of it, in a file that is only ever appended to.

Each line is an entry that names the digest of the one before it (see `ledger_entries`). So nothing can be changed,
inserted, removed or reordered without breaking the chain, but for lines missing at its end. Against those a model names
the digest of its ledger's last entry: `check_continues` knows by it a ledger that lost its tail, or was written anew.

A release of a pair takes 1.3 kB and an outcome 0.3 kB: with four releases a day, some 2 MB a year.

Ledgers are values: `settled` and `released` give new ones, and the bytes of the old are how the bytes of the new begin.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import Card, PairForecast
from crypto_predict.baked.scorecard import LiveRecord, Scorecard
from crypto_predict.errors import BrokenLedger, InvalidValue
from crypto_predict.forecasting.ledger_entries import (
    DAYS,
    NO_ENTRY,
    RESTORE,
    Entry,
    EntryFault,
    Outcome,
    Release,
    entry_after,
    read_entry,
)
from crypto_predict.forecasting.live_record import live_record
from crypto_predict.history import History
from crypto_predict.market import DAY, Interval, Pair

MOST_BYTES = 64 * 2**20  # thirty years of a pair


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole chain of entries. Made by `Ledger.empty`, `read_ledger` and the methods that append."""

    entries: tuple[Entry, ...]

    @classmethod
    def empty(cls) -> Ledger:
        """The ledger before the first release."""
        return cls(())

    @property
    def head(self) -> str:
        """The digest of the last entry; 64 zeros where there is none."""
        return self.entries[-1].sha256 if self.entries else NO_ENTRY

    def releases(self) -> list[Release]:
        """Every release, in the order in which they were appended, which is that of time."""
        return [entry.content for entry in self.entries if isinstance(entry.content, Release)]

    def outcomes(self) -> dict[tuple[Pair, bool], dict[date, float]]:
        """The closes on record by pair and by whether they are invented; where a day has several, the first."""
        closes: dict[tuple[Pair, bool], dict[date, float]] = {}
        for entry in self.entries:
            if isinstance(outcome := entry.content, Outcome):
                closes.setdefault((outcome.pair, outcome.simulated), {}).setdefault(outcome.day, outcome.close)
        return closes

    def settled(self, histories: Iterable[History]) -> Ledger:
        """This ledger with the outcomes of all target days that have a candle in one of `histories` and no outcome yet.

        A day that no history brings stays pending. What was recorded once stands, whatever a later history says.

        Args:
            histories: Daily ones. Forecasts of real prices wait for real ones, forecasts of invented for invented.

        Raises:
            InvalidValue: A history is not daily.
        """
        ledger = self
        for history in histories:
            ledger = ledger._appended(ledger._came_due(history))
        return ledger

    def released(self, card: Card, forecasts: Mapping[Pair, PairForecast]) -> Ledger:
        """This ledger with the forecasts of a model that is about to be released: one entry for each pair.

        A release that is on record already, as when the same training runs again, is not entered twice.

        Args:
            card: Says of what history and when; its `trained_at` may equal that of earlier releases.
            forecasts: As they will be baked.

        Raises:
            InvalidValue: The model was trained before the newest release on record.
            UnusableHistory: A forecast leaves the range of prices.
        """
        self.check_follows(card.trained_at)
        before = self.releases()
        made = [_release(card, pair, forecast) for pair, forecast in forecasts.items()]
        return self._appended(release for release in made if release not in before)

    def check_follows(self, trained_at: datetime) -> None:
        """Refuse a training time (UTC) at which no release can follow those on record.

        Raises:
            InvalidValue: It lies before the newest release.
        """
        releases = self.releases()
        if releases and trained_at < (newest := releases[-1].made_at):
            expected = f"at or after the ledger's newest release, {newest}: check clock, SOURCE_DATE_EPOCH"
            raise InvalidValue("training time", trained_at, expected)

    def scorecard(self) -> Scorecard:
        """The live record of every pair, in the order in which they were first released."""
        closes = self.outcomes()
        by_pair: dict[tuple[Pair, bool], list[Release]] = {}
        for release in self.releases():
            by_pair.setdefault((release.pair, release.simulated), []).append(release)
        records: dict[bool, dict[Pair, LiveRecord]] = {False: {}, True: {}}
        for (pair, simulated), releases in by_pair.items():
            records[simulated][pair] = live_record(releases, closes.get((pair, simulated), {}))
        return Scorecard(len(self.entries), self.head, pairs=records[False], simulated=records[True])

    def dumps(self) -> bytes:
        """The ledger as the bytes of a ledger file."""
        return b"".join(entry.line + b"\n" for entry in self.entries)

    def _came_due(self, history: History) -> list[Outcome]:
        if history.interval is not Interval.DAY_1:
            raise InvalidValue("interval", history.interval.length, "that of daily candles, whose closes are forecast")
        kind = (history.pair, history.simulated)
        awaited = {day for one in self.releases() if (one.pair, one.simulated) == kind for day in one.targets()}
        awaited -= self.outcomes().get(kind, {}).keys()
        return [
            Outcome(history.pair, history.simulated, candle.open_time.date(), candle.close, history.source)
            for candle in history.candles
            if candle.open_time.date() in awaited
        ]

    def _appended(self, contents: Iterable[Release | Outcome]) -> Ledger:
        entries, head = list(self.entries), self.head
        for content in contents:
            entries.append(entry_after(content, head))
            head = entries[-1].sha256
        return Ledger(tuple(entries))


def read_ledger(path: Path) -> Ledger:
    """Read a ledger file without trusting it.

    Raises:
        BrokenLedger: It is absent, empty, too large, truncated, altered or of a newer format; the line is named.
    """
    return loads(_read(path), path)


def loads(data: bytes, path: Path) -> Ledger:
    """The ledger in the bytes of a ledger file; `path` is what errors call it.

    Raises:
        BrokenLedger: As for `read_ledger`.
    """
    if not data:
        raise BrokenLedger(path, None, f"it is empty; to begin a new one, name none; else {RESTORE}")
    *lines, rest = data.split(b"\n")
    entries: list[Entry] = []
    newest: datetime | None = None  # when the last release so far was made
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(read_entry(line, entries[-1].sha256 if entries else NO_ENTRY))
            newest = _in_order(entries[-1], newest)
        except EntryFault as fault:
            raise BrokenLedger(path, number, str(fault)) from fault
    if rest:
        raise BrokenLedger(path, len(lines) + 1, f"it is cut off: no line feed ends it; {RESTORE}")
    return Ledger(tuple(entries))


def check_continues(ledger: Ledger, head: str, path: Path) -> None:
    """Refuse a ledger that does not hold the entry with the digest `head`, by which an earlier model named its chain.

    Args:
        ledger: As read from `path`.
        head: `Scorecard.head` of the model that was released last.
        path: What errors call the ledger.

    Raises:
        BrokenLedger: Its end is missing, or it is another one.
    """
    if head != NO_ENTRY and all(entry.sha256 != head for entry in reversed(ledger.entries)):
        raise BrokenLedger(
            path,
            None,
            f"its {len(ledger.entries)} entries do not hold {head[:12]}..., the last one that the model released "
            f"before knows: its end is missing, or it is another model's; {RESTORE}",
        )


def _release(card: Card, pair: Pair, forecast: PairForecast) -> Release:
    """What a model says of one pair on the days ahead, as its server will."""
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


def _in_order(entry: Entry, newest: datetime | None) -> datetime | None:
    """When the newest release up to this entry was made; none is made before the one before it."""
    if not isinstance(release := entry.content, Release):
        return newest
    if newest is not None and release.made_at < newest:
        raise EntryFault(f"its release was made at {release.made_at}, before an earlier one of {newest}; {RESTORE}")
    return release.made_at


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BrokenLedger(path, None, "it is not a regular file")
        if status.st_size > MOST_BYTES:
            raise BrokenLedger(path, None, f"{status.st_size:,} bytes are more than a ledger may have ({MOST_BYTES:,})")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BrokenLedger(path, None, "there is no such file; to begin a new ledger, name none") from error
    except OSError as error:
        raise BrokenLedger(path, None, f"it cannot be read: {error.strerror}") from error
