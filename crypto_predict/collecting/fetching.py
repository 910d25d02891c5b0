"""Ask a source for the candles of one series, window by window: each is read, judged and stored before the next one."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from threading import Event, Lock
from typing import Never, Protocol

from tqdm import tqdm

from crypto_predict.collecting.windows import WINDOW, windows
from crypto_predict.history import place
from crypto_predict.market import Candle, Interval, SeriesKey, Span
from crypto_predict.market.collected import CollectedSeries, Quarantined
from crypto_predict.market.ports import CandleSource, CandleWriter, CoverageReader, Reservations, SeriesWriter
from crypto_predict.wording import duration

SECONDS = 10.0  # between two log lines about the progress

_BAR = "{desc}{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt} candles, {rate_fmt}, {remaining} left"

_log = logging.getLogger(__name__)


class FetchDatabase(SeriesWriter, CoverageReader, CandleWriter, Reservations, Protocol):
    """What is fetched goes into it."""


class Progress:
    """The candles asked for of those wanted: a bar on a terminal, otherwise log lines. Several threads may share it."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds  # between two log lines
        self._bar: tqdm[Never] = tqdm(total=0, bar_format=_BAR, unit_scale=True, disable=None, leave=False, unit="")
        self.close = self._bar.close
        self._lock = Lock()
        self._wanted = self._done = 0
        self._began = self._logged = time.monotonic()

    def expect(self, candles: int) -> None:
        """Count candles that will be asked for; a negative number: that will not, after all."""
        with self._lock:
            self._wanted += candles
            self._bar.total = self._wanted

    def advance(self, name: str, candles: int) -> None:
        """Count candles of the series `name` that were asked for, whether they exist or not."""
        with self._lock:
            self._done += candles
            self._bar.set_description_str(f"{name} ", refresh=False)
            self._bar.update(candles)
            now = time.monotonic()
            if self._bar.disable and now - self._logged >= self._seconds:
                self._logged = now
                rate = self._done / (now - self._began)
                left = duration(timedelta(seconds=max(self._wanted - self._done, 0) / max(rate, 1e-9)))
                counts = self._done, self._wanted, 100 * self._done / max(self._wanted, 1), rate
                _log.info("%s: %d of %d candles (%.0f %%), %.0f a second, %s left", name, *counts, left)


@dataclass(frozen=True, slots=True)
class Run:
    """What the series of one run have in common."""

    database: FetchDatabase
    now: datetime  # UTC, when the run began
    until: date | None  # the last UTC day; None: up to now
    progress: Progress | None  # None: it is not shown
    stopped: Event  # set when the run is interrupted
    # Called with the sound candles of an answer and the transaction that stores them, for what that returns: how many
    # of them were new or changed.
    storing: Callable[[SeriesKey, Sequence[Candle], Callable[[], int]], int] = lambda _series, _candles, store: store()

    def expect(self, candles: int) -> None:
        """Show that so many candles more will be asked for; a negative number: that they will not, after all."""
        if self.progress is not None:
            self.progress.expect(candles)


@dataclass(slots=True)
class Collected:
    """What one run has added to a series. It is stored also if an error followed."""

    series: SeriesKey
    windows: int = 0  # that were stored and had a candle
    changed: int = 0  # candles that were new or changed
    quarantined: int = 0  # candles that were rejected


class Fetch:
    """One series while it is fetched; `stored` describes it, None if it is not in the database.

    Several threads may fetch the same window. A window counts as covered only once its candles are in the database.
    """

    def __init__(self, run: Run, source: CandleSource, collected: Collected, stored: CollectedSeries | None) -> None:
        self._run, self._source, self._collected = run, source, collected
        self._series, self._interval = collected.series, collected.series.interval
        self.questioned = 0  # candles, existing or not
        self._is_followed = stored is not None and stored.simulated == source.simulated
        self._first_open = None if stored is None else stored.first_open
        self.newest_close = None if stored is None else stored.newest_close  # of a candle that surely exists

    def oldest_first(self, piece: Span, asked_before: datetime | None = None) -> None:
        """Read the windows of a piece, the oldest first.

        The span up to the newest candle that the source has counts as asked for, not what follows: its clock, or ours,
        may be wrong, and a candle may be late. Nor does what lies before `asked_before`: it is covered, and its gaps
        need not count another attempt.
        """
        asked_until = max(piece.start, asked_before or piece.start)  # what lies before is stored as covered
        listed = self._listed(piece)
        self._advance(Span(piece.start, listed))
        for window, sound, rejected in self._answers(windows(Span(listed, piece.end), self._interval)):
            if sound or rejected:
                asked_until = self._store(Span(asked_until, window.end), sound, rejected)
            self._advance(window)
        if asked_until < piece.end and not self._run.stopped.is_set():
            self._store(Span(asked_until, piece.end), [], [])

    def newest_first(self, piece: Span) -> Iterator[datetime]:
        """Read the windows of a piece, the newest first. After each yield the start of what is stored by then."""
        listed = self._listed(piece)
        spans = reversed(list(windows(Span(listed, piece.end), self._interval)))
        for window, sound, rejected in self._answers(spans):
            self._store(window, sound, rejected)
            yield window.start
        if piece.start < listed and not self._run.stopped.is_set():
            self._store(Span(piece.start, listed), [], [])

    def _answers(self, spans: Iterable[Span]) -> Iterator[tuple[Span, list[Candle], list[Quarantined]]]:
        """Yield each window with its candles, judged: those that can be used, and the others."""
        for window in spans:
            if self._run.stopped.is_set():
                return
            sound: dict[datetime, Candle] = {}
            rejected: dict[datetime, Quarantined] = {}
            for candle in self._source.candles(self._series.pair, self._interval, window):
                opening = candle.open_time
                if opening not in window:
                    continue
                if fault := fault_of(candle, self._interval):
                    rejected[opening] = Quarantined(candle, fault)
                    sound.pop(opening, None)
                else:
                    sound[opening] = candle
                    rejected.pop(opening, None)
            if self._run.stopped.is_set():
                return
            yield window, list(sound.values()), list(rejected.values())

    def _advance(self, span: Span) -> None:
        candles = candles_in(span, self._interval)
        self.questioned += candles
        if self._run.progress is not None:
            self._run.progress.advance(str(self._series.pair), candles)

    def _listed(self, piece: Span) -> datetime:
        """Return the start of the first day in a piece that has a candle, or the end of the piece.

        A question for days takes the place of many for the minutes of years in which the pair was not listed yet.
        """
        days = Interval.DAY_1
        is_short = candles_in(piece, self._interval) <= WINDOW
        if is_short or days not in self._source.intervals or (self._first_open or piece.end) <= piece.start:
            return piece.start

        def first(interval: Interval, span: Span) -> datetime | None:
            candles = self._source.candles(self._series.pair, interval, span)
            return next((candle.open_time for candle in candles if candle.open_time in span), None)

        if (day := first(days, Span(days.floor(piece.start), piece.end))) is not None:  # the day of its end may be open
            return min(max(piece.start, days.floor(day)), piece.end)
        # A source may be without days, or without the day of today.
        *_, last = windows(piece, self._interval)
        return piece.end if first(self._interval, last) is None else piece.start

    def _store(self, span: Span, sound: Sequence[Candle], rejected: Sequence[Quarantined]) -> datetime:
        """Store the answer to one window, or to none. Return the instant up to which the series is covered."""
        if sound:
            openings = [candle.open_time for candle in sound]
            newest = max(openings) + self._interval.length
            self.newest_close = max(newest, self.newest_close or newest)
            self._first_open = min(*openings, self._first_open or openings[0])
        covered = self._covered(span, rejected)
        if not (sound or rejected) and covered.end <= covered.start:
            return covered.start
        database = self._run.database
        if not self._is_followed:
            database.follow(self._series, simulated=self._source.simulated)
            self._is_followed = True
        if rejected:
            facts = self._series.pair, len(rejected), self._source.id, place(rejected[0].candle.open_time, None)
            _log.warning("%s: %d rows of %s rejected; the first: %s: %s", *facts, rejected[0].reason)
        self._collected.windows += bool(sound)
        self._collected.quarantined += len(rejected)
        store = partial(database.write, self._series, sound, covered, rejected)
        self._collected.changed += self._run.storing(self._series, sound, store)
        return max(covered.start, covered.end)

    def _covered(self, span: Span, rejected: Sequence[Quarantined]) -> Span:
        """Return the span that needs no further question; its end may lie before its start.

        Rejected rows between two candles are a gap, which is asked for again. Those before the first candle and after
        the newest one are not, so that they must not count as covered: the exchange may send sound ones later.
        """
        first, newest = self._first_open, self.newest_close
        openings = [self._interval.floor(row.candle.open_time) for row in rejected]
        before = [opening + self._interval.length for opening in openings if first is None or opening < first]
        start = max([span.start, *before])
        return Span(start, span.start if newest is None else min(span.end, newest))


def candles_in(span: Span, interval: Interval) -> int:
    """Return the number of openings in a span on the grid."""
    return (span.end - span.start) // interval.length


def fault_of(candle: Candle, interval: Interval) -> str | None:
    """Return why no market can have made a candle; None if it is sound."""
    if faults := candle.faults():
        return "; ".join(faults)
    is_on_grid = candle.open_time == interval.floor(candle.open_time)
    return None if is_on_grid else "it opens where no candle of its interval can"
