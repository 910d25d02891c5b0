"""Candles of streams, compared with what REST answers for the same minutes."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from crypto_predict.collecting.live.events import Missed, Publish
from crypto_predict.market import Candle, SeriesKey, Span
from crypto_predict.market.candle import differ
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamState
from crypto_predict.market.ports import CandleReader, ComparisonWriter, StreamReader

REMEMBERED = 256  # newest openings of a series; those that REST did not answer for by then are not compared
LATE = timedelta(seconds=10)  # after the close; a stream has sent the candle by then
PATIENCE = timedelta(seconds=30)  # after the close; by then it is stored that the stream was connected

_log = logging.getLogger(__name__)


class ComparisonDatabase(CandleReader, StreamReader, ComparisonWriter, Protocol):
    """What a comparison reads and writes."""


class Comparison:
    """Compares each candle that came by stream once, when REST answers for it. Safe to share between threads.

    A candle with volume that REST has and the stream did not send, though it was connected from the opening until
    `LATE`, counts as one that differs; `Missed` is published with the openings of such candles.
    """

    def __init__(self, database: ComparisonDatabase, clock: Clock, publish: Publish) -> None:
        self._database, self._clock, self._publish = database, clock, publish
        self._began = clock.now()
        self._memories: dict[SeriesKey, _Memory] = {}
        self._lock = Lock()

    def streamed(self, series: SeriesKey, openings: Iterable[datetime]) -> None:
        """Remember that these candles came by stream."""
        with self._lock:
            self._memory(series).streamed(openings)

    @contextmanager
    def storing(self, series: SeriesKey, received: Sequence[Candle]) -> Iterator[None]:
        """Compare the candles that REST has sent with those that are stored, around the transaction that stores them.

        Raises:
            DatabaseError: The database cannot be used; the candles will be compared with the next answer.
        """
        with self._lock:
            memory = self._memory(series)
            sent = [candle for candle in received if memory.is_due(candle.open_time)]
            unsent = [candle for candle in received if self._could_be_missed(memory, candle)]
        stored = self._stored(series, sent)
        compared = [candle for candle in sent if candle.open_time in stored]
        differing = [candle for candle in compared if differ(stored[candle.open_time], candle)]
        missed = self._missed_of(series, unsent)
        yield
        if compared or missed:
            mismatched = len(differing) + len(missed)
            self._database.compared(series, len(compared) + len(missed), mismatched)
            with self._lock:
                memory.judged([*(candle.open_time for candle in compared), *missed])
        if differing:
            name = str(series)
            first = differing[0]
            text = "%s: %d of %d candles of the stream differ from those of REST; the first: %s, then %s"
            _log.info(text, name, len(differing), len(compared), stored[first.open_time], first)
        if missed:
            self._publish(Missed(series, missed))

    def _memory(self, series: SeriesKey) -> "_Memory":
        return self._memories.setdefault(series, _Memory(series.interval.ceil(self._began), series.interval.length))

    def _could_be_missed(self, memory: "_Memory", candle: Candle) -> bool:
        settled = candle.open_time + memory.length + PATIENCE <= self._clock.now()
        return settled and bool(candle.volume) and memory.is_unsent(candle.open_time)

    def _stored(self, series: SeriesKey, candles: Sequence[Candle]) -> dict[datetime, Candle]:
        if not candles:
            return {}
        openings = [candle.open_time for candle in candles]
        span = Span(min(openings), max(openings) + series.interval.length)
        limit = (span.end - span.start) // series.interval.length
        return {stored.candle.open_time: stored.candle for stored in self._database.candles(series, span, limit)}

    def _missed_of(self, series: SeriesKey, unsent: Sequence[Candle]) -> list[datetime]:
        """Return the openings of those candles in whose interval the stream was connected throughout."""
        if not unsent:
            return []
        openings = [candle.open_time for candle in unsent]
        lasting = series.interval.length + LATE
        around = Span(min(openings), max(openings) + lasting)
        spans = [
            stream.span
            for stream in self._database.streams(series.source, series.pair, around)
            if stream.state is StreamState.CONNECTED
        ]
        return [
            opening
            for opening in openings
            if any(span.start <= opening and opening + lasting <= span.end for span in spans)
        ]


class _Memory:
    """Which of the newest openings of a series came by stream, and were compared."""

    def __init__(self, complete_from: datetime, length: timedelta) -> None:
        self.length = length
        self._complete_from = complete_from  # what opens before was forgotten, or opened before this process began
        self._is_due: dict[datetime, bool] = {}  # whether it is still to be compared; by opening, as they came

    def streamed(self, openings: Iterable[datetime]) -> None:
        for opening in openings:
            self._is_due[opening] = True
        self._forget()

    def judged(self, openings: Iterable[datetime]) -> None:
        self._is_due.update(dict.fromkeys(openings, False))
        self._forget()

    def is_due(self, opening: datetime) -> bool:
        return self._is_due.get(opening, False)

    def is_unsent(self, opening: datetime) -> bool:
        return opening >= self._complete_from and opening not in self._is_due

    def _forget(self) -> None:
        while len(self._is_due) > REMEMBERED:
            oldest = next(iter(self._is_due))
            del self._is_due[oldest]
            self._complete_from = max(self._complete_from, oldest + self.length)
