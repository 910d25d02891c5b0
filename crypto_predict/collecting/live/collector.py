"""The live collector: the streams of all sources, REST beside them, and one database."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from crypto_predict.collecting.live.apart import apart
from crypto_predict.collecting.live.pipeline import Pipeline
from crypto_predict.collecting.live.quotes import TopOfBook
from crypto_predict.collecting.live.supervisor import Supervisor
from crypto_predict.collecting.live.writer import Writer
from crypto_predict.collecting.options import DEFAULT_PAIRS, CollectSettings
from crypto_predict.errors import CryptoPredictError, DatabaseError, SeriesHeld, UnusableHistory
from crypto_predict.logs import event
from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import (
    ACTIVE,
    CandleFeed,
    CandleSource,
    Closed,
    CollectedSeries,
    Exchange,
    Held,
    MarketWriter,
)
from crypto_predict.sources.catalog import open_feeds, open_sources

ROSTER = 20.0  # seconds from one look at the pairs in the database to the next
HEARTBEATS = 15.0  # seconds after which the state of a stream is stored
SETTLED = 10  # seconds of a minute by which the candle before it should have come
AGAIN = 5.0  # seconds after which a part that has failed begins again
CLOSING = 1.0  # seconds of this machine to end the streams, and as many to store what waits

Part = Callable[[], Coroutine[None, None, None]]

_log = logging.getLogger(__name__)


class Collector:
    """Collect the market until `stop` is called. Nothing that an exchange or the database does ends it before.

    It follows the pairs of the database, which it looks at every 20 s, those that `settings` name, and the default
    ones if the database is empty.
    """

    def __init__(self, settings: CollectSettings, database: MarketWriter, clock: Clock | None = None) -> None:
        self._settings, self._database = settings, database
        self._clock = clock or Clock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._is_stopped = threading.Event()
        self._sources: dict[str, CandleSource] = {}
        self._feeds: dict[str, CandleFeed] = {}
        self._streams: dict[str, _Stream] = {}
        self._series: Sequence[CollectedSeries] = ()
        self._writer: Writer

    def run(self) -> None:
        """Collect, in this thread, until `stop` is called. What has arrived by then is stored.

        Raises:
            SeriesHeld: Another process collects the same; the error names it.
            UnusableHistory: Nothing can be followed: no source has any of the pairs.
            InvalidValue: A setting of a source is not valid.
            DatabaseError: The database cannot be used at the start.
        """
        with self._database.hold_collector(self._settings.shard) as held:
            self._open(self._settings.sources)
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(self._collect(held))
            finally:
                loop.close()

    def stop(self) -> None:
        """End `run` soon. It may be called from any thread, and from a handler of signals."""
        self._is_stopped.set()
        if (loop := self._loop) is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._stopping.set)

    async def _collect(self, held: Held) -> None:
        self._loop = asyncio.get_running_loop()
        if self._is_stopped.is_set():  # before the loop began
            return
        self._writer = Writer(self._database, held, self._clock, self._stored, self._database_is_back)
        parts = [
            asyncio.create_task(self._forever(part))
            for part in (self._writer.run, self._follow_database, self._every_second)
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        beginning = asyncio.create_task(self._follow_named())
        event(_log, logging.INFO, "collecting", shard=self._settings.shard, sources=",".join(self._feeds))
        try:
            ended, _ = await asyncio.wait([stopping, beginning], return_when=asyncio.FIRST_COMPLETED)
            if beginning in ended:
                beginning.result()
                await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()  # the reservation was lost
        finally:
            stopping.cancel()
            beginning.cancel()
            await self._close(parts)

    async def _close(self, parts: Sequence[asyncio.Task[None]]) -> None:
        """End the streams and store what has arrived."""
        for part in (*parts, *(stream.task for stream in self._streams.values())):
            part.cancel()
        streams = [stream.task for stream in self._streams.values()]
        await asyncio.wait([*parts, *streams], timeout=CLOSING)
        for stream in self._streams.values():
            stream.pipeline.every_second()
            stream.pipeline.heartbeats.flush()
            stream.quotes.close()
        await self._writer.close(CLOSING)
        event(_log, logging.INFO, "stopped collecting", waiting=self._writer.depth)

    async def _forever(self, part: Part) -> None:
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
                _log.exception("a part of the collector has failed and begins again: %s", part.__name__)
            await self._clock.sleep(AGAIN)

    async def _follow_named(self) -> None:
        """Add the pairs that the settings name to the database, each as soon as a source can be asked.

        Raises:
            UnusableHistory: No source has any of them, and nothing else is followed.
        """
        stored = await self._read_database()
        waiting = set(self._settings.pairs or (() if stored else DEFAULT_PAIRS))
        unusable: list[UnusableHistory] = []
        while waiting:
            for pair in sorted(waiting):
                try:
                    await apart(partial(self._follow, pair), "follow")
                except UnusableHistory as error:
                    unusable.append(error)
                    _log.error("%s: not collected: %s", pair, error)
                except CryptoPredictError as error:
                    _log.warning("%s: not followed yet: %s", pair, error)
                    continue
                waiting.remove(pair)
            if waiting:
                await self._clock.sleep(AGAIN)
        if unusable and not await self._read_database():
            raise UnusableHistory(unusable[0].subject, [fault for error in unusable for fault in error.faults])
        await self._refresh()

    async def _read_database(self) -> Sequence[CollectedSeries]:
        """Return the series of the database, once it can be read."""
        while True:
            try:
                return await apart(self._database.collected, "roster")
            except DatabaseError as error:
                event(_log, logging.WARNING, "the database cannot be read yet", reason=error.reason)
                await self._clock.sleep(AGAIN)

    def _follow(self, pair: Pair) -> None:
        """Follow the minutes of a pair from the first source whose stream can be used; a thread runs this."""
        reasons: list[str] = []
        for name in self._feeds:
            source = self._sources[name]
            try:
                series = SeriesKey(source.id, source.traded(pair), Interval.MINUTE_1)
            except UnusableHistory as error:
                reasons += error.faults
                continue
            self._database.follow(series, simulated=source.simulated)
            self._database.set_state(series, ACTIVE, self._settings.start if self._settings.since else None)
            return
        raise UnusableHistory(str(pair), reasons or ["no source streams"])

    async def _follow_database(self) -> None:
        """Look at the database now and then: pairs are added and removed there."""
        while True:
            await self._refresh()
            await self._clock.sleep(ROSTER)

    async def _refresh(self) -> None:
        try:
            stored = await apart(self._database.collected, "roster")
        except DatabaseError:  # the writer reports it
            return
        shard = self._settings.shard
        self._series = [one for one in stored if one.state == ACTIVE and one.series.pair in shard]
        pairs: dict[str, list[Pair]] = {name: [] for name in self._streams}
        for one in self._series:
            if one.series.interval is Interval.MINUTE_1:
                pairs.setdefault(one.series.source, []).append(one.series.pair)
        self._open([name for name in pairs if name not in self._sources])
        for name, followed in pairs.items():
            if name in self._feeds and (followed or name in self._streams):
                self._stream(name).supervisor.follow(followed)

    def _open(self, names: Sequence[str]) -> None:
        """Open sources and their streams."""
        settings = self._settings
        self._sources.update({one.id: one for one in open_sources(names, settings.environ, 0, ())})
        self._feeds.update(open_feeds(names, settings.environ, self._clock))

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            source = self._sources[name]
            exchange = source if isinstance(source, Exchange) else None
            quotes = TopOfBook(name, exchange, self._clock, self._writer.quote)
            pipeline = Pipeline(self._feeds[name], self._clock, self._writer, self._ask, quotes)
            supervisor = Supervisor(self._feeds[name], self._clock, pipeline)
            self._streams[name] = _Stream(supervisor, pipeline, quotes, self._forever)
        return self._streams[name]

    async def _every_second(self) -> None:
        """Save built candles; less often the states of streams; once a minute quotes, and ask for late candles."""
        stored_at, minute = self._clock.monotonic(), self._clock.now()
        while True:
            await self._clock.sleep(1)
            now, monotonic = self._clock.now(), self._clock.monotonic()
            for stream in self._streams.values():
                stream.pipeline.every_second()
                if monotonic - stored_at >= HEARTBEATS:
                    stream.pipeline.heartbeats.flush()
            if monotonic - stored_at >= HEARTBEATS:
                stored_at = monotonic
            if now.second >= SETTLED and Interval.MINUTE_1.floor(now) != minute:
                minute = Interval.MINUTE_1.floor(now)
                for stream in self._streams.values():
                    stream.pipeline.every_minute()

    def _ask(self, series: SeriesKey) -> None:
        """Ask REST soon for what is missing at the newest end of a series."""

    def _stored(self, closed: Sequence[Closed]) -> None:
        """Remember what was stored from streams, to compare it with REST."""

    def _database_is_back(self) -> None:
        for one in self._series:
            self._ask(one.series)


class _Stream:
    """All parts of the stream of one source."""

    def __init__(
        self,
        supervisor: Supervisor,
        pipeline: Pipeline,
        quotes: TopOfBook,
        forever: Callable[[Part], Coroutine[None, None, None]],
    ) -> None:
        self.supervisor, self.pipeline, self.quotes = supervisor, pipeline, quotes
        self.task = asyncio.create_task(forever(supervisor.run))
