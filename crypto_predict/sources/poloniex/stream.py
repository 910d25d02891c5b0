"""Poloniex's trades as they happen, without keys.

Wire format::

    > {"event": "subscribe", "channel": ["trades"], "symbols": ["BTC_USDT"]}
    < {"event": "subscribe", "channel": "trades", "symbols": ["BTC_USDT"]}
    < {"channel": "trades", "data": [{"symbol": "BTC_USDT", "price": "25153.02", "quantity": "0.0021", "id": "71076055",
       "amount": "52.821342", "takerSide": "sell", "createTime": 1694469183664, "ts": 1694469183673}]}
    > {"event": "ping"}
    < {"event": "pong"}
    < {"event": "error", "message": "Platform in maintenance mode"}

``quantity`` is in the base currency, ``createTime`` the time of the trade and ``ts`` that of the message, some
milliseconds later, both in milliseconds since 1970. Any number may be text. The server drops a client that it has not
heard of for 30 s. A pair without trades sends nothing, so a stream without ticks may be a quiet market: the collector
decides how long it waits.

Other channels have less. ``ticker`` has the last price alone, about once a second, and repeats it; the trades in
between are missing. ``candles_minute_1`` does not say which message of a minute is the last one.

A refused subscription may be answered with "Subscription failed" or "Bad request", which name no pair: the symbols are
halved until the refused ones are alone.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from urllib.request import getproxies

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import FeedEvent, Heartbeat, Interrupted, PairRefused, TickReceived
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.sanitize import Sanitizer
from crypto_predict.sources.network.session import host_of
from crypto_predict.sources.network.websocket import Broken, StreamEnd, check_pause, dial, of_error, within
from crypto_predict.sources.network.wire import Malformed, decimal, instant, whole
from crypto_predict.sources.poloniex import EXCHANGE

# Seconds of the market.
PING_EVERY = 15
ANSWER_WITHIN = 15  # to the handshake, a subscription or a ping

MOST_WAITING = 10_000  # events that were not taken yet
SYMBOLS_A_REQUEST = 50
MOST_REQUESTS = 200  # of subscriptions in one connection; pairs that are still not accepted count as refused
REQUESTS_A_SECOND = 100  # a fifth of what the exchange allows one connection
LONGEST_MESSAGE = 2**20  # bytes; one with a trade of all 1,000 pairs has 200,000

_CHANNEL = "trades"
_HEARTBEAT_EVERY = 1
_SYMBOL = re.compile(r"[A-Z0-9]+_[A-Z0-9]+")


class PoloniexFeed:
    """The live stream of Poloniex's spot market: its trades, of which candles are built."""

    id = EXCHANGE.id
    sends_candles = False
    sends_quotes = False

    def __init__(self, settings: Settings, clock: Clock, most_waiting: int = MOST_WAITING) -> None:
        self._url, self._clock, self._most_waiting = settings.stream_url, clock, most_waiting
        self._host, self._rest = host_of(settings.stream_url), host_of(settings.api_url)
        self._sanitize = Sanitizer((), settings.stream_url, *getproxies().values())

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Connect and yield the trades of these pairs, as `CandleFeed.events` does.

        The first heartbeat comes when the exchange has answered all subscriptions, after a `PairRefused` for each pair
        that it has refused; if it has refused all of them, the connection ends. A message that is not in Poloniex's
        format ends the feed. Nothing is missing before the time of the last message, or of this call.

        Raises:
            UnusableHistory: Poloniex cannot have one of the pairs.
        """
        stream = _Stream({EXCHANGE.symbol(pair): pair for pair in pairs}, self._clock, self._most_waiting)
        reading = asyncio.create_task(stream.read(self._url, self._rest))
        reading.add_done_callback(lambda _: stream.waiting.put_nowait(None))
        try:
            while (event := await stream.waiting.get()) is not None:
                if isinstance(event, PairRefused):
                    event = replace(event, reason=f'{self._host} answered "{self._sanitize(event.reason)}"')
                yield event
            await reading
        except _Refusal as refusal:
            end = StreamEnd(f'answered "{self._sanitize(refusal.message)}"', refusal.is_maintenance)
        except (Broken, Malformed, OSError, WebSocketException) as error:
            end = of_error(error, "Poloniex", self._sanitize(str(error)), self._rest)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        yield Interrupted(f"{self._host} {end.reason}", stream.heard_at, end.exchange_down)


class _Refusal(Exception):
    """The exchange has sent an error message."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def is_maintenance(self) -> bool:
        """Whether it concerns the whole exchange."""
        return "maintenance" in self.message.lower()

    @property
    def is_repetition(self) -> bool:
        """Whether the subscription exists: a refused request may have subscribed to some of its symbols."""
        return "already subscribed" in self.message.lower()


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
            OSError: The network failed.
            WebSocketException: The handshake failed, or the connection was closed.
        """
        check_pause(rest)
        async with within(self._clock, ANSWER_WITHIN, "accept the connection"):
            websocket = await dial(url, LONGEST_MESSAGE)
        async with websocket:
            await self._subscribe(websocket)
            self._is_subscribed = True
            self._beat()
            while True:
                await self._control(websocket)

    async def _subscribe(self, websocket: ClientConnection) -> None:
        """Subscribe to all symbols but those that are refused alone, and put a `PairRefused` for each of these.

        Raises:
            _Refusal: The exchange refuses all of them, or is in maintenance.
        """
        symbols, refused = list(self._pairs), dict[str, _Refusal]()
        size = SYMBOLS_A_REQUEST
        waiting = deque(symbols[first : first + size] for first in range(0, len(symbols), size))
        refusal = _Refusal("No answer")
        for _ in range(MOST_REQUESTS):
            if not waiting:
                break
            batch = waiting.popleft()
            try:
                confirmed = await self._request(websocket, batch)
            except _Refusal as answer:
                refusal = answer
                if refusal.is_maintenance:
                    raise
                named = set(_SYMBOL.findall(refusal.message)) & set(batch)
                judged = [symbol for symbol in batch if symbol in named or len(batch) == 1]
                rest = [symbol for symbol in batch if symbol not in judged]
                middle = 0 if judged else len(rest) // 2
                waiting += [part for part in (rest[:middle], rest[middle:]) if part]
                if refusal.is_repetition:
                    continue
            else:
                refusal, judged = _Refusal("no confirmation"), [symbol for symbol in batch if symbol not in confirmed]
            refused |= dict.fromkeys(judged, refusal)
        refused |= dict.fromkeys(chain.from_iterable(waiting), refusal)
        if len(refused) == len(symbols):
            raise refusal
        for symbol in refused:
            self._put(PairRefused(self._pairs[symbol], refused[symbol].message))

    async def _request(self, websocket: ClientConnection, symbols: Sequence[str]) -> Sequence[object]:
        """Ask for these symbols, and return those that the exchange has confirmed."""
        await self._clock.sleep(1 / REQUESTS_A_SECOND)
        await websocket.send(json.dumps({"event": "subscribe", "channel": [_CHANNEL], "symbols": symbols}))
        async with within(self._clock, ANSWER_WITHIN, "confirm a subscription"):
            while (answer := await self._control(websocket)).get("event") != "subscribe":
                pass
        confirmed = answer.get("symbols", symbols)
        if not isinstance(confirmed, list):
            raise Malformed("a subscription without a list of symbols")
        return confirmed

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
                self._add_trades(message.get("data"))
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

    def _add_trades(self, data: object) -> None:
        if not isinstance(data, list):
            raise Malformed("no list of trades")
        for trade in data:
            if not isinstance(trade, dict) or not isinstance(trade.get("symbol"), str):
                raise Malformed("a trade without a symbol")
            if (pair := self._pairs.get(trade["symbol"])) is not None:
                time, number = instant(trade.get("createTime"), "createTime"), whole(trade.get("id"), "id")
                price, size = (decimal(trade.get(name), name) for name in ("price", "quantity"))
                # Before the first heartbeat nobody expects all trades of a pair.
                if self._is_subscribed:
                    self._put(TickReceived(PoloniexFeed.id, pair, time, price, size, number))

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
