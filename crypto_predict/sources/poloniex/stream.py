"""Poloniex's last prices as they change, without keys.

Wire format::

    > {"event": "subscribe", "channel": ["ticker"], "symbols": ["BTC_USDT"]}
    < {"event": "subscribe", "channel": "ticker", "symbols": ["BTC_USDT"]}
    < {"channel": "ticker", "data": [{"symbol": "BTC_USDT", "close": "23148.86", "ts": 1677367251090,
       "closeTime": 1677367197924, "tradeCount": 17582, "open": "23154.32", ...}]}
    > {"event": "ping"}
    < {"event": "pong"}
    < {"event": "error", "message": "Platform in maintenance mode"}

``close`` is the last price and ``ts`` the time of the message, in milliseconds since 1970; both may be numbers or text.
All other values are of the last 24 hours. The server drops a client that it has not heard of for 30 s. A pair without
trades sends nothing, so a stream without ticks may be a quiet market: the collector decides how long it waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from urllib.request import getproxies

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import FeedEvent, Heartbeat, Interrupted, TickReceived
from crypto_predict.sources.poloniex.settings import PoloniexSettings
from crypto_predict.sources.sanitize import Sanitizer
from crypto_predict.sources.session import host_of
from crypto_predict.sources.stream_end import Broken, check_pause, of_error, within
from crypto_predict.sources.symbols import POLONIEX
from crypto_predict.sources.wire import Malformed, decimal, instant

# Seconds of the market.
PING_EVERY = 15
ANSWER_WITHIN = 15  # to the handshake, a subscription or a ping

MOST_WAITING = 10_000  # events that were not taken yet
SYMBOLS_A_REQUEST = 50
LONGEST_MESSAGE = 2**20  # bytes; one with the tickers of all 1,000 pairs has 350,000

_CHANNEL = "ticker"
_HEARTBEAT_EVERY = 1
_CLOSE_WITHIN = 0.3  # seconds: the process has three to stop
_SYMBOL = re.compile(r"[A-Z0-9]+_[A-Z0-9]+")
# The library logs headers and frames at DEBUG; an address may contain a password.
_frames_log = logging.getLogger(f"{__name__}.frames")
_frames_log.setLevel(logging.ERROR)


class PoloniexFeed:
    """The live stream of Poloniex's spot market: ticks, of which candles are built."""

    id = "poloniex"
    sends_candles = False
    sends_quotes = False

    def __init__(self, settings: PoloniexSettings, clock: Clock, most_waiting: int = MOST_WAITING) -> None:
        self._url, self._clock, self._most_waiting = settings.stream_url, clock, most_waiting
        self._host, self._rest = host_of(settings.stream_url), host_of(settings.api_url)
        self._sanitize = Sanitizer((), settings.stream_url, *getproxies().values())

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], clock: Clock) -> PoloniexFeed:
        """Open the feed with the settings of `PoloniexSettings.from_environ`. No connection is made yet."""
        return cls(PoloniexSettings.from_environ(environ), clock)

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Connect and yield the ticks of these pairs, as `CandleFeed.events` does.

        The first heartbeat comes when the exchange has confirmed all subscriptions. A message that is not in Poloniex's
        format ends the feed. Nothing is missing before the time of the last message, or of this call.

        Raises:
            UnusableHistory: Poloniex does not have one of the pairs.
        """
        stream = _Stream({POLONIEX.symbol(pair): pair for pair in pairs}, self._clock, self._most_waiting)
        reading = asyncio.create_task(stream.read(self._url, self._rest))
        reading.add_done_callback(lambda _: stream.waiting.put_nowait(None))
        try:
            while (event := await stream.waiting.get()) is not None:
                yield event
            await reading
        except _Refusal as refusal:
            reason = f'answered "{self._sanitize(refusal.message)}"'
            interrupted = self._interrupted(stream, reason, exchange_down="maintenance" in refusal.message.lower())
        except (Broken, Malformed, OSError, WebSocketException) as error:
            interrupted = self._interrupted(
                stream, *of_error(error, "Poloniex", self._sanitize(str(error)), self._rest)
            )
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        yield interrupted

    def _interrupted(self, stream: _Stream, reason: str, exchange_down: bool) -> Interrupted:
        return Interrupted(f"{self._host} {reason}", stream.heard_at, exchange_down)


class _Refusal(Exception):
    """The exchange has sent an error message."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Connect(connect):
    """Connect, and refuse a redirect: it could lead to any host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Stream:
    """One connection. It is read whether its events are taken or not, so that pings are sent in time."""

    def __init__(self, pairs: Mapping[str, Pair], clock: Clock, most_waiting: int) -> None:
        self.waiting: asyncio.Queue[FeedEvent | None] = asyncio.Queue()  # None after the last one
        self.heard_at = clock.now()  # the time of the last message
        self._pairs, self._clock, self._most_waiting = pairs, clock, most_waiting  # pairs by symbol
        # Seconds on the monotonic clock.
        self._ping_at = clock.monotonic()
        self._beat_at = float("-inf")
        self._awaits_pong = self._is_subscribed = False

    async def read(self, url: str, rest: str) -> None:
        """Connect, subscribe, and read until the connection ends; it ends with an error. `rest` is the host of REST.

        Raises:
            Broken: The exchange does not answer, or sends more than is taken.
            _Refusal: The exchange has sent an error message.
            Malformed: It has sent something else than Poloniex's format.
            UnusableHistory: It does not have one of the pairs.
            OSError: The network failed.
            WebSocketException: The handshake failed, or the connection was closed.
        """
        check_pause(rest)
        async with within(self._clock, ANSWER_WITHIN, "accept the connection"):
            websocket = await _Connect(
                url,
                compression=None,  # messages are short, and a compressed one may be a bomb
                open_timeout=None,
                ping_interval=None,  # Poloniex has its own pings
                close_timeout=_CLOSE_WITHIN,
                max_size=LONGEST_MESSAGE,
                logger=_frames_log,
            )
        async with websocket:
            symbols = list(self._pairs)
            for first in range(0, len(symbols), SYMBOLS_A_REQUEST):
                await self._subscribe(websocket, symbols[first : first + SYMBOLS_A_REQUEST])
            self._is_subscribed = True
            self._beat()
            while True:
                await self._control(websocket)

    async def _subscribe(self, websocket: ClientConnection, symbols: Sequence[str]) -> None:
        """Ask for these symbols, and wait until the exchange has confirmed that."""
        await websocket.send(json.dumps({"event": "subscribe", "channel": [_CHANNEL], "symbols": symbols}))
        try:
            async with within(self._clock, ANSWER_WITHIN, "confirm a subscription"):
                while (answer := await self._control(websocket)).get("event") != "subscribe":
                    pass
        except _Refusal as refusal:
            named = set(_SYMBOL.findall(refusal.message)) & set(symbols)
            if not named and "symbol" not in refusal.message.lower():
                raise
            if named or len(symbols) == 1:
                raise self._unknown(named or symbols) from None
            for symbol in symbols:  # one of them
                await self._subscribe(websocket, [symbol])
        else:
            confirmed = answer.get("symbols", symbols)
            if not isinstance(confirmed, list):
                raise Malformed("a subscription without a list of symbols")
            if missing := [symbol for symbol in symbols if symbol not in confirmed]:
                raise self._unknown(missing)

    def _unknown(self, symbols: Iterable[str]) -> UnusableHistory:
        pair = self._pairs[min(symbols)]
        return UnusableHistory(str(pair), [f"{PoloniexFeed.id} does not have the pair"])

    async def _control(self, websocket: ClientConnection) -> Mapping[str, object]:
        """Read until a message that is neither data nor a pong, and return it.

        Raises:
            _Refusal: It is an error.
        """
        while True:
            message = await self._receive(websocket)
            event = message.get("event")
            if event == "error":
                raise _Refusal(str(message.get("message")))
            if event == "pong":
                self._awaits_pong = False
            elif event is not None:
                return message
            elif message.get("channel") == _CHANNEL:
                self._add_ticks(message.get("data"))
            # Other channels were not asked for.
            self._beat()

    async def _receive(self, websocket: ClientConnection) -> Mapping[str, object]:
        """Return the next message; send pings while waiting."""
        while True:
            now = self._clock.monotonic()
            if now >= self._ping_at:
                if self._awaits_pong:
                    raise Broken(f"did not answer a ping within {PING_EVERY} s")
                await websocket.send('{"event":"ping"}')
                self._awaits_pong, self._ping_at = True, now + PING_EVERY
            try:
                async with self._clock.timeout(self._ping_at - now):
                    frame = await websocket.recv()
            except TimeoutError:
                continue
            self.heard_at = self._clock.now()
            return _read(frame)

    def _add_ticks(self, data: object) -> None:
        if not isinstance(data, list):
            raise Malformed("no list of tickers")
        for ticker in data:
            if not isinstance(ticker, dict) or not isinstance(ticker.get("symbol"), str):
                raise Malformed("a ticker without a symbol")
            if (pair := self._pairs.get(ticker["symbol"])) is not None:
                time, price = instant(ticker.get("ts"), "ts"), decimal(ticker.get("close"), "close")
                self._put(TickReceived(PoloniexFeed.id, pair, time, price))

    def _beat(self) -> None:
        now = self._clock.monotonic()
        if self._is_subscribed and now - self._beat_at >= _HEARTBEAT_EVERY:
            self._beat_at = now
            self._put(Heartbeat(self.heard_at))

    def _put(self, event: FeedEvent) -> None:
        if self.waiting.qsize() >= self._most_waiting:
            raise Broken(f"has sent {self._most_waiting:,} events that were not taken yet; this machine is too slow")
        self.waiting.put_nowait(event)


def _read(frame: str | bytes) -> Mapping[str, object]:
    """Return the JSON object of a message.

    Raises:
        Malformed: It is something else.
    """
    try:
        message = json.loads(frame) if isinstance(frame, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Malformed("no JSON object")
    return message
