"""Websockets on a replay server, and their faults. Each exchange adds its wire format.

`Streams` sends what happens on a `Motion` to every connection that has subscribed to it. A `StreamFault` changes one
connection: `Streams.inject` applies it to the next ones as they open, `Streams.apply` to those that are open. A
refused, stalled or reset handshake is a fault of HTTP: inject it in the `ReplayServer`.
"""

import asyncio
import json
import socket
import struct
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from operator import attrgetter

from aiohttp import WSMsgType, web

from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span
from crypto_predict.market.clock import Clock
from tests.support.replay.motion import Happening, Motion, Trade
from tests.support.replay.server import Answer, Handler

Frame = str | bytes  # a text or a binary message
Topic = str
# Returns the frame of what has happened, with the topic of its subscribers; None if the exchange does not send it.
Encode = Callable[[Happening], tuple[Topic, Frame] | None]
Talk = Callable[["Connection"], Awaitable[None]]

_WAIT = 30.0  # seconds, after which a test fails


class Connection:
    """One websocket, on the side of the exchange."""

    def __init__(self, request: web.Request, websocket: web.WebSocketResponse) -> None:
        self.request, self.websocket = request, websocket
        self.topics: set[Topic] = set()
        self.is_muted = False  # it answers, but does not send data
        self.changes: list[Callable[[Frame], Iterable[Frame]]] = []  # of each frame of data
        self.wrap: Callable[[Topic, Frame], Frame] = lambda _, frame: frame  # for this client
        self._waiting: asyncio.Queue[Frame | tuple[int, str]] = asyncio.Queue()  # with code and reason of a closing

    def push(self, frame: Frame) -> None:
        """Send data. The faults of the connection apply."""
        frames: Iterable[Frame] = [] if self.is_muted else [frame]
        for change in self.changes:
            frames = [changed_frame for unchanged in frames for changed_frame in change(unchanged)]
        for changed_frame in frames:
            self._waiting.put_nowait(changed_frame)

    def say(self, frame: Frame) -> None:
        """Send a greeting or the answer to a subscription: not data."""
        self._waiting.put_nowait(frame)

    def close(self, code: int, reason: str) -> None:
        """Close with a closing frame, after what waits to be sent."""
        self._waiting.put_nowait((code, reason))

    async def texts(self, clock: Clock, silence: Callable[[], float]) -> AsyncIterator[str]:
        """Yield the messages of the client until it leaves, or is silent for so many seconds: then it is dropped."""
        while True:
            try:
                async with clock.timeout(silence()):
                    message = await self.websocket.receive()
            except TimeoutError:
                drop(self)
                return
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}:
                return

    async def send_waiting(self) -> None:
        """Send, one after the other, until the connection ends. A slow client delays only itself."""
        while True:
            frame = await self._waiting.get()
            if isinstance(frame, tuple):
                await self.websocket.close(code=frame[0], message=frame[1].encode())
                return
            await (self.websocket.send_str(frame) if isinstance(frame, str) else self.websocket.send_bytes(frame))


StreamFault = Callable[[Connection], None]


class Streams:
    """The websockets of one exchange: its `encode` makes the frames of what happens on `motion`."""

    def __init__(self, motion: Motion, encode: Encode) -> None:
        self.connections: list[Connection] = []
        self.opened = 0  # connections so far
        self._motion, self.encode = motion, encode
        self._injected: deque[StreamFault] = deque()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._player: asyncio.Task[None] | None = None

    def inject(self, fault: StreamFault, times: int = 1) -> None:
        """Apply `fault` to the next `times` connections as they open. Each takes one fault."""
        self._injected.extend([fault] * times)

    def apply(self, fault: StreamFault) -> None:
        """Apply `fault` to every open connection; there is one at least, for which this waits."""
        self.wait_open()
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._apply(fault), self._loop).result(_WAIT)

    def wait_open(self, count: int = 1, *, opened: int = 0) -> None:
        """Wait until `count` connections are open and `opened` have been opened so far."""
        self._wait(lambda: len(self.connections) >= count and self.opened >= opened)

    def wait_closed(self) -> None:
        """Wait until no connection is open."""
        self._wait(lambda: not self.connections)

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            met = self._changed.wait_for(condition, _WAIT)
        assert met, f"{len(self.connections)} connections are open, {self.opened} have been opened"

    async def serve(self, request: web.Request, talk: Talk) -> Answer:
        """Open a websocket, and let `talk` read from it and subscribe until the client leaves."""
        if self._motion.is_down():
            return web.Response(status=503)
        websocket = web.WebSocketResponse(compress=False)
        await websocket.prepare(request)
        connection = Connection(request, websocket)
        if self._injected:
            self._injected.popleft()(connection)
        self._enter(connection)
        sending = asyncio.create_task(connection.send_waiting())
        talking = asyncio.ensure_future(talk(connection))
        try:
            await asyncio.wait((sending, talking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(connection)
            sending.cancel()
            talking.cancel()
            await asyncio.gather(sending, talking, return_exceptions=True)
        return websocket

    async def _apply(self, fault: StreamFault) -> None:
        for connection in list(self.connections):
            if connection.request.transport is not None:  # of a client that is leaving there is none
                fault(connection)

    def _enter(self, connection: Connection) -> None:
        with self._changed:
            self._loop = asyncio.get_running_loop()
            self.connections.append(connection)
            self.opened += 1
            self._changed.notify_all()
        if self._player is None:
            self._player = asyncio.create_task(self._play())

    def _leave(self, connection: Connection) -> None:
        with self._changed:
            self.connections.remove(connection)
            self._changed.notify_all()
        if not self.connections and self._player is not None:
            self._player.cancel()
            self._player = None

    async def _play(self) -> None:
        """Send what happens, second by second of the market, while there are connections."""
        played = self._motion.now()
        while True:
            now = self._motion.now()
            self._publish(played, now)
            played = max(played, now)
            if self._motion.is_down():
                for connection in list(self.connections):
                    drop(connection)
            await self._motion.clock.sleep(1 - now.microsecond / 1e6)

    def _publish(self, start: datetime, end: datetime) -> None:
        for happening in self._motion.happenings(start, end):
            encoded = self.encode(happening)
            if encoded is not None:
                for connection in self.connections:
                    if encoded[0] in connection.topics:
                        connection.push(connection.wrap(*encoded))


def drop(connection: Connection) -> None:
    """Reset the connection, without a closing frame."""
    transport = _transport(connection)
    at_once = struct.pack("ii", 1, 0)  # linger for 0 s: the kernel sends RST
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    transport.abort()


def silence(connection: Connection) -> None:
    """Do not read and send any more: a half-open connection, whose pings are not answered."""
    _transport(connection).pause_reading()
    connection.is_muted = True


def mute(connection: Connection) -> None:
    """Do not send data any more; pings and subscriptions are answered."""
    connection.is_muted = True


def closed(code: int = 1000, reason: str = "") -> StreamFault:
    """Close with a closing frame, as an exchange does after 24 hours."""
    return lambda connection: connection.close(code, reason)


def changed(change: Callable[[Frame], Iterable[Frame]]) -> StreamFault:
    """Send in place of each frame of data what `change` makes of it."""
    return lambda connection: connection.changes.append(change)


def doubled(connection: Connection) -> None:
    """Send each frame of data twice."""
    connection.changes.append(lambda frame: (frame, frame))


def swapped(connection: Connection) -> None:
    """Send the frames of data in the order 2, 1, 4, 3, ..."""
    frames: list[Frame] = []

    def change(frame: Frame) -> Iterable[Frame]:
        if frames:
            return (frame, frames.pop())
        frames.append(frame)
        return ()

    connection.changes.append(change)


def burst(frame: Frame, times: int = 1) -> StreamFault:
    """Send a frame of data so many times at once, valid or not."""
    return together(*[lambda connection: connection.push(frame)] * times)


def together(*faults: StreamFault) -> StreamFault:
    def fault(connection: Connection) -> None:
        for each in faults:
            each(connection)

    return fault


class Shelf(Motion):
    """A market that stands still: the ascending candles of a test by pair and interval, and its quotes."""

    def __init__(
        self, candles: Mapping[tuple[Pair, Interval], Sequence[Candle]], quotes: Mapping[Pair, Quote] | None
    ) -> None:
        self._candles, self._quotes = candles, quotes or {}
        times = [time for rows in candles.values() if rows for time in (rows[0].open_time, rows[-1].open_time)]
        pairs = dict.fromkeys([*(pair for pair, _ in candles), *self._quotes])
        super().__init__(Clock(), list(pairs), begin=min(times, default=EPOCH))
        self._newest = max(times, default=EPOCH)

    def now(self) -> datetime:
        """Return the opening of the newest candle."""
        return self._newest

    def candles(self, pair: Pair, interval: Interval, span: Span, *, with_open: bool = False) -> list[Candle]:  # noqa: ARG002 all are closed
        """Return the candles that open in `span`."""
        rows = self._candles.get((pair, interval), ())
        first, after = (bisect_left(rows, at, key=attrgetter("open_time")) for at in (span.start, span.end))
        return list(rows[first:after])

    def quote(self, pair: Pair) -> Quote | None:
        """Return the top of the book, if there is one."""
        return self._quotes.get(pair)

    def last_trade(self, pair: Pair, at: datetime) -> Trade | None:  # noqa: ARG002 the signature of a market in motion
        """Return nothing: nobody has traded for a while."""
        return None


class StandIn:
    """An exchange over REST: the candles and the quotes of a market."""

    separator = ""  # between base and quote in a symbol

    def __init__(self, market: Motion) -> None:
        self.market = market
        self.symbols = {pair: f"{pair.base}{self.separator}{pair.quote}" for pair in market.pairs}
        self.pairs = {symbol: pair for pair, symbol in self.symbols.items()}

    def rest(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        raise NotImplementedError

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoints."""
        return [web.get(path, handler) for path, handler in self.rest().items()]

    def is_listed(self, symbol: str) -> bool:
        """Return whether the exchange has a pair now."""
        return symbol in self.pairs and self.market.is_listed(self.pairs[symbol])

    def quote(self, symbol: str) -> Quote | None:
        """Return the top of the book of a pair, if the exchange has it."""
        return self.market.quote(self.pairs[symbol]) if self.is_listed(symbol) else None


def live_routes(exchange: StandIn, streams: Streams, talk: Talk, *paths: str) -> Iterable[web.AbstractRouteDef]:
    """Return the endpoints of REST and of the streams. Those of REST do not answer during an outage."""

    async def stream(request: web.Request) -> Answer:
        return await streams.serve(request, talk)

    guarded = [web.get(path, _guarded(exchange.market, handler)) for path, handler in exchange.rest().items()]
    return [*guarded, *(web.get(path, stream) for path in paths)]


def _guarded(motion: Motion, handler: Handler) -> Handler:
    """Return a handler of REST that answers 503 during an outage. Its answers have the time of the exchange."""

    async def handle(request: web.Request) -> Answer:
        if motion.is_down():
            return web.Response(status=503, text=json.dumps({"msg": "Service Unavailable"}))
        answer = await handler(request)
        answer.headers["Date"] = format_datetime(motion.now(), usegmt=True)
        return answer

    return handle


def _transport(connection: Connection) -> asyncio.Transport:
    assert isinstance(connection.request.transport, asyncio.Transport)
    return connection.request.transport
