"""REST beside the streams: the newest end of every series, its history, and the gaps that are due.

Each source has its own threads for `Kind.TAIL` and for `Kind.HISTORY`. History never delays the newest candles, and
leaves them a fifth of the rate budget. Both may fetch the same window: only the answers decide which candles are
stored, and which windows count as covered.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock

from crypto_predict.collecting.fetching import Collected, Fetch, Run
from crypto_predict.collecting.live.events import Publish, Stored
from crypto_predict.collecting.live.fetching.comparison import Comparison, FillDatabase, Missed
from crypto_predict.collecting.live.fetching.schedule import Kind, Schedule
from crypto_predict.collecting.windows import TAIL, due_pieces, newest_pieces, uncovered
from crypto_predict.errors import DatabaseError, RefusedKeys, SeriesHeld, SourceError, Unreachable, UnusableHistory
from crypto_predict.history import SETTLE, closing_limit
from crypto_predict.market import EPOCH, Candle, Interval, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import DELISTED, CollectedSeries
from crypto_predict.market.ports import CandleSource
from crypto_predict.outages import Outage
from crypto_predict.sources.network.limits import patiently
from crypto_predict.sources.network.retry import Failure
from crypto_predict.threads import started
from crypto_predict.wording import duration

THREADS = {Kind.TAIL: 3, Kind.HISTORY: 2}  # of each source

# All in seconds of the market.
CONFIRMED = 180.0  # from one question for the newest candles to the next, where a stream delivers them
AFTER_CLOSE = SETTLE.total_seconds() + 1  # when they are asked for after the close, where none does
LONGEST = 3600.0  # from one question for the newest candle to the next, whatever its interval is
LOOKED = 300.0  # from one look for missing history and due gaps to the next
HELD = 60.0  # until a series is tried again that another process fills
DATABASE = 5.0  # the longest time until a database that was away is used again
MISSING = 60.0  # until a pair is asked for again that the exchange does not have

LOGGED = 60.0  # from one line about the progress of the histories to the next

MOST_REFUSALS = 3  # answers in a row that a pair does not exist, after which it is delisted
AGAIN = timedelta(days=1)  # after which history is asked for once more that did not have any candle
GAPS_WITHIN = timedelta(days=30)  # how old the gaps are that are looked for
STOPPING = 0.8  # seconds of this machine that `stop` waits for the threads

_log = logging.getLogger(__name__)


class Filler:
    """Asks sources, by name, over REST for what the streams do not deliver. Any thread may call the methods.

    All waiting follows the clock, except for rate budgets and timeouts of HTTP. `streaming` names the sources whose
    streams deliver closed minutes. Candles older than their interval is kept are not asked for. A thread of the filler
    calls `publish` with `Stored`, and `missed` with what a stream did not send though it was connected.
    """

    def __init__(  # noqa: PLR0913 each is one fact
        self,
        database: FillDatabase,
        sources: Mapping[str, CandleSource],
        clock: Clock,
        *,
        streaming: Collection[str] = (),
        keep: Mapping[Interval, timedelta] | None = None,
        publish: Publish = lambda _: None,
        missed: Missed = lambda _series, _openings: None,
    ) -> None:
        self._database, self._sources, self._clock, self._publish = database, sources, clock, publish
        self._streaming, self._keep = frozenset(streaming), dict(keep or {})
        self._comparison = Comparison(database, clock, missed)
        self._followed: dict[SeriesKey, _Progress] = {}
        self._collected: dict[tuple[Kind, SeriesKey], Collected] = {}  # since the start
        self._schedules: dict[str, Schedule] = {}  # by source
        self._logged_at: dict[str, float] = {}  # seconds on the clock, by source
        self._threads: list[Future[None]] = []
        self._stopped = Event()
        self._outages: dict[str, Outage] = defaultdict(Outage)  # of the database, of sources and of series
        self._lock = Lock()

    def stop(self) -> None:
        """End within a second. A thread that waits for an exchange ends later, and does not store its answer."""
        self._stopped.set()
        with self._lock:
            for schedule in self._schedules.values():
                schedule.close()
        wait(self._threads, STOPPING)

    def follow(self, series: Sequence[CollectedSeries]) -> None:
        """Fill these series, as the database describes them now, and no others; new ones at once."""
        with self._lock:
            for key in self._followed.keys() - {stored.series for stored in series}:
                self._drop(key)
            for stored in series:
                key = stored.series
                if key.source not in self._sources:
                    continue
                if key.source not in self._schedules:
                    self._start(key.source)
                schedule, before = self._schedules[key.source], self._followed.get(key)
                is_changed = before is not None and before.stored.since != stored.since
                if before is None:
                    self._followed[key] = _Progress(stored)
                elif is_changed:  # what a running job still notes belongs to the history from another day on
                    self._followed[key] = _Progress(stored, before.refusals, before.newest)
                else:
                    before.stored = stored
                for kind in Kind:
                    if not schedule.has(kind, key) or (is_changed and kind is Kind.HISTORY):
                        schedule.plan(kind, key)

    def tail(self, series: SeriesKey | None = None) -> None:
        """Ask soon for what is missing at the newest end of a series, or of every one. Requests that wait become one.

        A series without a stream is not asked for again before its next close if it has the newest candle.
        """
        for key in list(self._followed) if series is None else [series]:
            progress, schedule = self._followed.get(key), self._schedules.get(key.source)
            if progress is None or schedule is None or not schedule.has(Kind.TAIL, key):
                continue
            if self._is_streamed(key) or progress.newest < key.interval.floor(self._clock.now() - SETTLE):
                schedule.plan(Kind.TAIL, key)

    def stored(self, news: Stored) -> None:
        """Remember which candles came by stream, to compare them with REST."""
        if news.by_stream:
            self._comparison.streamed(news.series, [candle.open_time for candle in news.candles])

    def collected(self, series: SeriesKey) -> tuple[int, int]:
        """Return how many candles of a series were new or changed, and how many were rejected, since the start."""
        parts = [self._collected[kind, series] for kind in Kind if (kind, series) in self._collected]
        return sum(part.changed for part in parts), sum(part.quarantined for part in parts)

    def _start(self, name: str) -> None:
        """Begin to do the jobs of a source."""
        self._schedules[name] = Schedule(self._clock)
        for kind, count in THREADS.items():
            work = partial(self._work, self._sources[name], self._schedules[name], kind)
            names = (f"fill-{name}-{kind.name.lower()}-{number}" for number in range(count))
            self._threads += [started(work, thread) for thread in names]

    def _drop(self, series: SeriesKey) -> None:
        self._schedules[series.source].drop(series)
        self._followed.pop(series, None)

    def _work(self, source: CandleSource, schedule: Schedule, kind: Kind) -> None:
        """Do the jobs of one kind until `stop` is called."""
        do = self._tail if kind is Kind.TAIL else self._history
        while (series := schedule.next(kind)) is not None:
            try:
                progress = self._followed.get(series)
                delay = LONGEST if progress is None else do(source, progress)
            except Exception as error:  # noqa: BLE001 whatever it is, the thread goes on
                if not self._stopped.is_set():
                    self._failed(schedule, kind, series, error)
            else:
                for name in ("the database", source.id, str(series)):
                    if name in self._outages and (seconds := self._outages[name].over()) is not None:
                        _log.info("%s: well again after %s", name, duration(timedelta(seconds=seconds)))
                schedule.done(kind, series, delay)

    def _failed(self, schedule: Schedule, kind: Kind, series: SeriesKey, error: Exception) -> None:
        """Plan what follows an error. It may be of the source, of the database, or of one series."""
        delay = None
        match error:
            case Unreachable() | RefusedKeys():
                self._trouble(series.source, f"is asked again until it answers: {error.reason}")
                wished = error.__cause__.retry_after or 0.0 if isinstance(error.__cause__, Failure) else 0.0  # seconds
                schedule.source_failed(kind, series, wished * self._clock.speed)
                return
            case SeriesHeld():
                self._trouble(str(series), f"its history waits: {error.reason}")
                delay = HELD
            case DatabaseError():
                self._trouble("the database", f"is used again as soon as it can be: {error}")
                delay = random.uniform(DATABASE / 2, DATABASE)  # noqa: S311 when to try again, not a secret
            case UnusableHistory():
                self._trouble(str(series), f"cannot be asked for: {'; '.join(error.faults)}")
                delay = MISSING
                if kind is Kind.TAIL:
                    self._refused(series)
            case SourceError():
                self._trouble(str(series), f"is asked for again: {error.reason}")
            case _:
                _log.error("%s: a defect; it is asked for again", str(series), exc_info=error)
        schedule.failed(kind, series, delay)

    def _trouble(self, name: str, text: str) -> None:
        """Log that something has failed, once until it is well again."""
        if self._outages[name].failed():
            _log.warning("%s: %s", name, text)

    def _refused(self, series: SeriesKey) -> None:
        """Count an answer that the exchange does not have a pair, which may be a mistake once."""
        with self._lock:
            if (progress := self._followed.get(series)) is None:
                return
            progress.refusals += 1
            if progress.refusals < MOST_REFUSALS:
                return
        try:
            self._database.set_state(series, DELISTED)
        except DatabaseError as error:
            self._trouble("the database", f"is used again as soon as it can be: {error}")
            return
        _log.warning("%s: delisted, since the exchange does not have it; its candles stay", str(series))
        with self._lock:
            self._drop(series)

    def _tail(self, source: CandleSource, progress: "_Progress") -> float:
        """Ask for the newest end of a series; return the seconds until it is due again."""
        series, now = progress.stored.series, self._clock.now()
        wanted = self._wanted(source, progress.stored, now)
        wanted = Span(max(wanted.start, wanted.end - TAIL * series.interval.length), wanted.end)
        fetch = self._fetch(Kind.TAIL, source, progress, now)
        covered = self._database.coverage(series) if wanted.start < wanted.end else ()
        for span, asked_before in newest_pieces(wanted, covered, fetch.newest_close, series.interval):
            fetch.oldest_first(span, asked_before)
        progress.refusals = 0
        progress.newest = fetch.newest_close or progress.newest
        if self._is_streamed(series):
            return CONFIRMED * random.uniform(0.9, 1.1)  # noqa: S311 not all series at once
        after = timedelta(seconds=AFTER_CLOSE)
        now = self._clock.now()
        due = series.interval.floor(now - after) + series.interval.length + after
        return min((due - now).total_seconds(), LONGEST)

    def _history(self, source: CandleSource, progress: "_Progress") -> float:
        """Ask for one window of the history of a series; return the seconds until it is due again."""
        series = progress.stored.series
        steps, progress.steps = progress.steps, None  # if a step fails, the history begins again
        if steps is None:
            steps, progress.windows = self._missing(source, progress), 0
        with self._database.hold(series), patiently():
            start = next(steps, None)
        if start is None:
            if progress.windows and not self._stopped.is_set():
                _log.info("%s: its history is complete", str(series))
            return LOOKED
        progress.steps, progress.windows = steps, progress.windows + 1
        now = self._clock.monotonic()
        if now - self._logged_at.get(source.id, -LOGGED) >= LOGGED:
            self._logged_at[source.id] = now
            _log.info("%s: its history is stored back to %s UTC", str(series), f"{start:%Y-%m-%d %H:%M}")
        return 0.0

    def _missing(self, source: CandleSource, progress: "_Progress") -> Iterator[datetime]:
        """Ask for what is missing before the tail, the newest windows first, and for the gaps that are due.

        What follows the newest candle, and rejected rows at the ends, stay uncovered: they are asked for once a day.
        """
        series, now = progress.stored.series, self._clock.now()
        wanted = self._wanted(source, progress.stored, now)
        end = wanted.end - TAIL * series.interval.length
        asked_until, asked_at = progress.asked_until, progress.asked_at
        if now - asked_at >= AGAIN:
            asked_until, asked_at = wanted.start, now
        fetch = self._fetch(Kind.HISTORY, source, progress, now)
        parts = uncovered(Span(max(wanted.start, asked_until), end), self._database.coverage(series))
        for part in reversed(list(parts)):
            yield from fetch.newest_first(part)
        gaps = self._database.gaps(series, Span(now - GAPS_WITHIN, wanted.end))
        for span in due_pieces(gaps, wanted, series.interval, now):
            fetch.oldest_first(span)
            yield span.start
        if not self._stopped.is_set():
            progress.asked_until, progress.asked_at = max(asked_until, end), asked_at

    def _fetch(self, kind: Kind, source: CandleSource, progress: "_Progress", now: datetime) -> Fetch:
        run, stored = Run(self._database, now, None, None, self._stopped, self._storing), progress.stored
        if progress.newest > (stored.newest_close or EPOCH):  # the description is some seconds old
            stored = replace(stored, newest_close=progress.newest)
        # Each kind counts its own, since two threads may ask for one series.
        collected = self._collected.setdefault((kind, stored.series), Collected(stored.series))
        return Fetch(run, source, collected, stored)

    def _storing(self, series: SeriesKey, candles: Sequence[Candle], store: Callable[[], int]) -> int:
        with self._comparison.storing(series, candles) if self._is_streamed(series) else nullcontext():
            changed = store()
        self._publish(Stored(series, candles, changed, by_stream=False))
        return changed

    def _wanted(self, source: CandleSource, stored: CollectedSeries, now: datetime) -> Span:
        """Return the span of a series that shall be stored; its end may lie before its start."""
        interval = stored.series.interval
        start = max(stored.since or EPOCH, now - self._keep.get(interval, now - EPOCH))
        end = source.newest_close(stored.series.pair, interval, closing_limit(None, now))
        return Span(interval.ceil(start), end)

    def _is_streamed(self, series: SeriesKey) -> bool:
        return series.interval is Interval.MINUTE_1 and series.source in self._streaming


@dataclass(slots=True)
class _Progress:
    """A series that is followed, and how far it is filled."""

    stored: CollectedSeries  # as the database describes it
    refusals: int = 0  # answers in a row that the pair does not exist
    newest: datetime = EPOCH  # UTC, the close of the newest candle
    steps: Iterator[datetime] | None = None  # of the history while it is fetched
    windows: int = 0  # of the history so far
    asked_until: datetime = EPOCH  # up to where the history was asked for, whatever came
    asked_at: datetime = EPOCH  # when all of it was asked for
