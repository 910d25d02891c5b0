"""Candles of streams, compared with what REST answers for the same minutes."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from crypto_predict.collecting.fetching import FetchDatabase
from crypto_predict.market import Candle, SeriesKey, Span
from crypto_predict.market.candle import differ
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamState
from crypto_predict.market.ports import CandleReader, ComparisonWriter, StreamReader

REMEMBERED = 256  # newest openings of a series; those that REST did not answer for by then are not compared
LATE = timedelta(seconds=10)  # after the close; a stream has sent the candle by then
PATIENCE = timedelta(seconds=30)  # after the close; by then it is stored that the stream was connected

Missed = Callable[[SeriesKey, Sequence[datetime]], object]

_log = logging.getLogger(__name__)


class FillDatabase(FetchDatabase, CandleReader, StreamReader, ComparisonWriter, Protocol):
    """What is fetched beside the streams goes into it, and is compared with what they sent."""


class Comparison:
    """Compares each candle that came by stream once, when REST answers for it. Safe to share between threads.

    A candle with volume that REST has and the stream did not send, though it was connected from the opening until
    `LATE`, counts as one that differs; `missed` is called with the series and the openings of such candles.
    """

    def __init__(self, database: FillDatabase, clock: Clock, missed: Missed) -> None:
        self._database, self._clock, self._report = database, clock, missed
        self._began = clock.now()
        # Of the newest openings that came by stream or were compared: whether they are still to be compared.
        self._is_due: dict[SeriesKey, dict[datetime, bool]] = defaultdict(dict)
        self._lock = Lock()

    def streamed(self, series: SeriesKey, openings: Iterable[datetime], *, is_due: bool = True) -> None:
        """Remember that these candles came by stream, and whether they are still to be compared."""
        with self._lock:
            memory = self._is_due[series]
            memory.update(dict.fromkeys(openings, is_due))
            while len(memory) > REMEMBERED:
                del memory[next(iter(memory))]

    @contextmanager
    def storing(self, series: SeriesKey, received: Sequence[Candle]) -> Iterator[None]:
        """Compare the candles that REST has sent with those that are stored, around the transaction that stores them.

        If the database cannot be used, they will be compared with the next answer.
        """
        settled = self._clock.now() - series.interval.length - PATIENCE
        with self._lock:
            is_due = self._is_due[series]
            complete_from = series.interval.ceil(self._began)
            if len(is_due) == REMEMBERED:  # what opens before was forgotten
                complete_from = max(complete_from, next(iter(is_due)))
            sent = [candle for candle in received if is_due.get(candle.open_time)]
            unsent = [
                candle.open_time
                for candle in received
                if complete_from <= candle.open_time <= settled and candle.volume and candle.open_time not in is_due
            ]
        stored: dict[datetime, Candle] = {}
        if sent:
            span = Span(sent[0].open_time, sent[-1].open_time + series.interval.length)
            rows = self._database.candles(series, span, (span.end - span.start) // series.interval.length)
            stored = {row.candle.open_time: row.candle for row in rows}
        compared = [candle for candle in sent if candle.open_time in stored]
        differing = [candle for candle in compared if differ(stored[candle.open_time], candle)]
        missed = self._missed_of(series, unsent)
        yield
        if compared or missed:
            mismatched = len(differing) + len(missed)
            self._database.compared(series, len(compared) + len(missed), mismatched)
            self.streamed(series, [*(candle.open_time for candle in compared), *missed], is_due=False)
        if differing:
            first = differing[0]
            text = "%s: %d of %d candles of the stream differ from those of REST; the first: %s, then %s"
            _log.info(text, str(series), len(differing), len(compared), stored[first.open_time], first)
        if missed:
            self._report(series, missed)

    def _missed_of(self, series: SeriesKey, openings: Sequence[datetime]) -> list[datetime]:
        """Return those openings in whose interval the stream was connected throughout."""
        if not openings:
            return []
        lasting = series.interval.length + LATE
        states = self._database.streams(series.source, series.pair, Span(openings[0], openings[-1] + lasting))
        spans = [stream.span for stream in states if stream.state is StreamState.CONNECTED]
        return [
            opening
            for opening in openings
            if any(span.start <= opening and opening + lasting <= span.end for span in spans)
        ]
