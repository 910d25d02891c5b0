"""The stream of one source: routes each event, candles to the writer, quotes to the book, faults to the quarantine."""

import logging
from collections import Counter
from datetime import datetime, timedelta
from time import monotonic

from crypto_predict.collecting.fetching import fault_of
from crypto_predict.collecting.live.events import Publish, TailMissing
from crypto_predict.collecting.live.streams.heartbeats import Heartbeats
from crypto_predict.collecting.live.streams.quotes import TopOfBook
from crypto_predict.collecting.live.streams.supervisor import Following, StreamEvent, Supervisor
from crypto_predict.collecting.live.streams.ticks import TickCandles
from crypto_predict.collecting.live.writer import Writer
from crypto_predict.logs import event
from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import DELISTED, Quarantined, StreamState
from crypto_predict.market.events import CandleClosed, Heartbeat, Interrupted, QuoteReceived, TickReceived
from crypto_predict.market.ports import CandleFeed, CandleSource, DatedSource, PriceSource

AHEAD = timedelta(minutes=5)  # of both clocks: a candle that opens later is not real
UNKNOWN = timedelta(days=1)  # the same while the exchange's clock is not known, since that of this machine may be wrong
MOST_TRADES = 2**63 - 1  # that a database can hold
LAGGING = 300.0  # seconds behind, from which a stream counts as not ready

_log = logging.getLogger(__name__)
_MINUTE = Interval.MINUTE_1


class Stream:
    """The events of one source on their way to the database. Its methods are called in the event loop.

    `source` answers over REST what the stream leaves open: quotes, and the time of the exchange's clock.
    """

    def __init__(self, feed: CandleFeed, source: CandleSource, clock: Clock, writer: Writer, publish: Publish) -> None:
        self.rejected: Counter[SeriesKey] = Counter()
        self._feed, self._source, self._clock, self._writer, self._publish = feed, source, clock, writer, publish
        self._supervisor = Supervisor(feed, clock, self._receive, self._delisted)
        self._ticks = TickCandles(feed.id, clock)
        self._heartbeats = Heartbeats(feed.id, clock, writer.stream)
        self._quotes = TopOfBook(feed.id, source if isinstance(source, PriceSource) else None, clock, writer.quote)
        self._followed: frozenset[Pair] = frozenset()
        self._refused: frozenset[Pair] = frozenset()  # without which the connection goes on
        self._newest: dict[SeriesKey, datetime] = {}  # UTC openings
        self._unbroken: set[SeriesKey] = set()  # which have had a candle in this connection
        self.run, self.follow, self.renew = self._supervisor.run, self._supervisor.follow, self._supervisor.renew
        self.save_state = self._heartbeats.flush

    def every_second(self) -> None:
        """Save the built candles that are complete."""
        if not self._feed.sends_candles:
            for series, candles in self._ticks.close().items():
                for candle in candles:
                    self._writer.candle(series, candle)

    def every_minute(self) -> None:
        """Ask REST for candles that should have come by now: none comes where the feed sends ticks."""
        expected = _MINUTE.floor(self._clock.now()) - _MINUTE.length
        pairs = self._followed | self._refused
        for series in map(self._series, sorted(pairs)):
            if self._newest.get(series, EPOCH) < expected:
                self._publish(TailMissing(series))
        self._quotes.every_minute(pairs)

    def figures(self, lag: float | None) -> dict[str, float | None]:
        """Return what is measured of the stream, nothing without pairs; `lag` is that of its newest candle, in seconds.

        One pair may be quiet. None: no candle is stored yet.
        """
        if not self._supervisor.pairs:
            return {}
        counts, state = self._ticks.counts, self._heartbeats.certain[0]
        return {
            "stream_connected": state is StreamState.CONNECTED,
            "stream_exchange_down": state is StreamState.EXCHANGE_DOWN,
            "stream_lag_seconds": lag,
            "stream_pairs": len(self._supervisor.pairs),
            "reconnects_total": self._supervisor.reconnects,
            "ticks_late_total": counts["late"],
            "ticks_dropped_total": counts["invalid"] + counts["future"] + counts["past"],
        }

    def fault(self, lag: float | None) -> str | None:
        """Return why the stream is not ready, whose newest candle is `lag` seconds behind; None if it is ready."""
        if lag is not None and lag <= LAGGING:
            return None
        behind = "no candle is stored yet" if lag is None else f"the newest candle is {lag:.0f} s behind"
        state, since, reason = self._heartbeats.certain
        stream = f"{state.value} since {since:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self._feed.id}: {behind}; its stream is {stream}{f': {reason}' if reason else ''}"

    def _receive(self, message: StreamEvent) -> None:
        """Take one event. The events of a removed pair are left out."""
        match message:
            case TickReceived():
                if message.pair in self._followed:
                    self._heartbeats.data()
                    self._ticks.add(message)
            case QuoteReceived():
                if message.pair in self._followed:
                    self._heartbeats.data()
                    self._quotes.received(message.pair, message.quote)
            case CandleClosed():
                if message.series.pair in self._followed:
                    self._heartbeats.data()
                    self._candle(message.series, message.candle)
            case Heartbeat():
                self._heartbeats.beat()
            case Following(is_alive=False):
                self._followed = frozenset(message.pairs)
                self._heartbeats.following(message.pairs)
            case Following():
                self._connected(message)
            case Interrupted():
                self._heartbeats.interrupted(message)
                self._unbroken.clear()
                self._quotes.interrupted()
                if not self._feed.sends_candles:
                    self._ticks.disconnected(self._followed, message.complete_until)

    def _delisted(self, pair: Pair, reason: str) -> None:
        """Leave out a pair that the exchange does not have."""
        self._followed -= {pair}
        self._writer.state(self._series(pair), DELISTED)
        event(_log, logging.WARNING, "pair delisted", source=self._feed.id, pair=pair, reason=reason)

    def _connected(self, connection: Following) -> None:
        """Ask REST for the candles before a new connection, and for all of the refused pairs.

        If the exchange does not have such a pair, REST decides that.
        """
        for pair in connection.refused.keys() - self._refused:
            facts = {"source": self._feed.id, "pair": pair, "reason": connection.refused[pair]}
            event(_log, logging.WARNING, "stream without a pair", **facts)
        self._refused = frozenset(connection.refused)
        pairs = frozenset(connection.pairs)
        was_connected = self._heartbeats.certain[0] is StreamState.CONNECTED
        added = pairs - self._followed if was_connected else pairs
        lost, self._followed = self._followed - pairs, pairs
        self._heartbeats.connected(connection.pairs)
        if not self._feed.sends_candles:
            self._ticks.disconnected(lost, self._clock.now())
            self._ticks.connected(added, self._clock.now())
        for series in map(self._series, sorted(added)):
            self._unbroken.discard(series)
            self._publish(TailMissing(series))

    def _series(self, pair: Pair) -> SeriesKey:
        return SeriesKey(self._feed.id, pair, _MINUTE)

    def _candle(self, series: SeriesKey, candle: Candle) -> None:
        """Judge a candle and store it. Its time is that of the exchange: this machine's clock may be wrong."""
        opening, exchange_now = candle.open_time, self._exchange_now()
        latest = max(self._clock.now(), exchange_now or EPOCH)
        if fault := _fault(candle, series.interval, latest + (UNKNOWN if exchange_now is None else AHEAD)):
            self.rejected[series] += 1
            self._writer.reject(series, Quarantined(candle, fault))
            return
        self._writer.candle(series, candle)
        newest = self._newest.get(series)
        if newest is not None and opening <= newest:
            return
        if opening > latest + AHEAD:  # perhaps not real: REST is asked as if it had not come
            self._publish(TailMissing(series))
            return
        self._newest[series] = opening
        follows = newest is not None and opening == newest + series.interval.length
        if not follows or series not in self._unbroken:
            self._unbroken.add(series)
            self._publish(TailMissing(series))

    def _exchange_now(self) -> datetime | None:
        """Return the time (UTC) of the exchange's clock, to a second; None if it is not known."""
        source = self._source
        if not isinstance(source, DatedSource) or (dated := source.dated) is None:
            return None
        time, arrived = dated
        return time + timedelta(seconds=(monotonic() - arrived) * self._clock.speed)


def _fault(candle: Candle, interval: Interval, last: datetime) -> str | None:
    """Return why a candle cannot be stored that may open up to `last` (UTC)."""
    if candle.open_time > last:
        return f"it opens after {last:%Y-%m-%d %H:%M} UTC, too far in the future"
    if candle.trades is not None and candle.trades > MOST_TRADES:
        return f"trades {candle.trades} is too large"
    return fault_of(candle, interval)
