"""The live stream of an exchange: what does not depend on the exchange; connecting, and why a connection has ended."""

import asyncio
import http.client
import json
import logging
import re
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, ClassVar
from urllib.request import getproxies

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from crypto_predict.market import Candle, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, PairRefused
from crypto_predict.sources.exchange import Exchange, Settings
from crypto_predict.sources.network.numbered import NumberedMinutes
from crypto_predict.sources.network.pause import REFUSALS, pause_of
from crypto_predict.sources.network.session import host_of
from crypto_predict.sources.network.wire import Malformed, sanitizer

ANSWER_WITHIN = 20  # seconds of the market, to each step of the handshake, a subscription or a ping
MOST_WAITING = 10_000  # events that were not taken yet
SYMBOLS_A_REQUEST = 50
MOST_REQUESTS = 200  # of subscriptions in one connection; pairs that are still not accepted count as refused

LONGEST_MESSAGE = 2**20  # bytes; one with a trade of 1,000 pairs has 200,000

_HEARTBEAT_EVERY = 1  # seconds
_WORDS = re.compile(r"[A-Z0-9/_-]+")
_PLACE = 451  # of a handshake: the exchange is closed to this place; 403, 418 and 429 are for this machine alone
_DOWN_CODES = frozenset({1011, 1012, 1013})  # of a closing frame: internal error, restart, try again later
_CLOSE_WITHIN = 0.3  # seconds: the process has three to stop
# The library logs headers and frames at DEBUG; an address may contain a password, and a frame the keys.
_frames_log = logging.getLogger(f"{__name__}.frames")
_frames_log.setLevel(logging.ERROR)


class Broken(Exception):
    """The connection cannot be used any more; the message continues the name of the host."""

    def __init__(self, reason: str, *, exchange_down: bool = False) -> None:
        super().__init__(reason)
        self.exchange_down = exchange_down  # the exchange has answered that it is not available


class Refused(Broken):
    """The exchange has sent an error message."""

    def __init__(self, message: str, sanitized: str, *, exchange_down: bool, is_repetition: bool) -> None:
        super().__init__(f'answered "{sanitized}"', exchange_down=exchange_down)
        self.message = message
        self.is_repetition = is_repetition  # the subscription exists: a refused request may have made some of it


class _Connect(connect):
    """Connect, and refuse a redirect: it could lead to any host, which would receive the keys."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Stream:
    """The connections of one call of `Feed.events`, of which most exchanges have one. The first fault ends all.

    They are read whether the events are taken or not, so that pings are sent in time. An exchange adds its messages:
    `take`, and `subscription` or `subscribe`.
    """

    exchange: ClassVar[Exchange]
    sends_candles: ClassVar[bool] = False
    sends_quotes: ClassVar[bool] = False
    headers: ClassVar[Mapping[str, str]] = {}  # of the handshake
    pairs_a_connection: ClassVar[int] = sys.maxsize
    requests_a_second: ClassVar[float]  # of subscriptions
    # Seconds of the market.
    ping_every: ClassVar[float] = 10
    most_pings: ClassVar[int] = sys.maxsize  # in a row without a message in between

    def __init__(self, feed: "Feed", pairs: Mapping[str, Pair]) -> None:
        self.feed, self.clock = feed, feed.clock
        self.pairs = pairs  # by symbol
        self.waiting: asyncio.Queue[FeedEvent | None] = asyncio.Queue()  # None after the last one
        self.is_subscribed = False
        self.is_confirmed = False  # the next heartbeat is
        # Of each connection: the last sign of life on the monotonic clock, and the pings since its last message.
        self._heard: dict[ClientConnection, float] = {}
        self._pings: dict[ClientConnection, int] = {}
        self._began, self._beat_at = self.clock.monotonic(), float("-inf")  # seconds on the monotonic clock
        self._answer = asyncio.get_running_loop().create_future()  # to the newest request, or the greeting

    def subscription(self, symbols: Sequence[str]) -> Mapping[str, object]:
        """Return the message that subscribes to these symbols."""
        raise NotImplementedError

    def take(self, frame: str | bytes) -> object:
        """Take a message: `put` its events, and return what it answers to a request.

        A confirmed subscription is a list of symbols, or True for all. Everything else returns None; messages of an
        unknown kind are left out. An error message raises `Broken`, and another format `Malformed`.
        """
        raise NotImplementedError

    def address(self, symbols: Sequence[str]) -> str:  # noqa: ARG002 of one exchange they are a part of it
        """Return where the connection for these symbols is made."""
        return self.feed.settings.stream_url

    def every_second(self) -> None:
        """Put what is due, about once a second after the first heartbeat, when a connection has just been heard."""

    def complete_until(self) -> datetime:
        """Return the time (UTC) before which nothing is missing."""
        return self.heard_at()

    def heard_at(self) -> datetime:
        """Return the time (UTC) since which all connections have been heard."""
        heard = min(self._heard.values(), default=self._began)
        return self.clock.now() - timedelta(seconds=self.clock.monotonic() - heard)

    async def ping(self, websocket: ClientConnection) -> None:
        """Send a ping, and wait until it is answered."""
        async with within(self.clock, ANSWER_WITHIN, "answer a ping"):
            await (await websocket.ping())

    async def subscribe(self, websocket: ClientConnection, symbols: Sequence[str]) -> None:
        """Subscribe to all symbols but those that are refused alone, and put a `PairRefused` for each of these.

        `Refused` is raised if the exchange refuses all of them, or is not available.
        """
        refused, size = dict[str, Broken](), SYMBOLS_A_REQUEST
        waiting = deque(symbols[first : first + size] for first in range(0, len(symbols), size))
        refusal = self.refusal("No answer")
        for _ in range(MOST_REQUESTS):
            if not waiting:
                break
            batch = waiting.popleft()
            await self.clock.sleep(1 / self.requests_a_second)
            try:
                confirmed = await self.request(
                    websocket, json.dumps(self.subscription(batch)), "confirm a subscription"
                )
            except Refused as answer:
                refusal = answer
                if refusal.exchange_down:
                    raise
                named = set(_WORDS.findall(refusal.message)) & set(batch)
                judged = [symbol for symbol in batch if symbol in named or len(batch) == 1]
                rest = [symbol for symbol in batch if symbol not in judged]
                middle = 0 if judged else len(rest) // 2
                waiting += [part for part in (rest[:middle], rest[middle:]) if part]
                if refusal.is_repetition:
                    continue
            else:
                if confirmed is not True and not isinstance(confirmed, list):
                    raise Malformed("a subscription without a list of symbols")
                refusal = self.refusal("no confirmation")
                judged = [] if confirmed is True else [symbol for symbol in batch if symbol not in confirmed]
            refused |= dict.fromkeys(judged, refusal)
        refused |= dict.fromkeys(chain.from_iterable(waiting), refusal)
        if len(refused) == len(symbols):
            raise refusal
        for symbol in refused:
            self.put(PairRefused(self.pairs[symbol], f"{self.feed.host} {refused[symbol]}"))

    def refusal(self, message: str, *, exchange_down: bool = False, is_repetition: bool = False) -> Refused:
        """Return an error message of the exchange as an error."""
        sanitized = self.feed.sanitize(message)
        return Refused(message, sanitized, exchange_down=exchange_down, is_repetition=is_repetition)

    async def request(self, websocket: ClientConnection, message: str | bytes, step: str) -> Any:
        """Send a message, and return what `take` has made of the answer; `step` is what the exchange is to do."""
        self._answer = asyncio.get_running_loop().create_future()
        await websocket.send(message)
        return await self.answer(step)

    async def answer(self, step: str) -> Any:
        """Return the answer to the newest request, or the greeting before the first one."""
        async with within(self.clock, ANSWER_WITHIN, step):
            return await self._answer

    def put(self, event: FeedEvent) -> None:
        """Let an event wait until it is taken, unless too many wait."""
        most = self.feed.most_waiting
        if self.waiting.qsize() >= most:
            raise Broken(f"has sent {most:,} events that were not taken yet; this machine is too slow")
        self.waiting.put_nowait(event)

    def put_minute(self, pair: Pair, candle: Candle) -> None:
        """Put a closed minute."""
        self.put(CandleClosed(SeriesKey(self.exchange.id, pair, Interval.MINUTE_1), candle))

    async def read(self) -> None:
        """Connect, subscribe, and read until a connection ends; it ends with an error."""
        if (refused := pause_of(self.feed.rest).now(stream=True)) is not None:
            raise Broken(f"{refused}: it has answered {refused.answer}")
        symbols, size = list(self.pairs), self.pairs_a_connection
        parts = [symbols[first : first + size] for first in range(0, len(symbols), size)]
        async with AsyncExitStack() as connections:
            async with within(self.clock, ANSWER_WITHIN, "accept the connection"):
                websockets = [await connections.enter_async_context(self._connect(part)) for part in parts]
            self._heard = dict.fromkeys(websockets, self.clock.monotonic())
            try:
                async with asyncio.TaskGroup() as tasks:
                    for websocket, part in zip(websockets, parts, strict=True):
                        # `_talk` begins first, as the greeting is an answer.
                        tasks.create_task(self._talk(websocket, part))
                        tasks.create_task(self._listen(websocket))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None

    def _connect(self, symbols: Sequence[str]) -> connect:
        """Connect. The caller bounds the time, and sends pings."""
        return _Connect(
            self.address(symbols),
            additional_headers=self.headers,
            compression=None,  # messages are short, and a compressed one may be a bomb
            open_timeout=None,
            ping_interval=None,
            close_timeout=_CLOSE_WITHIN,
            max_size=LONGEST_MESSAGE,
            logger=_frames_log,
        )

    async def _talk(self, websocket: ClientConnection, symbols: Sequence[str]) -> None:
        """Subscribe, and send pings."""
        await self.subscribe(websocket, symbols)
        self.is_subscribed = True
        self._beat()
        while True:
            await self.clock.sleep(self.ping_every)
            await self.ping(websocket)
            self._heard[websocket] = self.clock.monotonic()
            self._pings[websocket] = self._pings.get(websocket, 0) + 1
            if self._pings[websocket] >= self.most_pings:
                raise Broken(f"has sent no data for {self.most_pings * self.ping_every:g} s")
            self._beat()

    async def _listen(self, websocket: ClientConnection) -> None:
        """Take every message."""
        while True:
            frame = await websocket.recv()
            self._heard[websocket], self._pings[websocket] = self.clock.monotonic(), 0
            try:
                answer = self.take(frame)
            except Refused as refusal:
                if self._answer.done():
                    raise
                self._answer.set_exception(refusal)
            else:
                if answer is not None and not self._answer.done():
                    self._answer.set_result(answer)
            self._beat()

    def _beat(self) -> None:
        """Put what is due a second after the last time, once all connections have been heard since."""
        heard = min(self._heard.values())
        if self.is_subscribed and heard - self._beat_at >= _HEARTBEAT_EVERY:
            # With the first heartbeat this connection takes the place of another one. Only then is more put.
            if self._beat_at > float("-inf"):
                self.every_second()
            self._beat_at = heard
            self.put(Heartbeat(self.heard_at(), self.is_confirmed))
            self.is_confirmed = False


class Feed:
    """The live stream of an exchange, whose `stream` reads the connections of one call of `events`."""

    def __init__(
        self, stream: type[Stream], settings: Settings, clock: Clock, most_waiting: int = MOST_WAITING
    ) -> None:
        self.stream, self.id = stream, stream.exchange.id
        self.sends_candles, self.sends_quotes = stream.sends_candles, stream.sends_quotes
        self.settings, self.clock, self.most_waiting = settings, clock, most_waiting
        self.host, self.rest = host_of(settings.stream_url), host_of(settings.api_url)
        self.sanitize = sanitizer(settings.keys.values(), settings.stream_url, *getproxies().values())
        self.minutes = NumberedMinutes(self.id)  # also of the trades of earlier connections

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Connect and yield the events of these pairs, as `CandleFeed.events` does.

        The first heartbeat comes when the exchange has answered all subscriptions, after a `PairRefused` for each pair
        that it has refused; if it has refused all of them, the connection ends. A message that is not in the exchange's
        format ends the feed: it may have been a candle.
        """
        stream = self.stream(self, {self.stream.exchange.symbol(pair): pair for pair in pairs})
        reading = asyncio.create_task(stream.read())
        reading.add_done_callback(lambda _: stream.waiting.put_nowait(None))
        try:
            while (event := await stream.waiting.get()) is not None:
                yield event
            await reading
        except (Broken, Malformed, OSError, UnicodeError, WebSocketException) as error:
            end = self._broken(error)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        yield Interrupted(f"{self.host} {end}", stream.complete_until(), end.exchange_down)

    def _broken(self, error: Exception) -> Broken:
        """Describe what a connection has raised. REST shares the pause after a refused handshake."""
        detail = self.sanitize(str(error))
        match error:
            case Broken():
                return error
            case Malformed():
                return Broken(f"sent a message that is not in {self.stream.exchange.name}'s format: {detail}")
            case InvalidStatus():
                status = error.response.status_code
                if status in REFUSALS:
                    pause_of(self.rest).refused(status, error.response.headers, stream=True)
                answer = f"answered {status} {http.client.responses.get(status, '')}".rstrip()
                return Broken(f"{answer} to the handshake", exchange_down=status >= 500 or status == _PLACE)
            case ConnectionClosed():
                is_down = error.rcvd is not None and error.rcvd.code in _DOWN_CODES
                return Broken(f"closed the connection: {detail}", exchange_down=is_down)
            case OSError() | UnicodeError():
                return Broken(f"cannot be reached: {detail}; check the network and the address")
            case _:
                return Broken(f"did not complete the handshake: {detail}")


@asynccontextmanager
async def within(clock: Clock, seconds: float, step: str) -> AsyncIterator[None]:
    """Bound a step of the exchange's, such as ``answer a ping``, to seconds of the market."""
    try:
        async with clock.timeout(seconds):
            yield
    except TimeoutError:
        raise Broken(f"did not {step} within {seconds:g} s") from None
