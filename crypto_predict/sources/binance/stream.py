"""Binance's closed candles and quotes as they happen, without keys.

The first fault of a connection, whatever it is, ends the feed with `Interrupted`. The SDK is not used: it would connect
again by itself, and the minutes in between would be missing without a word.

Wire format, of the streams ``btcusdt@kline_1m`` and ``btcusdt@bookTicker``::

    {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": 1715904060012, "s": "BTCUSDT", "k": {
        "t": 1715904000000, "T": 1715904059999, "s": "BTCUSDT", "i": "1m", "f": 100, "L": 102,
        "o": "1.5", "c": "1.5", "h": "1.5", "l": "1.5", "v": "0.5", "n": 3, "x": true,
        "q": "0.75", "V": "0.25", "Q": "0.375", "B": "0"}}}
      open and close time, symbol, interval, first and last trade, open, close, high, low, volume, trades, whether it is
      closed, quote volume, taker volumes of base and of quote

    {"stream": "btcusdt@bookTicker", "data": {"u": 1, "s": "BTCUSDT", "b": "1.5", "B": "0.5", "a": "1.6", "A": "0.7"}}
      bid, bid size, ask, ask size; without a time

    {"e": "serverShutdown", "E": 1715904060012}
      the connection will be closed soon: another one takes its place

The open candle comes every two seconds. A connection lives for 24 hours at most, and has at most 1,024 streams. Binance
accepts a stream of a pair that it does not have, and sends nothing: REST is what tells.
"""

import asyncio
import json
import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from urllib.request import getproxies

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from crypto_predict import logs
from crypto_predict.market import Candle, Interval, Pair, Quote, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, QuoteReceived, Retiring
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.sanitize import Sanitizer
from crypto_predict.sources.network.session import host_of
from crypto_predict.sources.network.websocket import (
    Broken,
    StreamEnd,
    check_pause,
    dial,
    of_error,
    refused,
    unreachable,
)
from crypto_predict.sources.network.wire import Malformed, decimal, instant, whole

PAIRS_A_CONNECTION = 100  # two streams each; the address has at most 6,400 characters, and servers refuse 8,190
MOST_WAITING = 10_000  # events that were not taken yet

# Seconds of the market.
CONNECT_WITHIN = 20
PING_AFTER = 10  # without a message
PONG_WITHIN = 20
SILENCE = 75  # without data, also if pings are answered: a candle closes every minute
LIFETIME = 23 * 3600  # after which a connection is to be replaced: the exchange closes it after a day
QUOTES_EVERY = 1  # the newest quote of each pair; there can be hundreds a second

_LONGEST_FRAME = 2**16  # bytes
_REORDERED = 10  # candles that may come before an earlier one of the same pair
_HEAD = '{"stream":"'
_logger = logging.getLogger(__name__)


class BinanceFeed:
    """The live stream of Binance's spot market. Quotes have the time of their arrival: the exchange gives none."""

    id = EXCHANGE.id
    sends_candles = True
    sends_quotes = True

    def __init__(self, settings: Settings, clock: Clock, most_waiting: int = MOST_WAITING) -> None:
        self._url, self._clock, self._most_waiting = settings.stream_url, clock, most_waiting
        self._rest = host_of(settings.api_url)
        self._sanitize = Sanitizer((), self._url, *getproxies().values())

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Connect and yield the events of one pair or more, as `CandleFeed.events` does.

        Of the quotes of a pair, the newest one of each second is yielded. A candle that comes again is yielded only if
        its values have changed. A frame that is not in Binance's format ends the feed, as it may have been a candle; a
        malformed quote is left out, and logged once.

        Raises:
            UnusableHistory: Binance cannot have one of the pairs.
        """
        inbox = _Inbox(pairs, self._clock, self._most_waiting)
        connections = [
            _Connection(self._url, pairs[first : first + PAIRS_A_CONNECTION], inbox, self._clock)
            for first in range(0, len(pairs), PAIRS_A_CONNECTION)
        ]
        try:
            if failure := await self._connect(connections):
                inbox.finish(*failure)  # unless a connection has ended already
            retire_at = self._clock.monotonic() + LIFETIME
            while inbox.end is None:
                for event in inbox.take(min(connection.heard for connection in connections)):
                    yield event
                if inbox.is_retiring or self._clock.monotonic() > retire_at:
                    inbox.is_retiring, retire_at = False, math.inf
                    yield Retiring()
                await inbox.wait()
            for event in inbox.take_rest():
                yield event
        finally:
            await asyncio.gather(*(connection.stop() for connection in connections), return_exceptions=True)
        reason, exchange_down = inbox.end
        yield Interrupted(f"{host_of(self._url)} {self._sanitize(reason)}", inbox.complete_until(), exchange_down)

    async def _connect(self, connections: Sequence["_Connection"]) -> StreamEnd | None:
        """Open all connections; return why one of them could not be opened."""
        try:
            check_pause(self._rest)
            async with self._clock.timeout(CONNECT_WITHIN):
                outcomes = await asyncio.gather(*(each.connect() for each in connections), return_exceptions=True)
        except Broken as broken:
            return StreamEnd(str(broken))
        except TimeoutError:
            return StreamEnd(f"did not accept the connection within {CONNECT_WITHIN} s")
        for error in outcomes:
            if isinstance(error, InvalidStatus):
                return refused(error.response.status_code, error.response.headers, self._rest)
            if isinstance(error, InvalidHandshake):
                return StreamEnd(f"did not complete the handshake: {error}")
            if isinstance(error, OSError | ValueError | WebSocketException):
                return unreachable(str(error))
            if error is not None:
                raise error
        return None


class _Connection:
    """One connection, which passes its frames to the inbox. It ends for good at its first fault."""

    def __init__(self, url: str, pairs: Sequence[Pair], inbox: "_Inbox", clock: Clock) -> None:
        self._url = f"{url}/stream?streams={'/'.join(name for pair in pairs for name in _streams(pair))}"
        self._inbox, self._clock = inbox, clock
        self._websocket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.heard = self._data = 0.0  # when there was a sign of life, and a frame

    async def connect(self) -> None:
        """Connect. The handshake is a sign of life."""
        self._websocket = websocket = await dial(self._url, _LONGEST_FRAME)
        self.heard = self._data = self._clock.monotonic()
        self._tasks = [asyncio.create_task(self._read(websocket)), asyncio.create_task(self._watch(websocket))]

    async def stop(self) -> None:
        """Close the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._websocket is not None:
            await self._websocket.close()

    async def _read(self, websocket: ClientConnection) -> None:
        """Read until the feed has ended."""
        try:
            while self._inbox.end is None:
                frame = await websocket.recv()
                self.heard = self._data = self._clock.monotonic()
                self._inbox.read(frame)
        except (Malformed, WebSocketException) as error:
            self._inbox.finish(*of_error(error, "Binance", str(error)))

    async def _watch(self, websocket: ClientConnection) -> None:
        """Ping while there are no messages, until the connection does not answer or sends no data."""
        while True:
            await self._clock.sleep(1)
            now = self._clock.monotonic()
            if now - self._data > SILENCE:
                self._inbox.finish(f"has sent no data for {SILENCE} s")
            if now - self.heard > PING_AFTER:
                try:
                    async with self._clock.timeout(PONG_WITHIN):
                        await (await websocket.ping())
                except TimeoutError:
                    self._inbox.finish(f"did not answer a ping within {PONG_WITHIN} s")
                else:
                    self.heard = self._clock.monotonic()


class _Inbox:
    """What has arrived on all connections, and was not taken yet."""

    def __init__(self, pairs: Sequence[Pair], clock: Clock, most: int) -> None:
        self.end: StreamEnd | None = None
        self.is_retiring = False  # the exchange will close the connection soon
        self._clock, self._most = clock, most
        self._symbols = {EXCHANGE.symbol(pair): pair for pair in pairs}
        self._books = {_streams(pair)[1]: pair for pair in pairs}
        minute = Interval.MINUTE_1.floor(clock.now())
        self._progress = {pair: _Progress(minute) for pair in pairs}
        self._waiting: deque[FeedEvent] = deque()
        self._quotes: dict[Pair, tuple[datetime, str]] = {}  # the newest frame, and its arrival
        self._arrived = asyncio.Event()
        self._taken_at = self._beaten_at = float("-inf")  # when quotes were taken, and the last heartbeat
        self._has_malformed_quotes = False

    def finish(self, reason: str, exchange_down: bool = False) -> None:
        """End the feed. The first reason counts: the others follow from it."""
        self.end = self.end or StreamEnd(reason, exchange_down)
        self._arrived.set()

    def complete_until(self) -> datetime:
        """Return the close up to which the candles of every pair have arrived."""
        return min(progress.until for progress in self._progress.values())

    async def wait(self) -> None:
        """Wait for a candle or the end, a second at most."""
        with suppress(TimeoutError):
            async with self._clock.timeout(QUOTES_EVERY):
                await self._arrived.wait()
        self._arrived.clear()

    def take(self, heard: float) -> Iterator[FeedEvent]:
        """Yield the candles, and once a second the quotes and a heartbeat; all connections were `heard` since then."""
        while self._waiting:
            yield self._waiting.popleft()
        now = self._clock.monotonic()
        if now - self._taken_at >= QUOTES_EVERY:
            self._taken_at = now
            yield from self._take_quotes()
        if heard - self._beaten_at >= 1:
            self._beaten_at = heard
            yield Heartbeat(self._clock.now() - timedelta(seconds=now - heard))

    def take_rest(self) -> Iterator[FeedEvent]:
        """Yield everything that has arrived before the end."""
        while self._waiting:
            yield self._waiting.popleft()
        yield from self._take_quotes()

    def read(self, frame: str | bytes) -> None:
        """Take in one frame.

        Raises:
            Malformed: It is not in Binance's format.
        """
        # Nearly all frames are quotes and open candles. Their JSON is not read.
        if isinstance(frame, str) and frame.startswith(_HEAD):
            stream = frame[len(_HEAD) : frame.find('"', len(_HEAD))]
            if (pair := self._books.get(stream)) is not None:
                self._quotes[pair] = self._clock.now(), frame
                return
            if '"x":false' in frame:
                return
        self._read_rare(_payload(frame))

    def _read_rare(self, data: Mapping[str, object]) -> None:
        if data.get("e") == "serverShutdown":
            self.is_retiring = True
            self._arrived.set()
        elif data.get("e") == "kline":
            candle, symbol = _read_candle(data.get("k"))
            if candle is not None and symbol in self._symbols:
                self._add(self._symbols[symbol], candle)
        # Other kinds are new ones, which were not asked for.

    def _add(self, pair: Pair, candle: Candle) -> None:
        progress = self._progress[pair]
        previous = progress.recent.get(candle.open_time)
        if candle == previous:
            return
        if len(self._waiting) >= self._most:
            self.finish(f"has sent {self._most:,} candles that were not taken yet; this machine is too slow")
            return
        series = SeriesKey(BinanceFeed.id, pair, Interval.MINUTE_1)
        self._waiting.append(CandleClosed(series, candle))
        progress.add(candle)
        self._arrived.set()

    def _take_quotes(self) -> Iterator[FeedEvent]:
        quotes, self._quotes = self._quotes, {}
        for pair, (arrived, frame) in quotes.items():
            try:
                yield QuoteReceived(BinanceFeed.id, pair, _read_quote(_payload(frame), EXCHANGE.symbol(pair), arrived))
            except Malformed as error:
                if not self._has_malformed_quotes:
                    logs.event(_logger, logging.WARNING, "malformed quote", source=BinanceFeed.id, reason=str(error))
                self._has_malformed_quotes = True


class _Progress:
    """Which candles of one pair have arrived."""

    def __init__(self, until: datetime) -> None:
        self.until = until  # the close up to which none is missing
        self.recent: dict[datetime, Candle] = {}  # by opening
        self._early: set[datetime] = set()  # openings after `until`

    def add(self, candle: Candle) -> None:
        self.recent[candle.open_time] = candle
        if len(self.recent) > _REORDERED:
            del self.recent[min(self.recent)]
        if candle.open_time >= self.until and len(self._early) < _REORDERED:  # more is not reordering but a hole
            self._early.add(candle.open_time)
        while self.until in self._early:
            self._early.remove(self.until)
            self.until += Interval.MINUTE_1.length


def _streams(pair: Pair) -> tuple[str, str]:
    """Return the names of the streams of candles and of quotes."""
    symbol = EXCHANGE.symbol(pair).lower()
    return f"{symbol}@kline_1m", f"{symbol}@bookTicker"


def _payload(frame: str | bytes) -> Mapping[str, object]:
    """Return the message in a frame of a combined stream, or one that stands alone."""
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        raise Malformed("a frame that is not JSON") from None
    data = message.get("data", message) if isinstance(message, dict) else None
    if not isinstance(data, dict):
        raise Malformed("a frame without a message")
    return data


def _read_candle(k: object) -> tuple[Candle | None, str]:
    """Return a candle and its symbol; None if the candle is still open."""
    if not (
        isinstance(k, dict) and isinstance(k.get("x"), bool) and k.get("i") == "1m" and isinstance(k.get("s"), str)
    ):
        raise Malformed("a message of a candle without a candle of one minute")
    if not k["x"]:
        return None, k["s"]
    candle = Candle(
        instant(k.get("t"), "open time"),
        decimal(k.get("o"), "open"),
        decimal(k.get("h"), "high"),
        decimal(k.get("l"), "low"),
        decimal(k.get("c"), "close"),
        decimal(k.get("v"), "volume"),
        decimal(k.get("q"), "quote volume"),
        whole(k.get("n"), "trades"),
        decimal(k.get("V"), "taker base volume"),
        decimal(k.get("Q"), "taker quote volume"),
    )
    return candle, k["s"]


def _read_quote(data: Mapping[str, object], symbol: str, arrived: datetime) -> Quote:
    if data.get("s") != symbol:
        raise Malformed(f"no quote of {symbol}")
    return Quote(arrived, *(decimal(data.get(name), name) for name in ("b", "B", "a", "A")))
