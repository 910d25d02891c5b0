"""REST beside the streams: the newest end of every series, its history, and the gaps that are due.

Each source has its own threads for `Kind.TAIL` and for `Kind.HISTORY`. History never delays the newest candles, and
leaves them a fifth of the rate budget. Both may fetch the same window: only the answers decide which candles are
stored, and which windows count as covered.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock
from typing import Protocol

from crypto_predict.collecting.fetching import Collected, Fetch, FetchDatabase, Run
from crypto_predict.collecting.live.events import DatabaseBack, Publish, Stored
from crypto_predict.collecting.live.fetching.comparison import Comparison, ComparisonDatabase
from crypto_predict.collecting.live.fetching.schedule import Kind, Schedule
from crypto_predict.collecting.windows import TAIL, due_pieces, newest_pieces, uncovered
from crypto_predict.errors import DatabaseError, RefusedKeys, SeriesHeld, SourceError, Unreachable, UnusableHistory
from crypto_predict.history import SETTLE, closing_limit
from crypto_predict.market import EPOCH, Candle, Interval, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import DELISTED, CollectedSeries
from crypto_predict.market.ports import CandleSource
from crypto_predict.outages import Outage, backoff
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
FAILED = (5.0, 300.0)  # until a series is asked for again after an error of its own, and the most after many
MISSING = 60.0  # until a pair is asked for again that the exchange does not have

LOGGED = 60.0  # from one line about the progress of the histories to the next

MOST_REFUSALS = 3  # answers in a row that a pair does not exist, after which it is delisted
AGAIN = timedelta(days=1)  # after which history is asked for once more that did not have any candle
GAPS_WITHIN = timedelta(days=30)  # how old the gaps are that are looked for
STOPPING = 0.8  # seconds of this machine that `stop` waits for the threads

_log = logging.getLogger(__name__)


class FillDatabase(FetchDatabase, ComparisonDatabase, Protocol):
    """What a filler reads and writes."""


class Filler:
    """Asks sources over REST for what the streams do not deliver. All methods may be called from any thread.

    Args:
        database: Where candles are stored.
        sources: By name. More may be added later.
        clock: All waiting follows it, except for rate budgets and timeouts of HTTP.
        streaming: The names of the sources whose streams deliver closed minutes.
        keep: How long the candles of an interval are kept; older ones are not asked for.
        publish: Called from a thread of the filler with `Stored` and `Missed`.
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
    ) -> None:
        self._database, self._sources, self._clock, self._publish = database, sources, clock, publish
        self._streaming, self._keep = frozenset(streaming), dict(keep or {})
        self._comparison = Comparison(database, clock, publish)
        self._followed: Mapping[SeriesKey, CollectedSeries] = {}
        self._collected: dict[tuple[Kind, SeriesKey], Collected] = {}  # since the start
        self._lanes: dict[str, _Lane] = {}
        self._threads: list[Future[None]] = []
        self._is_started = False
        self._stopped = Event()
        self._outages: dict[str, Outage] = defaultdict(Outage)  # of the database, of sources and of series
        self._lock = Lock()

    def start(self) -> None:
        """Begin to ask for the series that are followed."""
        with self._lock:
            self._is_started = True
            for lane in self._lanes.values():
                self._start_threads(lane)

    def stop(self) -> None:
        """End within a second. A thread that waits for an exchange ends later, and does not store its answer."""
        self._stopped.set()
        with self._lock:
            for lane in self._lanes.values():
                lane.schedule.close()
        wait(self._threads, STOPPING)

    def follow(self, series: Sequence[CollectedSeries]) -> None:
        """Fill these series, as the database describes them now, and no others; new ones at once."""
        with self._lock:
            before, self._followed = self._followed, {stored.series: stored for stored in series}
            for key in before.keys() - self._followed.keys():
                if key.source in self._lanes:
                    self._lanes[key.source].drop(key)
            for key, stored in self._followed.items():
                lane = self._lane(key.source)
                if lane is None:
                    continue
                for kind in Kind:
                    if not lane.schedule.has(kind, key):
                        lane.schedule.plan(kind, key)
                if key in before and before[key].since != stored.since:
                    lane.schedule.plan(Kind.HISTORY, key)

    def tail(self, series: SeriesKey) -> None:
        """Ask soon for what is missing at the newest end of a series. Requests that wait become one.

        A series without a stream is not asked for again before its next close if it has the newest candle.
        """
        lane = self._lanes.get(series.source)
        if lane is None or not lane.schedule.has(Kind.TAIL, series):
            return
        newest = series.interval.floor(self._clock.now() - SETTLE)
        if self._is_streamed(series) or lane.newest.get(series, EPOCH) < newest:
            lane.schedule.plan(Kind.TAIL, series)

    def all_tails(self, _event: DatabaseBack | None = None) -> None:
        """Ask soon for the newest end of every series."""
        for series in self._followed:
            self.tail(series)

    def stored(self, news: Stored) -> None:
        """Remember which candles came by stream, to compare them with REST."""
        if news.by_stream:
            self._comparison.streamed(news.series, [candle.open_time for candle in news.candles])

    def waiting(self) -> Sequence[SeriesKey]:
        """Return the series whose newest end is to be asked for now."""
        return [series for lane in list(self._lanes.values()) for series in lane.schedule.waiting()]

    def collected(self, series: SeriesKey) -> Collected:
        """Return what has been collected of a series since the start."""
        parts = [part for kind in Kind if (part := self._collected.get((kind, series)))]
        return Collected(
            series,
            sum(part.windows for part in parts),
            sum(part.changed for part in parts),
            sum(part.quarantined for part in parts),
        )

    def _lane(self, name: str) -> "_Lane | None":
        """Return the lane of a source; None if it is not collected here."""
        if name not in self._lanes and name in self._sources:
            self._lanes[name] = _Lane(self._sources[name], Schedule(self._clock))
            if self._is_started:
                self._start_threads(self._lanes[name])
        return self._lanes.get(name)

    def _start_threads(self, lane: "_Lane") -> None:
        for kind, count in THREADS.items():
            for number in range(count):
                name = f"fill-{lane.source.id}-{kind.name.lower()}-{number}"
                self._threads.append(started(partial(self._work, lane, kind), name))

    def _work(self, lane: "_Lane", kind: Kind) -> None:
        """Do the jobs of one kind until `stop` is called."""
        do = self._tail if kind is Kind.TAIL else self._history
        while (series := lane.schedule.next(kind)) is not None:
            try:
                stored = self._followed.get(series)
                delay = LONGEST if stored is None else do(lane, stored)
            except Exception as error:  # noqa: BLE001 whatever it is, the thread goes on
                if not self._stopped.is_set():
                    self._failed(lane, kind, series, error)
            else:
                for name in ("the database", lane.source.id, str(series)):
                    if name in self._outages and (seconds := self._outages[name].over()) is not None:
                        _log.info("%s: well again after %s", name, duration(timedelta(seconds=seconds)))
                lane.schedule.done(kind, series, delay)

    def _failed(self, lane: "_Lane", kind: Kind, series: SeriesKey, error: Exception) -> None:
        """Plan what follows an error. It may be of the source, of the database, or of one series."""
        delay = backoff(lane.schedule.failures(kind, series), *FAILED, least=1.0)
        match error:
            case Unreachable() | RefusedKeys():
                self._trouble(lane.source.id, f"is asked again until it answers: {error.reason}")
                lane.schedule.source_failed(kind, series, _wished(error) * self._clock.speed)
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
                    self._refused(lane, series)
            case SourceError():
                self._trouble(str(series), f"is asked for again: {error.reason}")
            case _:
                _log.error("%s: a defect; it is asked for again", str(series), exc_info=error)
        lane.schedule.failed(kind, series, delay)

    def _trouble(self, name: str, text: str) -> None:
        """Log that something has failed, once until it is well again."""
        if self._outages[name].failed():
            _log.warning("%s: %s", name, text)

    def _refused(self, lane: "_Lane", series: SeriesKey) -> None:
        """Count an answer that the exchange does not have a pair, which may be a mistake once."""
        lane.refusals[series] = lane.refusals.get(series, 0) + 1
        if lane.refusals[series] < MOST_REFUSALS:
            return
        try:
            self._database.set_state(series, DELISTED)
        except DatabaseError as error:
            self._trouble("the database", f"is used again as soon as it can be: {error}")
            return
        _log.warning("%s: delisted, since the exchange does not have it; its candles stay", str(series))
        lane.drop(series)

    def _tail(self, lane: "_Lane", stored: CollectedSeries) -> float:
        """Ask for the newest end of a series; return the seconds until it is due again."""
        series, now = stored.series, self._clock.now()
        wanted = self._wanted(lane, stored, now)
        wanted = Span(max(wanted.start, wanted.end - TAIL * series.interval.length), wanted.end)
        fetch = self._fetch(Kind.TAIL, lane, stored, now)
        covered = self._database.coverage(series) if wanted.start < wanted.end else ()
        for span, asked_before in newest_pieces(wanted, covered, fetch.newest_close, series.interval):
            fetch.oldest_first(span, asked_before)
        lane.refusals.pop(series, None)
        if fetch.newest_close is not None:
            lane.newest[series] = fetch.newest_close
        if self._is_streamed(series):
            return CONFIRMED * random.uniform(0.9, 1.1)  # noqa: S311 not all series at once
        after = timedelta(seconds=AFTER_CLOSE)
        now = self._clock.now()
        due = series.interval.floor(now - after) + series.interval.length + after
        return min((due - now).total_seconds(), LONGEST)

    def _history(self, lane: "_Lane", stored: CollectedSeries) -> float:
        """Ask for one window of the history of a series; return the seconds until it is due again."""
        series = stored.series
        history = lane.histories.pop(series, None)
        if history is None or history.since != stored.since:
            history = _History(stored.since, self._missing(lane, stored))
        with self._database.hold(series), patiently():
            start = next(history.steps, None)
        if start is None:
            if history.windows and not self._stopped.is_set():
                _log.info("%s: its history is complete", str(series))
            return LOOKED
        history.windows += 1
        lane.histories[series] = history
        now = self._clock.monotonic()
        if now - lane.logged_at >= LOGGED:
            lane.logged_at = now
            _log.info("%s: its history is stored back to %s UTC", str(series), f"{start:%Y-%m-%d %H:%M}")
        return 0.0

    def _missing(self, lane: "_Lane", stored: CollectedSeries) -> Iterator[datetime]:
        """Ask for what is missing before the tail, the newest windows first, and for the gaps that are due.

        What follows the newest candle, and rejected rows at the ends, stay uncovered: they are asked for once a day.
        """
        series, now = stored.series, self._clock.now()
        wanted = self._wanted(lane, stored, now)
        end = wanted.end - TAIL * series.interval.length
        done = lane.complete.get(series)
        if done is None or done.since != stored.since or now - done.at >= AGAIN:
            done = _Complete(stored.since, wanted.start, now)
        fetch = self._fetch(Kind.HISTORY, lane, stored, now)
        parts = uncovered(Span(max(wanted.start, done.until), end), self._database.coverage(series))
        for part in reversed(list(parts)):
            yield from fetch.newest_first(part)
        gaps = self._database.gaps(series, Span(now - GAPS_WITHIN, wanted.end))
        for span in due_pieces(gaps, wanted, series.interval, now):
            fetch.oldest_first(span)
            yield span.start
        if not self._stopped.is_set():
            lane.complete[series] = _Complete(stored.since, max(done.until, end), done.at)

    def _fetch(self, kind: Kind, lane: "_Lane", stored: CollectedSeries, now: datetime) -> Fetch:
        run = Run(self._database, now, None, None, self._stopped, stored=self._publish_stored)
        if self._is_streamed(stored.series):
            run = replace(run, storing=self._comparison.storing)
        newest = lane.newest.get(stored.series)  # the description is some seconds old
        if newest is not None and (stored.newest_close is None or stored.newest_close < newest):
            stored = replace(stored, newest_close=newest)
        # Each kind counts its own, since two threads may ask for one series.
        collected = self._collected.setdefault((kind, stored.series), Collected(stored.series))
        return Fetch(run, lane.source, collected, stored)

    def _publish_stored(self, series: SeriesKey, candles: Sequence[Candle], changed: int) -> None:
        self._publish(Stored(series, candles, changed, by_stream=False))

    def _wanted(self, lane: "_Lane", stored: CollectedSeries, now: datetime) -> Span:
        """Return the span of a series that shall be stored; its end may lie before its start."""
        interval = stored.series.interval
        start = max(stored.since or EPOCH, now - self._keep.get(interval, now - EPOCH))
        end = lane.source.newest_close(stored.series.pair, interval, closing_limit(None, now))
        return Span(interval.ceil(start), end)

    def _is_streamed(self, series: SeriesKey) -> bool:
        return series.interval is Interval.MINUTE_1 and series.source in self._streaming


@dataclass(slots=True)
class _History:
    """A history while it is fetched."""

    since: datetime | None
    steps: Iterator[datetime]
    windows: int = 0


@dataclass(frozen=True, slots=True)
class _Complete:
    """Up to where the history of a series was asked for, whatever came."""

    since: datetime | None
    until: datetime
    at: datetime  # when all of it was asked for


class _Lane:
    """A source, its schedule, and the progress of its series."""

    def __init__(self, source: CandleSource, schedule: Schedule) -> None:
        self.source, self.schedule = source, schedule
        self.histories: dict[SeriesKey, _History] = {}
        self.complete: dict[SeriesKey, _Complete] = {}
        self.refusals: dict[SeriesKey, int] = {}  # answers in a row that the pair does not exist
        self.newest: dict[SeriesKey, datetime] = {}  # UTC, the close of the newest candle
        self.logged_at = -LOGGED  # seconds on the clock

    def drop(self, series: SeriesKey) -> None:
        self.schedule.drop(series)
        for states in (self.histories, self.complete, self.refusals, self.newest):
            states.pop(series, None)


def _wished(error: SourceError) -> float:
    """Return the seconds that an exchange asks to wait."""
    failure = error.__cause__
    return failure.retry_after or 0.0 if isinstance(failure, Failure) else 0.0
