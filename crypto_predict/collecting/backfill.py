"""Fetch what is missing of a series, window by window: each is read, judged and stored before the next one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from threading import Event

from crypto_predict.collecting.missing import (
    REVISED,
    WINDOW,
    asked_again,
    due_at,
    is_final,
    uncovered,
    windows,
)
from crypto_predict.collecting.progress import Progress
from crypto_predict.errors import RefusedKeys, SourceError, UnusableHistory
from crypto_predict.history import Audit, closing_limit, place
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.ports import CandleSource, CollectedSeries, MarketWriter, Quarantined, StoredGap
from crypto_predict.wording import counted

OFF_GRID = "it opens where no candle of its interval can"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """What the series of one run have in common."""

    database: MarketWriter
    now: datetime  # UTC, when the run began
    until: date | None  # the last UTC day; None: up to now
    progress: Progress
    stopped: Event  # set when the run is interrupted


@dataclass(slots=True)
class Collected:
    """What one run has added to a series. It is stored also if an error followed."""

    series: SeriesKey
    windows: int = 0  # that were stored and had a candle
    changed: int = 0  # candles that were new or changed
    quarantined: int = 0  # candles that were rejected


def backfill(run: Run, sources: Sequence[CandleSource], pair: Pair, interval: Interval, start: datetime) -> Collected:
    """Fetch what is missing of `pair` from `start` (UTC) on, from the first of `sources` that delivers.

    Once a source has delivered, another one does not take its place in this run.

    Raises:
        RefusedKeys: A source does not accept the keys that are set.
        UnusableHistory: No source has delivered; the faults name every source.
        SourceError: The source has delivered and then failed. What it delivered is stored.
        DatabaseError: The database cannot be used; `SeriesHeld` if another process collects the same.
    """
    reasons = []
    for source in sources:
        collected = None
        try:
            series = _series_of(source, pair, interval)
            collected = Collected(series)
            _announce(source, pair, series)
            with run.database.hold(series):
                _collect(run, source, collected, start, lambda gap: not is_final(gap))
        except (SourceError, UnusableHistory) as error:
            if isinstance(error, RefusedKeys) or (collected is not None and collected.windows):
                raise
            faults = error.faults if isinstance(error, UnusableHistory) else (error.reason,)
            _log.warning("%s: not collected from %s: %s", pair, source.id, "; ".join(faults))
            reasons += [f"{source.id}: {fault}" for fault in faults]
        else:
            return collected
    raise UnusableHistory(str(pair), reasons)


def catch_up(run: Run, source: CandleSource, stored: CollectedSeries) -> Collected:
    """Fetch what is missing of a stored series: up to now, between what is stored, and the gaps that are due.

    A series without candles begins today. Errors are those of `backfill`.
    """
    series, collected = stored.series, Collected(stored.series)
    with run.database.hold(series):
        covered = run.database.coverage(series)
        start = covered[0].start if covered else Interval.DAY_1.floor(run.now)
        _collect(run, source, collected, start, lambda gap: (due := due_at(gap)) is not None and due <= run.now)
    return collected


def _series_of(source: CandleSource, pair: Pair, interval: Interval) -> SeriesKey:
    if interval not in source.intervals:
        known = ", ".join(one.label for one in Interval if one in source.intervals)
        raise UnusableHistory(source.id, [f"it has candles of {known}, but not of {interval.label}"])
    return SeriesKey(source.id, source.traded(pair), interval)


def _announce(source: CandleSource, pair: Pair, series: SeriesKey) -> None:
    """Log which prices are collected."""
    _log.info("%s: collecting candles of %s from %s", pair, series.interval.label, source.id)
    if series.pair != pair:
        text = "%s: %s trades %s in its place; the candles are stored and served as %s"
        _log.warning(text, pair, source.id, series.pair, series.pair)
    if source.simulated:
        _log.warning("%s: SIMULATED PRICES: this market is invented", pair)


def _collect(
    run: Run, source: CandleSource, collected: Collected, start: datetime, is_due: Callable[[StoredGap], bool]
) -> None:
    """Ask for everything that is missing from `start` on, ascending."""
    series, interval = collected.series, collected.series.interval
    end = source.newest_close(series.pair, interval, closing_limit(run.until, run.now))
    wanted = Span(interval.ceil(start), end)
    if wanted.end <= wanted.start:
        return
    asking = _Asking(run, source, collected)
    pieces = list(uncovered(wanted, run.database.coverage(series)))
    if pieces and pieces[-1].start == asking.newest_close:
        pieces[-1] = Span(max(wanted.start, asking.newest_close - REVISED * interval.length), wanted.end)
    gaps = [gap for gap in run.database.gaps(series, wanted) if is_due(gap)]
    pieces = sorted([*pieces, *asked_again(gaps, wanted, interval)], key=lambda piece: piece.start)
    run.progress.expect(sum(candles_in(piece, interval) for piece in pieces))
    try:
        for piece in pieces:
            asking.ask(piece)
    finally:
        run.progress.expect(asking.asked - sum(candles_in(piece, interval) for piece in pieces))
    if asking.newest_close is None and not run.stopped.is_set():
        days = f"from {wanted.start:%Y-%m-%d %H:%M} to {wanted.end:%Y-%m-%d %H:%M} UTC"
        rejected = f", and {counted(collected.quarantined, 'rejected row')}" if collected.quarantined else ""
        raise SourceError(source.id, f"no candle of {series.pair} {days}{rejected}")


class _Asking:
    """One series while it is asked for."""

    def __init__(self, run: Run, source: CandleSource, collected: Collected) -> None:
        self._run, self._source, self._collected = run, source, collected
        self._series, self._interval = collected.series, collected.series.interval
        self.asked = 0  # candles, existing or not
        stored = next((one for one in run.database.collected() if one.series == self._series), None)
        self._first_open = None if stored is None else stored.first_open
        self.newest_close = None if stored is None else stored.newest_close  # of a candle that surely exists

    def ask(self, piece: Span) -> None:
        """Read the windows of a piece, and store each before the next one is read.

        The span up to the newest candle that the source has counts as asked for, not what follows: its clock, or ours,
        may be wrong, and a candle may be late.
        """
        asked_until = piece.start  # what lies before is stored as covered
        listed = self._listed(piece)
        self._advance(Span(piece.start, listed))
        for window in windows(Span(listed, piece.end), self._interval):
            if self._run.stopped.is_set():
                return
            sound, rejected = self._read(window)
            if sound or rejected:
                asked_until = self._store(Span(asked_until, window.end), sound, rejected)
            self._advance(window)
        if asked_until < piece.end:
            self._store(Span(asked_until, piece.end), [], [])

    def _advance(self, span: Span) -> None:
        candles = candles_in(span, self._interval)
        self.asked += candles
        self._run.progress.advance(str(self._series.pair), candles)

    def _listed(self, piece: Span) -> datetime:
        """Return the start of the first day in a piece that has a candle, or the end of the piece.

        A question for days takes the place of many for the minutes of years in which the pair was not listed yet.
        """
        days = Interval.DAY_1
        is_short = candles_in(piece, self._interval) <= WINDOW
        if is_short or days not in self._source.intervals or (self._first_open or piece.end) <= piece.start:
            return piece.start
        first = self._first(days, Span(days.floor(piece.start), days.ceil(piece.end)))
        if first is not None:
            return min(max(piece.start, days.floor(first.open_time)), piece.end)
        # A source may be without days, or without the day of today.
        *_, last = windows(piece, self._interval)
        return piece.end if self._first(self._interval, last) is None else piece.start

    def _first(self, interval: Interval, span: Span) -> Candle | None:
        candles = self._source.candles(self._series.pair, interval, span)
        return next((candle for candle in candles if candle.open_time in span), None)

    def _read(self, window: Span) -> tuple[list[Candle], list[Quarantined]]:
        """Return the candles of a window, judged: those that can be used, and the others."""
        audit = Audit(self._interval)
        sound: dict[datetime, Candle] = {}
        rejected: dict[datetime, Quarantined] = {}
        for candle in self._source.candles(self._series.pair, self._interval, window):
            opening = candle.open_time
            if opening not in window:
                continue
            if audit.add(candle, self._run.now):
                sound[opening] = candle
                rejected.pop(opening, None)
            else:
                rejected[opening] = Quarantined(candle, "; ".join(candle.faults()) or OFF_GRID)
                sound.pop(opening, None)
        return list(sound.values()), list(rejected.values())

    def _store(self, asked: Span, sound: Sequence[Candle], rejected: Sequence[Quarantined]) -> datetime:
        """Store the answer to one window, or to none. Return the instant up to which the series is covered."""
        if sound:
            openings = [candle.open_time for candle in sound]
            newest = max(openings) + self._interval.length
            self.newest_close = max(newest, self.newest_close or newest)
            self._first_open = min(*openings, self._first_open or openings[0])
        covered = self._covered(asked, rejected)
        if not (sound or rejected) and covered.end <= covered.start:
            return covered.start
        database = self._run.database
        database.follow(self._series, simulated=self._source.simulated)
        if rejected:
            facts = self._series.pair, len(rejected), self._source.id, place(rejected[0].candle.open_time, None)
            _log.warning("%s: %d rows of %s rejected; the first: %s: %s", *facts, rejected[0].reason)
        self._collected.windows += bool(sound)
        self._collected.quarantined += len(rejected)
        self._collected.changed += database.write(self._series, sound, covered, rejected)
        return max(covered.start, covered.end)

    def _covered(self, asked: Span, rejected: Sequence[Quarantined]) -> Span:
        """Return the span that needs no further question; its end may lie before its start.

        Rejected rows between two candles are a gap, which is asked for again. Those before the first candle and after
        the newest one are not, so that they must not count as covered: the exchange may send sound ones later.
        """
        first, newest = self._first_open, self.newest_close
        openings = [self._interval.floor(row.candle.open_time) for row in rejected]
        before = [opening + self._interval.length for opening in openings if first is None or opening < first]
        start = max([asked.start, *before])
        return Span(start, asked.start if newest is None else min(asked.end, newest))


def candles_in(span: Span, interval: Interval) -> int:
    """Return the number of openings in a span on the grid."""
    return (span.end - span.start) // interval.length
