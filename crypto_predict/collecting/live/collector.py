"""The live collector: the streams of all sources, REST beside them, and one database."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from crypto_predict.collecting.live.events import Event, Stored, TailMissing
from crypto_predict.collecting.live.fetching.comparison import FillDatabase
from crypto_predict.collecting.live.fetching.filler import Filler
from crypto_predict.collecting.live.forecasting.hours import HourDatabase, HourForecasts
from crypto_predict.collecting.live.forecasting.loop import Forecasts
from crypto_predict.collecting.live.forecasting.state import ForecastDatabase
from crypto_predict.collecting.live.metrics import Figures
from crypto_predict.collecting.live.pairs import EVERY, Roster, expected
from crypto_predict.collecting.live.shards import LOOKED, ShardDatabase, Shards
from crypto_predict.collecting.live.streams.stream import Stream
from crypto_predict.collecting.live.writer import StreamDatabase, Writer
from crypto_predict.collecting.options import CollectSettings
from crypto_predict.collecting.outages import since
from crypto_predict.collecting.retention import purge
from crypto_predict.collecting.rollups import RollupDatabase, complete
from crypto_predict.errors import DatabaseError, SeriesHeld
from crypto_predict.logs import event
from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import CollectedSeries, Shard
from crypto_predict.market.ports import CandleSource, OutageWriter, Retention
from crypto_predict.sources.catalog import EXCHANGES, SIMULATED, open_feeds, open_sources
from crypto_predict.threads import in_thread
from crypto_predict.wording import counted

HEARTBEATS = 15.0  # seconds after which the state of a stream is stored
SETTLED = 10  # seconds of a minute by which the candle before it should have come
REGISTERED = 60.0  # seconds from one renewal of the register of outages to the next
HOURLY = 60  # renewals of which one looks far back
PURGED = 3600.0  # seconds from one purge, and look for missing rollups, to the next
AGAIN = 5.0  # seconds after which a part that has failed begins again
STORING = 10.0  # seconds of the market to store what has arrived of a shard that is given back
CLOSING = 1.0  # wall-clock seconds (not the clock of the market) to end the streams, and as many to store what waits
ENDING = 0.3  # the same for tasks that are left then

ANSWERING = 2.0  # timeout, in wall-clock seconds, of a reading of the metrics
AWAY = 120.0  # seconds without the database, from which the collector counts as not ready

_MINUTE = Interval.MINUTE_1

Part = Callable[[], Coroutine[None, None, None]]

_log = logging.getLogger(__name__)


class LiveDatabase(
    FillDatabase,
    StreamDatabase,
    ForecastDatabase,
    HourDatabase,
    Retention,
    RollupDatabase,
    OutageWriter,
    ShardDatabase,
    Protocol,
):
    """What a collector reads and writes."""


class Collector:
    """Collect the market until `stop` is called. It survives every failure of an exchange or of the database.

    It follows the pairs of the database, which it looks at every 20 s, those that `settings` name, and the default
    ones if the database is empty. Of several shards it follows its own, and those that no process collects.

    Raises:
        InvalidValue: A setting of a source is not valid.
    """

    def __init__(self, settings: CollectSettings, database: LiveDatabase, clock: Clock | None = None) -> None:
        self._settings, self._database, self._clock = settings, database, clock or Clock()
        names = list(settings.sources)
        stored = {collected.series.source for collected in database.collected()}
        names += sorted(stored & {*EXCHANGES, SIMULATED} - set(names))
        opened = open_sources(names, settings.environ, 0, ())
        self._sources: dict[str, CandleSource] = {source.id: source for source in opened}
        self._feeds = open_feeds(names, settings.environ, self._clock)
        self._loop: asyncio.AbstractEventLoop | None = None  # while it collects
        self._stopping, self._is_stopped = asyncio.Event(), threading.Event()
        self._followed: Sequence[CollectedSeries] = ()  # once they have their streams
        self._streams: dict[str, Stream] = {}
        self._stream_tasks: list[asyncio.Task[None]] = []
        self._renewals = 0  # of the register of outages
        self._newest: dict[SeriesKey, datetime] = {}  # UTC, the newest closes of streams that are stored
        self._writer = Writer(database, self._clock, self._publish)
        self._shards = Shards(database, settings.shard, self._clock)
        self._roster = Roster(database, self._shards, self._sources, self._clock)
        self._shards_followed: frozenset[Shard] = frozenset()
        self._refreshing = asyncio.Lock()
        self._filler = Filler(
            database,
            self._sources,
            self._clock,
            streaming=[name for name, feed in self._feeds.items() if feed.sends_candles],
            keep=settings.keep,
            publish=self._publish,
            missed=self._renew,
        )
        # Both without series if forecasts are switched off.
        self._forecasts, self._hours = Forecasts(database, self._clock), HourForecasts(database, self._clock)

    def run(self, begun: Callable[[], object] = lambda: None) -> None:
        """Collect, in this thread, until `stop` is called. What has arrived by then is stored.

        `begun` is called once the database is reserved.

        Raises:
            SeriesHeld: Another process collects the same; the error names it.
            UnusableHistory: Nothing can be followed: no source has any of the pairs.
            DatabaseError: The database cannot be used at the start; later it is waited for.
        """
        with self._shards.reserved():
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(self._collect(begun))
            finally:
                loop.close()

    def stop(self) -> None:
        """End `run` soon, or as soon as it is called. It may be called from any thread, and by a handler of signals."""
        self._is_stopped.set()
        self._call(self._stopping.set)

    def figures(self) -> Figures | None:
        """Return what it measures now; None if it does not run, or does not answer within `ANSWERING`.

        It may be called from any thread, and does not wait for the database.
        """
        answer: Future[Figures] = Future()
        if not self._call(lambda: answer.set_result(self._measured())):
            return None
        try:
            return answer.result(ANSWERING)
        except TimeoutError:
            return None

    def _call(self, work: Callable[[], object]) -> bool:
        """Call `work` in the event loop; return whether it runs."""
        loop = self._loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(work)
        except RuntimeError:  # it has ended meanwhile
            return False
        return loop is not None

    async def _collect(self, begun: Callable[[], object]) -> None:
        """Run all parts until `stop` is called, and end them within a bounded time."""
        self._loop = asyncio.get_running_loop()
        if self._is_stopped.is_set():
            self._stopping.set()
        begun()
        facts = {"sources": ",".join(self._sources), "streams": ",".join(self._feeds)}
        event(_log, logging.INFO, "collecting", shard=self._settings.shard, **facts)
        parts: list[Part] = [partial(self._writer.run, self._shards.renew), self._every_second]
        parts += [partial(self._repeat, EVERY, self._refresh)]  # pairs are added and removed in the database
        parts += [partial(self._repeat, LOOKED, self._look_at_shards)] if self._settings.shard.of > 1 else []
        parts += [partial(self._repeat, REGISTERED, self._register), partial(self._repeat, PURGED, self._tend)]
        if self._settings.forecasts:
            parts += [self._forecasts.run, self._forecasts.prepare, self._hours.run]
        tasks = [asyncio.create_task(_forever(part, self._clock)) for part in parts]
        stopping: asyncio.Future[Any] = asyncio.create_task(self._stopping.wait())
        working: asyncio.Future[Any] = asyncio.gather(self._begin(), *tasks)
        try:
            await asyncio.wait([stopping, working], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._loop = None
            for task in (stopping, working, *tasks):
                task.cancel()
            await asyncio.wait([stopping, working, *tasks])
            await self._close()
            await _end_tasks()
        with suppress(asyncio.CancelledError):
            working.result()

    async def _close(self) -> None:
        """End the streams, and store what has arrived."""
        self._is_stopped.set()
        stops = (self._filler.stop, self._forecasts.stop, self._hours.stop)
        stopping = [asyncio.create_task(in_thread(stop, "stop")) for stop in stops]
        for task in self._stream_tasks:
            task.cancel()
        await asyncio.wait([*self._stream_tasks, *stopping], timeout=CLOSING)
        for stream in self._streams.values():
            stream.every_second()
            stream.save_state()
        await self._writer.close(CLOSING)
        event(_log, logging.INFO, "stopped collecting", not_stored=self._writer.waiting().total())

    def _measured(self) -> Figures:
        """Return what is measured now."""
        writer, now = self._writer, self._clock.now()
        waiting, away = writer.waiting(), writer.outage.lasts
        faults = [] if self._followed else ["no pair is followed yet"]
        if away > AWAY:
            rows = counted(sum(waiting.values()), "row")
            faults.insert(0, f"the database has been away for {away:.0f} s; {rows} wait for it")
        values: dict[tuple[str, ...], dict[str, float | None]] = defaultdict(dict)
        if self._shards.waits_for:
            faults.insert(0, f"shard {self._shards.own} is still collected by {self._shards.waits_for}")
        shards = len(self._shards.collected)
        values[()] = {"database_away_seconds": away, "dropped_total": writer.dropped, "shards": shards}
        lags: dict[str, list[float]] = defaultdict(list)  # of the minutes of each source
        for followed in self._followed:
            series, stream = followed.series, self._streams.get(followed.series.source)
            closes = [close for close in (followed.newest_close, self._newest.get(series)) if close is not None]
            lag = None if not closes else max(0.0, (series.interval.floor(now) - max(closes)).total_seconds())
            if lag is not None and series.interval is _MINUTE:
                lags[series.source].append(lag)
            changed, rejected = self._filler.collected(series)
            labels = _labels(series)
            values[labels] = {
                "lag_seconds": lag,
                "gaps": followed.gaps,
                "gap_candles": followed.missing,
                "compared_total": followed.compared,
                "mismatched_total": followed.mismatched,
                "rejected_rows_total": rejected + (stream.rejected[series] if stream else 0),
            }
            values[*labels, "stream"] = {"candles_total": writer.stored_candles[series]}
            values[*labels, "rest"] = {"candles_total": changed}
            values[labels[:2]] = {"waiting": 0}
        for (source, pair), count in waiting.items():
            values[source, str(pair)] = {"waiting": count}
        for name, stream in self._streams.items():
            lag = min(lags[name], default=None)
            if figures := stream.figures(lag):
                values[(name,)] = figures
                faults += [fault] if (fault := stream.fault(lag)) else []
        if self._settings.forecasts:
            values[()] |= {
                "forecast_step_seconds": self._forecasts.step_seconds,
                "forecast_fit_seconds_total": self._forecasts.fit_seconds,
                "hour_forecast_seconds_total": self._hours.seconds,
            }
            for series, figures in (*self._forecasts.figures().items(), *self._hours.figures().items()):
                values[_labels(series)] |= figures
        return faults, values

    async def _begin(self) -> None:
        """Follow the pairs that the settings name, from sources that stream; the others go on meanwhile."""
        settings = self._settings
        since = settings.start if settings.since else None
        while self._shards.own not in self._shards.collected:  # pairs of other shards are left to them
            await self._clock.sleep(LOOKED)
        while True:
            try:
                await in_thread(lambda: self._roster.begin(settings.pairs, since, self._feeds), "begin")
            except DatabaseError as error:
                event(_log, logging.WARNING, "the database cannot be used yet", reason=error.reason)
                await self._clock.sleep(AGAIN)
            else:
                await self._refresh()
                facts = expected(self._followed, self._clock.now(), settings.keep, settings.database)
                event(_log, logging.INFO, "minutes to fetch", **facts)
                return

    async def _repeat(self, seconds: float, part: Part) -> None:
        while True:
            await part()
            await self._clock.sleep(seconds)

    async def _refresh(self) -> None:
        async with self._refreshing:
            try:
                await in_thread(self._roster.refresh, "roster")
            except DatabaseError:  # the writer reports it
                return
            self._follow(list(self._roster.series.values()))

    def _follow(self, series: Sequence[CollectedSeries]) -> None:
        """Collect these series and no others."""
        self._filler.follow(series)
        for forecasts in (self._forecasts, self._hours):
            forecasts.follow(series if self._settings.forecasts else ())
        pairs: dict[str, list[Pair]] = {name: [] for name in self._streams}
        for key in (followed.series for followed in series):
            if key.interval is _MINUTE and key.source in self._feeds:
                pairs.setdefault(key.source, []).append(key.pair)
        for name, streamed in pairs.items():
            if name not in self._streams:
                feed, source = self._feeds[name], self._sources[name]
                stream = self._streams[name] = Stream(feed, source, self._clock, self._writer, self._publish)
                self._stream_tasks.append(asyncio.create_task(_forever(stream.run, self._clock)))
            self._streams[name].follow(streamed)
        self._followed = series

    async def _look_at_shards(self) -> None:
        """Take over the pairs of a collector that is gone, and give them back when it runs again."""
        before = self._shards_followed
        try:
            leaving = await in_thread(self._shards.look, "shards")
        except SeriesHeld:
            raise
        except DatabaseError:  # the writer reports it
            return
        self._shards_followed = self._shards.collected
        if self._shards_followed != before:
            await self._refresh()
        if not leaving:
            return
        with suppress(TimeoutError):
            async with self._clock.timeout(STORING):
                while any(pair in shard for _, pair in self._writer.waiting() for shard in leaving):
                    await self._clock.sleep(1)
        await in_thread(partial(self._shards.release, leaving), "shards")

    async def _every_second(self) -> None:
        """Save built candles; less often the states of streams; once a minute quotes, and ask for late candles."""
        stored_at, minute = self._clock.monotonic(), EPOCH
        while True:
            await self._clock.sleep(1)
            now, monotonic = self._clock.now(), self._clock.monotonic()
            is_state_due = monotonic - stored_at >= HEARTBEATS
            is_minute_due = now.second >= SETTLED and _MINUTE.floor(now) != minute
            for stream in self._streams.values():
                stream.every_second()
                if is_state_due:
                    stored_at = monotonic
                    stream.save_state()
                if is_minute_due:
                    minute = _MINUTE.floor(now)
                    stream.every_minute()

    async def _register(self) -> None:
        """Bring the register of outages up to date."""
        now, kept = self._clock.now(), self._settings.keep.get(_MINUTE)
        begin = since(now, self._renewals % HOURLY > 0, kept)
        try:
            await in_thread(partial(self._database.record_outages, begin, now), "register")
        except DatabaseError:  # the writer reports it
            return
        self._renewals += 1

    async def _tend(self) -> None:
        """Make the rollups that an earlier version has left, and then delete what need not be kept."""
        old = partial(purge, self._database, self._settings.keep, self._clock.now(), self._is_stopped)
        try:
            await in_thread(partial(complete, self._database, self._is_stopped), "rollups")
            await in_thread(old, "purge")
        except DatabaseError as error:
            event(_log, logging.WARNING, "rollups or purge interrupted; they go on later", reason=error.reason)

    def _publish(self, news: Event) -> None:
        """Pass an event on to the parts that it concerns, in the thread that publishes it."""
        match news:
            case Stored():
                if news.by_stream:
                    close = news.candles[-1].open_time + news.series.interval.length
                    self._newest[news.series] = max(close, self._newest.get(news.series, close))
                self._filler.stored(news)
                self._forecasts.stored(news)
                self._hours.stored(news)
            case TailMissing():
                self._filler.tail(news.series)

    def _renew(self, series: SeriesKey, openings: Sequence[datetime]) -> None:
        """Connect a stream anew which did not send these candles, though it was connected; a thread calls this."""
        facts = {"source": series.source, "pair": series.pair, "at": f"{openings[0]:%Y-%m-%d %H:%M}"}
        event(_log, logging.WARNING, "the stream did not send a candle", **facts)
        if series.source in self._streams:
            self._call(self._streams[series.source].renew)


def _labels(series: SeriesKey) -> tuple[str, str, str]:
    return series.source, str(series.pair), series.interval.label


async def _end_tasks() -> None:
    """End what is left in the event loop, such as questions for quotes, and connections that do not close."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=ENDING)


async def _forever(part: Part, clock: Clock) -> None:
    """Run a part of the collector; if a defect ends it, begin again."""
    while True:
        try:
            await part()
        except SeriesHeld:  # by another collector, while the database was away
            raise
        except Exception:  # noqa: BLE001 a defect of this program must not end the collection
            _log.exception("a part of the collector has failed and begins again")
        await clock.sleep(AGAIN)
