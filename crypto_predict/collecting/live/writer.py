"""Storing what has arrived: one task, one transaction for all candles that close together, and patience.

While the database is away, what arrives is kept, at most `MOST_WAITING` candles and quotes, which take about 50 MB. Of
more, the oldest candles of exchanges are dropped first, since REST has them too.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from crypto_predict.collecting.live.events import Publish, Stored, TailMissing
from crypto_predict.errors import DatabaseError, SeriesHeld, UnknownSeries
from crypto_predict.logs import event
from crypto_predict.market import Candle, Pair, Quote, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import BuiltCandle, Quarantined, StreamSpan
from crypto_predict.market.ports import CandleWriter, QuoteWriter, SeriesWriter, StreamWriter
from crypto_predict.outages import Outage
from crypto_predict.threads import in_thread

MOST_WAITING = 100_000  # candles and quotes that are not stored yet
MOST_REJECTED = 1_000  # rows of one series that wait for the quarantine: a broken feed sends them without end
GATHER = 0.05  # seconds: candles of many pairs close together, and one transaction stores them
RETRY = 5.0  # seconds from one attempt to the next while the database is away
RENEWED = 20.0  # seconds from one check of the reservation to the next

_Key = TypeVar("_Key")
_Row = TypeVar("_Row")

_log = logging.getLogger(__name__)


class StreamDatabase(SeriesWriter, CandleWriter, StreamWriter, QuoteWriter, Protocol):
    """What streams send goes into it."""


@dataclass(slots=True)
class _Batch:
    """What waits to be stored, in the order of its arrival."""

    candles: dict[tuple[SeriesKey, datetime], Candle] = field(default_factory=dict)
    built: dict[tuple[SeriesKey, datetime], BuiltCandle] = field(default_factory=dict)
    quotes: dict[tuple[tuple[str, Pair], datetime], Quote] = field(default_factory=dict)
    streams: list[tuple[str, tuple[Pair, ...], StreamSpan]] = field(default_factory=list)
    rejected: dict[SeriesKey, list[Quarantined]] = field(default_factory=dict)
    states: dict[SeriesKey, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of candles and quotes."""
        return len(self.candles) + len(self.built) + len(self.quotes)

    def __bool__(self) -> bool:
        return bool(len(self) or self.streams or self.rejected or self.states)

    def restore(self, older: "_Batch") -> None:
        """Put back what was not stored; what has arrived meanwhile wins."""
        self.candles = older.candles | self.candles
        self.built = older.built | self.built
        self.quotes = older.quotes | self.quotes
        self.states = older.states | self.states
        newer, self.streams = self.streams, older.streams
        for source, pairs, state in newer:
            self.add_stream(source, pairs, state)
        for series, rows in older.rejected.items():
            self.rejected[series] = [*rows, *self.rejected.get(series, [])][:MOST_REJECTED]

    def add_stream(self, source: str, pairs: tuple[Pair, ...], state: StreamSpan) -> None:
        """Add a state, or make the one before it longer: the list stays short while the database is away."""
        at = next((at for at in reversed(range(len(self.streams))) if self.streams[at][0] == source), None)
        if at is not None:
            _, last_pairs, last = self.streams[at]
            same = (last_pairs, last.state, last.reason) == (pairs, state.state, state.reason)
            if same and last.span.end == state.span.start:
                self.streams[at] = (source, pairs, replace(last, span=Span(last.span.start, state.span.end)))
                return
        self.streams.append((source, pairs, state))

    def drop_oldest(self) -> None:
        """Drop one: a candle of an exchange, which REST has too, otherwise a quote, otherwise a built candle."""
        rows: dict[Any, Any] = self.candles or self.quotes or self.built
        del rows[next(iter(rows))]


class Writer:
    """Everything that a stream stores goes through here. The methods are called in the event loop and do not wait."""

    def __init__(
        self, database: StreamDatabase, clock: Clock, publish: Publish, most_waiting: int = MOST_WAITING
    ) -> None:
        self.stored_candles: Counter[SeriesKey] = Counter()
        self.dropped = 0  # candles and quotes, since they were too many
        self.outage = Outage(clock.monotonic)  # of the database
        self._database, self._clock, self._publish, self._most_waiting = database, clock, publish, most_waiting
        self._renew: Callable[[], None] | None = None  # the reservation, once `run` has it
        self._waiting = _Batch()
        self._storing = _Batch()  # what the attempt that runs has not stored yet
        self._arrived = asyncio.Event()
        self._attempt: asyncio.Task[None] | None = None
        self._renewed = clock.monotonic()

    def waiting(self) -> Counter[tuple[str, Pair]]:
        """Count the candles and quotes that wait to be stored, by source and pair."""
        count = Counter[tuple[str, Pair]]()
        for batch in (self._waiting, self._storing):
            # a copy, made at once: a thread removes from the batch what it has stored
            candles = [*batch.candles, *batch.built]
            count.update((series.source, series.pair) for series, _ in candles)
            count.update(stream for stream, _ in list(batch.quotes))
        return count

    def candle(self, series: SeriesKey, candle: Candle | BuiltCandle) -> None:
        """Store a closed candle of a stream, its revision, or a candle built from ticks."""
        rows: dict[Any, Any] = self._waiting.built if isinstance(candle, BuiltCandle) else self._waiting.candles
        rows[series, candle.open_time] = candle
        self._keep_bound()

    def quote(self, source: str, pair: Pair, quote: Quote) -> None:
        """Store the top of the book."""
        self._waiting.quotes[(source, pair), quote.time] = quote
        self._keep_bound()

    def stream(self, source: str, pairs: Sequence[Pair], state: StreamSpan) -> None:
        """Store the state of a stream."""
        self._waiting.add_stream(source, tuple(pairs), state)
        self._arrived.set()

    def reject(self, series: SeriesKey, row: Quarantined) -> None:
        """Store a candle that no market can have made in the quarantine."""
        rows = self._waiting.rejected.setdefault(series, [])
        if len(rows) < MOST_REJECTED:
            rows.append(row)
        self._arrived.set()

    def state(self, series: SeriesKey, state: str) -> None:
        """Store the state of a series."""
        self._waiting.states[series] = state
        self._arrived.set()

    async def run(self, renew: Callable[[], None]) -> None:
        """Store what arrives, for ever; `renew` is called now and then, and after the database was away.

        Raises:
            SeriesHeld: Another collector has reserved the database while it was away.
        """
        self._renew = renew
        while True:
            with suppress(TimeoutError):
                async with self._clock.timeout(RENEWED):
                    await self._arrived.wait()
            await self._clock.sleep(GATHER)
            await self._try()
            if self.outage.failures:
                await self._clock.sleep(RETRY)
                self._arrived.set()

    async def close(self, seconds: float) -> None:
        """Store what still waits, for at most so many seconds of this machine. `run` has been cancelled."""
        with suppress(TimeoutError, SeriesHeld):
            async with asyncio.timeout(seconds):
                if self._attempt is not None:
                    await asyncio.shield(self._attempt)
                while self._waiting and not self.outage.failures:
                    await self._try()
        if self._waiting or (self._attempt is not None and not self._attempt.done()):
            text = "the database did not take everything at the end; the next start asks for the candles again"
            event(_log, logging.WARNING, text, waiting=len(self._waiting))

    async def _try(self) -> None:
        """Make an attempt, which goes on if the caller is cancelled."""
        self._attempt = asyncio.create_task(self._write_waiting())
        await asyncio.shield(self._attempt)

    async def _write_waiting(self) -> None:
        self._arrived.clear()
        batch, self._waiting = self._waiting, _Batch()
        self._storing = batch
        closed = {series: sorted(candles) for series, candles in _grouped(batch.candles).items()}
        try:
            await in_thread(lambda: self._write(batch, closed), "writer")
        except DatabaseError as error:
            self._keep(batch)
            if isinstance(error, SeriesHeld):
                raise
            if self.outage.failed():
                text = "the database is away; what arrives is kept, and stored when it is back"
                event(_log, logging.WARNING, text, reason=error.reason, retry_seconds=RETRY)
            return
        except Exception:  # noqa: BLE001 a defect of this program must not end the collection
            _log.exception("candles or quotes cannot be stored, and are dropped; REST is asked for the candles")
            self.dropped += len(batch)
            self._publish(TailMissing())
            return
        finally:
            self._storing = _Batch()
        self._keep(batch)
        if self.outage.over() is not None:
            event(_log, logging.WARNING, "the database is back", waiting=len(batch), dropped=self.dropped)
            self._publish(TailMissing())

    def _write(self, batch: _Batch, closed: Mapping[SeriesKey, Sequence[Candle]]) -> None:
        """Write a batch, in a thread, and remove what is stored from it. Quotes wait for candles that have arrived."""
        database = self._database
        now = self._clock.monotonic()
        if self._renew is not None and (self.outage.failures or now - self._renewed >= RENEWED):
            self._renew()
            self._renewed = now
        if closed:
            database.write_closed(closed)
            batch.candles.clear()
            for series, candles in closed.items():
                self.stored_candles[series] += len(candles)
                # before the state of the stream: the comparison takes what a connected stream did not send for missed
                self._publish(Stored(series, candles, len(candles), by_stream=True))
        if batch.built:
            database.write_built(_grouped(batch.built))
            batch.built.clear()
        while batch.streams:
            database.write_streams(*batch.streams[0])
            del batch.streams[0]
        while batch.states:
            series, state = next(iter(batch.states.items()))
            with suppress(UnknownSeries):  # it was deleted from the database meanwhile
                database.set_state(series, state)
            del batch.states[series]
        while batch.rejected:
            series, rows = next(iter(batch.rejected.items()))
            with suppress(UnknownSeries):
                database.write(series, [], None, rows)
            del batch.rejected[series]
        for (source, pair), quotes in _grouped(batch.quotes).items():
            if self._waiting.candles:
                return
            database.write_quotes(source, pair, quotes)
            for quote in quotes:
                del batch.quotes[(source, pair), quote.time]

    def _keep(self, batch: _Batch) -> None:
        """Keep what was not stored for the next attempt."""
        if batch:
            self._waiting.restore(batch)
            self._keep_bound()

    def _keep_bound(self) -> None:
        while len(self._waiting) > self._most_waiting:
            self._waiting.drop_oldest()
            self.dropped += 1
        self._arrived.set()


def _grouped(rows: Mapping[tuple[_Key, datetime], _Row]) -> dict[_Key, list[_Row]]:
    """Return the rows of each series, in the order of their arrival."""
    groups: dict[_Key, list[_Row]] = defaultdict(list)
    for (key, _), row in rows.items():
        groups[key].append(row)
    return groups
