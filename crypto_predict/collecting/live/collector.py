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
from typing import Protocol

from crypto_predict.collecting.live.events import DatabaseBack, Events, Missed, Stored, TailMissing
from crypto_predict.collecting.live.fetching.expected import expected
from crypto_predict.collecting.live.fetching.filler import FillDatabase, Filler
from crypto_predict.collecting.live.forecasting.fits import ForecastDatabase
from crypto_predict.collecting.live.forecasting.loop import Forecasts
from crypto_predict.collecting.live.measurements import Figures, SeriesFigures
from crypto_predict.collecting.live.pairs import EVERY, Roster
from crypto_predict.collecting.live.streams.stream import Stream
from crypto_predict.collecting.live.writer import StreamDatabase, Writer
from crypto_predict.collecting.options import CollectSettings
from crypto_predict.collecting.retention import purge
from crypto_predict.errors import DatabaseError, SeriesHeld
from crypto_predict.logs import event
from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import CandleSource, Held, Retention
from crypto_predict.sources.catalog import EXCHANGES, SIMULATED, open_feeds, open_sources
from crypto_predict.threads import in_thread

HEARTBEATS = 15.0  # seconds after which the state of a stream is stored
SETTLED = 10  # seconds of a minute by which the candle before it should have come
PURGED = 3600.0  # seconds from one purge to the next
AGAIN = 5.0  # seconds after which a part that has failed begins again
CLOSING = 1.0  # wall-clock seconds (not the clock of the market) to end the streams, and as many to store what waits
ENDING = 0.3  # the same for tasks that are left then

ANSWERING = 2.0  # timeout, in wall-clock seconds, of a reading of the metrics

_MINUTE = Interval.MINUTE_1

Part = Callable[[], Coroutine[None, None, None]]

_log = logging.getLogger(__name__)


class LiveDatabase(FillDatabase, StreamDatabase, ForecastDatabase, Retention, Protocol):
    """What a collector reads and writes."""


class Collector:
    """Collect the market until `stop` is called. It survives every failure of an exchange or of the database.

    It follows the pairs of the database, which it looks at every 20 s, those that `settings` name, and the default
    ones if the database is empty.
    """

    def __init__(self, settings: CollectSettings, database: LiveDatabase, clock: Clock | None = None) -> None:
        self._settings, self._database = settings, database
        self._clock = clock or Clock()
        self._end: Callable[[], object] | None = None  # while it runs
        self._measure: Callable[[Future[Figures]], object] | None = None  # while it runs
        self._is_stopped = False

    def run(self, begun: Callable[[], object] = lambda: None) -> None:
        """Collect, in this thread, until `stop` is called. What has arrived by then is stored.

        `begun` is called once the database is reserved and the settings of the sources are read.

        Raises:
            SeriesHeld: Another process collects the same; the error names it.
            UnusableHistory: Nothing can be followed: no source has any of the pairs.
            InvalidValue: A setting of a source is not valid.
            DatabaseError: The database cannot be used at the start.
        """
        with self._database.hold_collector(self._settings.shard) as hold:
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(self._collect(hold, begun))
            finally:
                loop.close()

    def stop(self) -> None:
        """End `run` soon, or as soon as it is called. It may be called from any thread, and by a handler of signals."""
        self._is_stopped = True
        if (end := self._end) is not None:
            with suppress(RuntimeError):  # its event loop has ended meanwhile
                end()

    def figures(self, seconds: float = ANSWERING) -> Figures | None:
        """Return what it measures now; None if it does not run, or does not answer within so many seconds.

        It may be called from any thread, and does not wait for the database.
        """
        answer: Future[Figures] = Future()
        try:
            if (measure := self._measure) is not None:
                measure(answer)
                return answer.result(seconds)
        except (TimeoutError, RuntimeError):  # the latter if its event loop has ended meanwhile
            pass
        return None

    async def _collect(self, hold: Held, begun: Callable[[], object]) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        self._end = lambda: loop.call_soon_threadsafe(stopping.set)
        if self._is_stopped:
            stopping.set()
        collection = _Collection(self._settings, self._database, self._clock, hold)
        begun()
        self._measure = lambda answer: loop.call_soon_threadsafe(lambda: answer.set_result(collection.figures()))
        tasks = [asyncio.create_task(stopping.wait()), asyncio.create_task(collection.run())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._end = self._measure = None
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await collection.close()
            await _end_tasks()
        if not tasks[1].cancelled():
            tasks[1].result()


class _Collection:
    """The parts that run while a collector has reserved its database, and the events between them."""

    def __init__(self, settings: CollectSettings, database: LiveDatabase, clock: Clock, hold: Held) -> None:
        self._settings, self._database, self._clock = settings, database, clock
        names = list(settings.sources)
        stored = {collected.series.source for collected in database.collected()}
        names += sorted(stored & {*EXCHANGES, SIMULATED} - set(names))
        opened = open_sources(names, settings.environ, 0, ())
        self._sources: dict[str, CandleSource] = {source.id: source for source in opened}
        self._feeds = open_feeds(names, settings.environ, clock)
        self._followed: Sequence[CollectedSeries] = ()  # once they have their streams
        self._streams: dict[str, Stream] = {}
        self._stream_tasks: list[asyncio.Task[None]] = []
        self._newest: dict[SeriesKey, datetime] = {}  # UTC, the newest closes of streams that are stored
        self._events = Events()
        publish = self._events.publish
        self._writer = Writer(database, hold, clock, publish)
        self._roster = Roster(database, settings.shard, self._sources, clock)
        streaming = [name for name, feed in self._feeds.items() if feed.sends_candles]
        self._filler = Filler(database, self._sources, clock, streaming=streaming, keep=settings.keep, publish=publish)
        self._forecasts = Forecasts(database, clock) if settings.forecasts else None
        self._events.hear(Stored, self._stored, self._filler.stored)
        if self._forecasts is not None:
            self._events.hear(Stored, self._forecasts.stored)
        self._events.hear(Missed, self._missed)
        self._events.hear(TailMissing, lambda event: self._filler.tail(event.series))
        self._events.hear(DatabaseBack, self._filler.all_tails)
        self._is_closed = threading.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Collect until this is cancelled.

        Raises:
            SeriesHeld: Another collector has reserved the database while it was away.
            UnusableHistory: Nothing can be followed.
        """
        facts = {"sources": ",".join(self._sources), "streams": ",".join(self._feeds)}
        event(_log, logging.INFO, "collecting", shard=self._settings.shard, **facts)
        self._filler.start()
        parts = [self._writer.run, self._look_at_database, self._every_second]
        parts += [self._purge] if self._settings.keep else []
        if self._forecasts is not None:
            parts += [self._forecasts.run, self._forecasts.prepare]
        tasks = [asyncio.create_task(_forever(part, self._clock)) for part in parts]
        try:
            await asyncio.gather(self._begin(), *tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def figures(self) -> Figures:
        """Return what is measured now."""
        series = [self._figures_of(followed) for followed in self._followed]
        streams = []
        for name, stream in self._streams.items():
            lags = [
                figures.lag
                for figures in series
                if figures.lag is not None and (figures.key.source, figures.key.interval) == (name, _MINUTE)
            ]
            if (measured := stream.figures(min(lags, default=None))) is not None:
                streams.append(measured)
        writer, forecasts = self._writer, self._forecasts
        return Figures(
            writer.outage.lasts,
            writer.dropped,
            writer.waiting(),
            streams,
            series,
            forecasts.figures() if forecasts else None,
        )

    def _figures_of(self, followed: CollectedSeries) -> SeriesFigures:
        series, interval = followed.series, followed.series.interval
        closes = [close for close in (followed.newest_close, self._newest.get(series)) if close is not None]
        lag = (interval.floor(self._clock.now()) - max(closes)).total_seconds() if closes else None
        fetched, stream = self._filler.collected(series), self._streams.get(series.source)
        return SeriesFigures(
            followed,
            lag=lag if lag is None else max(lag, 0.0),
            streamed=self._writer.stored_candles[series],
            fetched=fetched.changed,
            rejected=fetched.quarantined + (stream.rejected[series] if stream else 0),
        )

    async def close(self) -> None:
        """End the streams, and store what has arrived."""
        self._is_closed.set()
        stopping = [asyncio.create_task(in_thread(self._filler.stop, "stop"))]
        if self._forecasts is not None:
            stopping.append(asyncio.create_task(in_thread(self._forecasts.stop, "stop")))
        for task in self._stream_tasks:
            task.cancel()
        await asyncio.wait([*self._stream_tasks, *stopping], timeout=CLOSING)
        for stream in self._streams.values():
            stream.close()
        await self._writer.close(CLOSING)
        event(_log, logging.INFO, "stopped collecting", not_stored=self._writer.depth)

    async def _begin(self) -> None:
        """Follow the pairs that the settings name, from sources that stream; the others go on meanwhile."""
        settings = self._settings
        since = settings.start if settings.since else None
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

    async def _look_at_database(self) -> None:
        """Look at the database now and then: pairs are added and removed there."""
        while True:
            await self._refresh()
            await self._clock.sleep(EVERY)

    async def _refresh(self) -> None:
        try:
            await in_thread(self._roster.refresh, "roster")
        except DatabaseError:  # the writer reports it
            return
        series = self._roster.series()
        self._filler.follow(series)
        if self._forecasts is not None:
            self._forecasts.follow(series)
        pairs: dict[str, list[Pair]] = defaultdict(list)
        for key in (followed.series for followed in series):
            if key.interval is _MINUTE and key.source in self._feeds:
                pairs[key.source].append(key.pair)
        for name in pairs.keys() | self._streams.keys():
            self._stream(name).follow(pairs[name])
        self._followed = series

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            feed, source = self._feeds[name], self._sources[name]
            stream = Stream(feed, source, self._clock, self._writer, self._events.publish)
            self._streams[name] = stream
            self._stream_tasks.append(asyncio.create_task(_forever(stream.run, self._clock)))
        return self._streams[name]

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

    async def _purge(self) -> None:
        """Delete what need not be kept."""
        settings = self._settings
        while True:
            try:
                old = partial(purge, self._database, settings.keep, self._clock.now(), self._is_closed)
                await in_thread(old, "purge")
            except DatabaseError as error:
                event(_log, logging.WARNING, "purge interrupted; it goes on later", reason=error.reason)
            await self._clock.sleep(PURGED)

    def _stored(self, news: Stored) -> None:
        """Remember how far the candles of a stream are stored; a thread calls this."""
        if news.by_stream:
            close = news.candles[-1].open_time + news.series.interval.length
            self._newest[news.series] = max(close, self._newest.get(news.series, close))

    def _missed(self, candles: Missed) -> None:
        """Connect a stream anew which did not send a candle, though it was connected; a thread calls this."""
        facts = {"source": candles.series.source, "pair": candles.series.pair}
        first = f"{candles.openings[0]:%Y-%m-%d %H:%M}"
        event(_log, logging.WARNING, "the stream did not send a candle", **facts, at=first)
        if candles.series.source in self._streams:
            self._loop.call_soon_threadsafe(self._streams[candles.series.source].renew)


async def _end_tasks() -> None:
    """End what is left in the event loop, such as questions for quotes, and connections that do not close."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=ENDING)


async def _forever(part: Part, clock: Clock) -> None:
    """Run a part of the collector; if a defect ends it, begin again.

    Raises:
        SeriesHeld: Another collector has reserved the database while it was away.
    """
    while True:
        try:
            await part()
        except SeriesHeld:
            raise
        except Exception:  # noqa: BLE001 a defect of this program must not end the collection
            _log.exception("a part of the collector has failed and begins again")
        await clock.sleep(AGAIN)
