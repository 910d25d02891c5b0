"""Live streams of trades, of which candles are built: what does not depend on the exchange.

Where the numbers of a pair's trades follow each other, the stream itself builds closed minutes, of which no trade is
missing. Elsewhere the collector builds candles as well as it can.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar
from urllib.request import getproxies

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, PairRefused, TickReceived
from crypto_predict.sources.exchange import Exchange, Settings
from crypto_predict.sources.network.numbered import NumberedMinutes, Trade
from crypto_predict.sources.network.sanitize import Sanitizer
from crypto_predict.sources.network.session import host_of
from crypto_predict.sources.network.websocket import Broken, StreamEnd, check_pause, dial, of_error, within
from crypto_predict.sources.network.wire import Malformed

ANSWER_WITHIN = 15  # seconds of the market, to the handshake, a subscription or a ping

MOST_WAITING = 10_000  # events that were not taken yet
SYMBOLS_A_REQUEST = 50
MOST_REQUESTS = 200  # of subscriptions in one connection; pairs that are still not accepted count as refused
LONGEST_MESSAGE = 2**20  # bytes; one with a trade of 1,000 pairs has 200,000

_HEARTBEAT_EVERY = 1
_WORDS = re.compile(r"[A-Z0-9_-]+")


class Refused(Exception):
    """The exchange has sent an error message."""

    def __init__(self, message: str, *, is_maintenance: bool = False, is_repetition: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_maintenance = is_maintenance  # it concerns the whole exchange
        self.is_repetition = is_repetition  # the subscription exists: a refused request may have made some of it


class TradeStream:
    """One connection. It is read whether its events are taken or not, so that pings are sent in time.

    An exchange adds its messages: `subscription`, `take` and, where it has its own, `ping`.
    """

    exchange: ClassVar[Exchange]
    requests_a_second: ClassVar[int]
    ping_every: ClassVar[float] = 15  # seconds of the market

    def __init__(self, pairs: Mapping[str, Pair], clock: Clock, most_waiting: int, minutes: NumberedMinutes) -> None:
        self.waiting: asyncio.Queue[FeedEvent | None] = asyncio.Queue()  # None after the last one
        self.heard_at = clock.now()  # the time of the last message
        self.batch: Sequence[str] = ()  # the symbols of the newest subscription
        self.pairs = pairs  # by symbol
        self.pong: asyncio.Future[Any] | None = None  # of the newest ping
        self._clock, self._most_waiting = clock, most_waiting
        self._minutes = minutes  # also of the trades of other connections
        self._has_traded = False  # since the last heartbeat, with numbers
        # Seconds on the monotonic clock.
        self._ping_at = self._pinged_at = clock.monotonic()
        self._beat_at = float("-inf")
        self._is_subscribed = False

    def subscription(self, symbols: Sequence[str]) -> Mapping[str, object]:
        """Return the message that subscribes to the trades of these symbols."""
        raise NotImplementedError

    def take(self, message: Mapping[str, object]) -> object:
        """Take a message: hand each trade to `trade` or `numbered`, and return the symbols of an answer.

        An answer lists the symbols that are subscribed to. Everything else returns None; messages of an unknown kind
        are left out.

        Raises:
            Refused: It is an error.
            Malformed: It is not in the exchange's format.
        """
        raise NotImplementedError

    async def ping(self, websocket: ClientConnection) -> asyncio.Future[Any]:
        """Send a ping, and return what is done when it is answered."""
        pong = asyncio.ensure_future(await websocket.ping())
        pong.add_done_callback(self._answered)
        return pong

    def trade(self, pair: Pair, time: datetime, price: float, size: float, number: int) -> None:
        """Put a trade; the ids of a pair's trades ascend."""
        if self._is_subscribed:  # before the first heartbeat nobody expects all trades of a pair
            self._put(TickReceived(self.exchange.id, pair, time, price, size, number))

    def numbered(self, pair: Pair, trade: Trade) -> None:
        """Take a trade of an exchange that numbers those of a pair one by one; its minute is put once it is whole."""
        self._minutes.add(pair, trade)
        self._has_traded = True

    async def read(self, url: str, rest: str) -> None:
        """Connect, subscribe, and read until the connection ends; it ends with an error. `rest` is the host of REST.

        Raises:
            Broken: The exchange does not answer, or sends more than is taken.
            Refused: The exchange has sent an error message.
            Malformed: It has sent something that is not in its format.
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
                self.take(await self._receive(websocket))
                self._beat()

    async def _subscribe(self, websocket: ClientConnection) -> None:
        """Subscribe to all symbols but those that are refused alone, and put a `PairRefused` for each of these.

        Raises:
            Refused: The exchange refuses all of them, or is in maintenance.
        """
        symbols, refused = list(self.pairs), dict[str, Refused]()
        size = SYMBOLS_A_REQUEST
        waiting = deque(symbols[first : first + size] for first in range(0, len(symbols), size))
        refusal = Refused("No answer")
        for _ in range(MOST_REQUESTS):
            if not waiting:
                break
            batch = waiting.popleft()
            try:
                confirmed = await self._request(websocket, batch)
            except Refused as answer:
                refusal = answer
                if refusal.is_maintenance:
                    raise
                named = set(_WORDS.findall(refusal.message)) & set(batch)
                judged = [symbol for symbol in batch if symbol in named or len(batch) == 1]
                rest = [symbol for symbol in batch if symbol not in judged]
                middle = 0 if judged else len(rest) // 2
                waiting += [part for part in (rest[:middle], rest[middle:]) if part]
                if refusal.is_repetition:
                    continue
            else:
                refusal, judged = Refused("no confirmation"), [symbol for symbol in batch if symbol not in confirmed]
            refused |= dict.fromkeys(judged, refusal)
        refused |= dict.fromkeys(chain.from_iterable(waiting), refusal)
        if len(refused) == len(symbols):
            raise refusal
        for symbol in refused:
            self._put(PairRefused(self.pairs[symbol], refused[symbol].message))

    async def _request(self, websocket: ClientConnection, symbols: Sequence[str]) -> Sequence[object]:
        """Subscribe to these symbols, and return those that the exchange has confirmed."""
        self.batch = symbols
        await self._clock.sleep(1 / self.requests_a_second)
        await websocket.send(json.dumps(self.subscription(symbols)))
        async with within(self._clock, ANSWER_WITHIN, "confirm a subscription"):
            while (confirmed := self.take(await self._receive(websocket))) is None:
                self._beat()
        if not isinstance(confirmed, list):
            raise Malformed("a subscription without a list of symbols")
        return confirmed

    async def _receive(self, websocket: ClientConnection) -> Mapping[str, object]:
        """Return the next message; send pings while waiting."""
        while True:
            now = self._clock.monotonic()
            if now >= self._ping_at:
                if self.pong is None or self.pong.done():
                    self.pong, self._pinged_at = await self.ping(websocket), now
                elif now - self._pinged_at >= ANSWER_WITHIN:
                    raise Broken(f"did not answer a ping within {ANSWER_WITHIN} s")
                self._ping_at = now + self.ping_every
            try:
                async with self._clock.timeout(self._ping_at - now):
                    frame = await websocket.recv()
            except TimeoutError:
                continue
            self.heard_at = self._clock.now()
            return _message(frame)

    def _answered(self, pong: asyncio.Future[Any]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self.heard_at = self._clock.now()
            self._beat()

    def _beat(self) -> None:
        now = self._clock.monotonic()
        has_room = self.waiting.qsize() < self._most_waiting  # an answer to a ping has nobody to raise an error for
        if self._is_subscribed and has_room and now - self._beat_at >= _HEARTBEAT_EVERY:
            is_first, self._beat_at = self._beat_at == float("-inf"), now
            # Trades are data, although a quiet pair closes its minute late.
            self._put(Heartbeat(self.heard_at, is_confirmed=self._has_traded))
            self._has_traded = False
            # With the first heartbeat this connection takes the place of another one. Only then are its minutes heard.
            for pair, candle in () if is_first else self._minutes.whole(now):
                self._put(CandleClosed(SeriesKey(self.exchange.id, pair, Interval.MINUTE_1), candle))

    def _put(self, event: FeedEvent) -> None:
        if self.waiting.qsize() >= self._most_waiting:
            raise Broken(f"has sent {self._most_waiting:,} events that were not taken yet; this machine is too slow")
        self.waiting.put_nowait(event)


class TradeFeed:
    """The live stream of an exchange that sends trades. Its `stream` reads one connection."""

    stream: ClassVar[type[TradeStream]]
    sends_candles: ClassVar[bool] = False  # minutes, where the trades are numbered
    sends_quotes = False

    def __init__(self, settings: Settings, clock: Clock, most_waiting: int = MOST_WAITING) -> None:
        self._url, self._clock, self._most_waiting = settings.stream_url, clock, most_waiting
        self._host, self._rest = host_of(settings.stream_url), host_of(settings.api_url)
        self._sanitize = Sanitizer((), settings.stream_url, *getproxies().values())
        self._minutes = NumberedMinutes(self.id)

    @property
    def id(self) -> str:
        """The id of the exchange."""
        return self.stream.exchange.id

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Connect and yield the trades of these pairs, or their minutes, as `CandleFeed.events` does.

        The first heartbeat comes when the exchange has answered all subscriptions, after a `PairRefused` for each pair
        that it has refused; if it has refused all of them, the connection ends. A message that is not in the exchange's
        format ends the feed. Nothing is missing before the time of the last message, or of this call.

        Raises:
            UnusableHistory: The exchange cannot have one of the pairs.
        """
        exchange = self.stream.exchange
        symbols = {exchange.symbol(pair): pair for pair in pairs}
        stream = self.stream(symbols, self._clock, self._most_waiting, self._minutes)
        reading = asyncio.create_task(stream.read(self._url, self._rest))
        reading.add_done_callback(lambda _: stream.waiting.put_nowait(None))
        try:
            while (event := await stream.waiting.get()) is not None:
                if isinstance(event, PairRefused):
                    event = replace(event, reason=f'{self._host} answered "{self._sanitize(event.reason)}"')
                yield event
            await reading
        except Refused as refusal:
            end = StreamEnd(f'answered "{self._sanitize(refusal.message)}"', refusal.is_maintenance)
        except (Broken, Malformed, OSError, WebSocketException) as error:
            end = of_error(error, exchange.name, self._sanitize(str(error)), self._rest)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        yield Interrupted(f"{self._host} {end.reason}", stream.heard_at, end.exchange_down)


def _message(frame: str | bytes) -> Mapping[str, object]:
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
