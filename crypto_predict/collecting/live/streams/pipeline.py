"""What becomes of the events of one stream."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from crypto_predict.collecting.fetching import OFF_GRID
from crypto_predict.collecting.live.streams.heartbeats import Heartbeats
from crypto_predict.collecting.live.streams.quotes import TopOfBook, is_sound
from crypto_predict.collecting.live.streams.ticks import TickCandles
from crypto_predict.collecting.live.writer import Writer
from crypto_predict.history import Audit
from crypto_predict.logs import event
from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import (
    DELISTED,
    CandleClosed,
    CandleFeed,
    CandleRevised,
    FeedEvent,
    Heartbeat,
    Interrupted,
    PairRefused,
    Quarantined,
    QuoteReceived,
    Retiring,
    TickReceived,
)

AHEAD = timedelta(minutes=5)  # of both clocks: a candle that opens later is not real
UNKNOWN = timedelta(days=1)  # the same while the exchange's clock is not known, since that of this machine may be wrong
MOST_TRADES = 2**63 - 1  # that a database can hold

_log = logging.getLogger(__name__)
_MINUTE = Interval.MINUTE_1


class Pipeline:
    """The way of the events of one source to the database. A `Listener` of its supervisor."""

    def __init__(  # noqa: PLR0913, PLR0917 each is one part
        self,
        feed: CandleFeed,
        clock: Clock,
        writer: Writer,
        ask: Callable[[SeriesKey], None],
        quotes: TopOfBook,
        exchange_now: Callable[[], datetime | None],
    ) -> None:
        self.received_at: dict[SeriesKey, datetime] = {}  # UTC, when the newest candle came
        self.rejected: Counter[SeriesKey] = Counter()
        self.ticks = TickCandles(feed.id, clock)
        self.heartbeats = Heartbeats(feed.id, clock, writer.stream)
        self._feed, self._clock, self._writer, self._quotes = feed, clock, writer, quotes
        self._ask = ask  # REST for what is missing at the newest end of a series
        self._exchange_now = exchange_now  # UTC; None while its clock is not known
        self._followed: frozenset[Pair] = frozenset()
        self._refused: frozenset[Pair] = frozenset()  # without which the connection goes on
        self._newest: dict[SeriesKey, datetime] = {}  # UTC openings
        self._unbroken: set[SeriesKey] = set()  # which have had a candle in this connection

    @property
    def source(self) -> str:
        """The name of the source."""
        return self._feed.id

    def following(self, pairs: Sequence[Pair]) -> None:
        """Note the pairs for which a connection is about to be made."""
        self._followed = frozenset(pairs)
        self.heartbeats.following(pairs)

    def connected(self, pairs: Sequence[Pair], refused: Mapping[Pair, str]) -> None:
        """Note that a connection for these pairs is alive. What was missed before is asked for over REST.

        So is everything of the `refused` pairs. If the exchange does not have one, its answers there say so.
        """
        for pair in refused.keys() - self._refused:
            reason = refused[pair]
            event(_log, logging.WARNING, "stream without a pair", source=self._feed.id, pair=pair, reason=reason)
        self._refused = frozenset(refused)
        added = frozenset(pairs) - self._followed if self.heartbeats.is_connected else frozenset(pairs)
        lost, self._followed = self._followed - frozenset(pairs), frozenset(pairs)
        self.heartbeats.connected(pairs)
        if not self._feed.sends_candles:
            self.ticks.disconnected(lost, self._clock.now())
            self.ticks.connected(added, self._clock.now())
        for series in map(self._series, sorted(added)):
            self._unbroken.discard(series)
            self._ask(series)

    def received(self, found: FeedEvent) -> None:
        """Take one event. What a removed pair still sends is left out."""
        match found:
            case TickReceived():
                if found.pair in self._followed:
                    self.heartbeats.data()
                    self.ticks.add(found)
            case QuoteReceived():
                if found.pair in self._followed:
                    self.heartbeats.data()
                    self._quotes.received(found.pair, found.quote if is_sound(found.quote) else None)
            case CandleClosed() | CandleRevised():
                if found.series.pair in self._followed:
                    self.heartbeats.data()
                    self._candle(found.series, found.candle)
            case Heartbeat():
                self.heartbeats.beat()
            case Interrupted() | PairRefused() | Retiring():
                pass  # the supervisor handles them

    def interrupted(self, end: Interrupted) -> None:
        """Note that the stream is not connected."""
        self.heartbeats.interrupted(end)
        self._unbroken.clear()
        self._quotes.interrupted()
        if not self._feed.sends_candles:
            self.ticks.disconnected(self._followed, end.complete_until)

    def unusable(self, pair: Pair, reason: str) -> None:
        """Note that the exchange does not have the pair: its candles stay, and it is no longer asked for."""
        self._followed -= {pair}
        self._writer.state(self._series(pair), DELISTED)
        event(_log, logging.WARNING, "pair delisted", source=self._feed.id, pair=pair, reason=reason)

    def every_second(self) -> None:
        """Save the built candles that are complete."""
        if not self._feed.sends_candles:
            for series, candles in self.ticks.close().items():
                for candle in candles:
                    self._writer.built(series, candle)

    def every_minute(self) -> None:
        """Ask REST for candles that should have come by now: none comes where the feed sends ticks."""
        expected = _MINUTE.floor(self._clock.now()) - _MINUTE.length
        pairs = self._followed | self._refused
        for series in map(self._series, sorted(pairs)):
            if self._newest.get(series, EPOCH) < expected:
                self._ask(series)
        self._quotes.every_minute(pairs)

    def _series(self, pair: Pair) -> SeriesKey:
        return SeriesKey(self._feed.id, pair, _MINUTE)

    def _candle(self, series: SeriesKey, candle: Candle) -> None:
        """Judge a candle and store it. Its time is that of the exchange: this machine's clock may be wrong."""
        opening, now = candle.open_time, self._clock.now()
        exchange_now = self._exchange_now()
        latest = max(now, exchange_now or now)
        if fault := _fault(candle, series.interval, latest + (UNKNOWN if exchange_now is None else AHEAD)):
            self.rejected[series] += 1
            self._writer.reject(series, Quarantined(candle, fault))
            return
        self.received_at[series] = now
        self._writer.candle(series, candle)
        newest = self._newest.get(series)
        if newest is not None and opening <= newest:
            return
        if opening > latest + AHEAD:  # perhaps not real: REST is asked as if it had not come
            self._ask(series)
            return
        self._newest[series] = opening
        follows = newest is not None and opening == newest + series.interval.length
        if not follows or series not in self._unbroken:
            self._unbroken.add(series)
            self._ask(series)


def _fault(candle: Candle, interval: Interval, last: datetime) -> str | None:
    """Return why a candle cannot be stored that may open up to `last` (UTC)."""
    if candle.open_time > last:
        return f"it opens after {last:%Y-%m-%d %H:%M} UTC, too far in the future"
    if candle.trades is not None and candle.trades > MOST_TRADES:
        return f"trades {candle.trades} is too large"
    if Audit(interval).add(candle, candle.open_time):
        return None
    return "; ".join(candle.faults()) or OFF_GRID
