"""Alpaca's live bars and quotes, through the official SDK, with both keys.

The SDK connects, authenticates, subscribes and dispatches. Its own loop is not run: it connects again after an error
without saying so, which leaves a hole, and waits for a mute exchange for ever. The SDK also logs and drops errors that
the exchange sends after the handshake; here every one of them ends the stream.

Wire format: msgpack in binary messages, each a list; ``t`` is a timestamp of msgpack. ``S:`` is the exchange::

    S: [{"T": "success", "msg": "connected"}]
    C: {"action": "auth", "key": "…", "secret": "…"}
    S: [{"T": "success", "msg": "authenticated"}]
    C: {"action": "subscribe", "bars": ["BTC/USD"], "updatedBars": ["BTC/USD"], "quotes": ["BTC/USD"]}
    S: [{"T": "subscription", "bars": ["BTC/USD"], "updatedBars": ["BTC/USD"], "quotes": ["BTC/USD"], …}]
    S: [{"T": "b", "S": "BTC/USD", "t": …, "o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 0.5, "n": 3, "vw": 1.5}]
    S: [{"T": "u", …}]  a bar that was sent before, with trades that came late
    S: [{"T": "q", "S": "BTC/USD", "t": …, "bp": 1.5, "bs": 0.5, "ap": 1.6, "as": 0.7}]
    S: [{"T": "error", "code": 402, "msg": "auth failed"}]
"""

import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgpack
from alpaca.data.live.crypto import CryptoDataStream
from websockets.exceptions import WebSocketException
from websockets.legacy.client import WebSocketClientProtocol
from websockets.legacy.exceptions import InvalidStatusCode, RedirectHandshake

from crypto_predict.errors import RefusedKeys, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, QuoteReceived
from crypto_predict.sources.alpaca import EXCHANGE
from crypto_predict.sources.alpaca.rows import read_candle, read_quote
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.sanitize import Sanitizer
from crypto_predict.sources.network.session import host_of
from crypto_predict.sources.network.websocket import Broken, check_pause, of_error, refused, within
from crypto_predict.sources.network.wire import Malformed

ANSWER_WITHIN = 20.0  # seconds, for each step of the handshake, and for a ping
PING_AFTER = 5.0  # seconds without a message
SILENCE = 90.0  # seconds without a bar or quote of any pair, after which the exchange is asked what it sends
MOST_WAITING = 1_000  # messages that were received and not taken
LONGEST_MESSAGE = 2**18  # bytes, after decompression

_MINUTE = Interval.MINUTE_1
_HEARTBEAT_EVERY = 1.0  # seconds
_CLOSE_WITHIN = 0.3  # seconds, for each of four steps: the process has three to stop
_BAD_SYMBOL, _TOO_MANY_SYMBOLS, _INTERNAL = 400, 405, 500  # codes of error messages
_REFUSED_KEYS = frozenset({402, 408, 409, 411})  # auth failed, not enabled, insufficient subscription, of others

_log = logging.getLogger(__name__)
# The SDK logs the address, which may hold a password, and at DEBUG websockets logs every frame: the first has the keys.
logging.getLogger("alpaca.data.live.websocket").setLevel(logging.CRITICAL)
_frames_log = logging.getLogger(f"{__name__}.frames")
_frames_log.setLevel(logging.ERROR)


class AlpacaFeed:
    """Closed and revised minutes, and the top of the book, of Alpaca's own venue.

    A minute without trades has a bar if a quote came in it; without both it has none. `sends_quotes` turns false if the
    plan of the keys does not allow the quotes of so many pairs: the stream then sends bars only.
    """

    id = EXCHANGE.id
    sends_candles = True

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.sends_quotes = True
        self._settings, self._clock = settings, clock or Clock()
        self._host, self._rest = host_of(settings.stream_url), host_of(settings.api_url)
        self._sanitize = Sanitizer(settings.keys.values(), settings.stream_url)

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Connect once, and yield events until the connection ends. The rules are those of `CandleFeed.events`.

        Up to `MOST_WAITING` messages wait until they are taken. The end of the newest minute received, less a minute,
        is what `Interrupted.complete_until` says: the bars of all pairs come within a minute.
        """
        if not self._settings.keys:
            raise RefusedKeys(
                self.id,
                "its live stream requires keys: set ALPACA_API_KEY and ALPACA_SECRET_KEY, or use another source",
            )
        stream = _Stream(self._settings, self._clock, {EXCHANGE.symbol(pair): pair for pair in pairs})
        try:
            check_pause(self._rest)
            await stream.open(with_quotes=self.sends_quotes)
            while True:
                for event in stream.take():
                    yield event
                await stream.receive()
        except _Refusal as refusal:
            interrupted = self._refused(refusal, stream)
        except (Broken, Malformed, OSError, WebSocketException) as error:
            interrupted = self._failed(error, stream)
        finally:
            await stream.close()
        yield interrupted

    def _refused(self, refusal: "_Refusal", stream: "_Stream") -> Interrupted:
        """Return what an error message of the exchange means, or raise that."""
        answer = f'{self._host} answered {refusal.code} "{self._sanitize(refusal.message)}"'
        if refusal.code in _REFUSED_KEYS:
            names = " and ".join(self._settings.keys)
            advice = f"it does not accept the keys in {names}; correct them, or unset both"
            # `from None`, because the frames of the traceback hold the keys.
            raise RefusedKeys(self.id, f"{answer}: {advice}") from None
        if refusal.code == _BAD_SYMBOL and (named := stream.named_in(refusal.message)):
            raise UnusableHistory(self.id, [f"it does not have {pair}: {answer}" for pair in named]) from None
        if refusal.code == _TOO_MANY_SYMBOLS:
            if stream.has_bars:
                self.sends_quotes = False
                answer += ": its plan does not allow so many quotes; from now on only bars are asked for"
            else:
                answer += ": follow fewer pairs, or use another source"
        return Interrupted(answer, stream.complete_until, exchange_down=refusal.code == _INTERNAL)

    def _failed(self, error: Exception, stream: "_Stream") -> Interrupted:
        if isinstance(error, InvalidStatusCode):
            end = refused(error.status_code, error.headers, self._rest)
        else:
            end = of_error(error, "Alpaca", self._sanitize(str(error)), self._rest)
        return Interrupted(f"{self._host} {end.reason}", stream.complete_until, end.exchange_down)


class _Refusal(Exception):
    """The exchange has sent an error message."""

    def __init__(self, code: object, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


class _Connection(WebSocketClientProtocol):
    """The SDK's websocket, which raises where the SDK would go on."""

    async def handshake(self, *args: Any, **options: Any) -> None:
        """Connect. A redirect is refused: it could lead to any host, which would receive the keys."""
        try:
            await super().handshake(*args, **options)
        except RedirectHandshake:
            raise Broken("has moved; check ALPACA_STREAM_URL") from None

    async def recv(self) -> str | bytes:
        """Return a message for the handshake of the SDK, which does not check it."""
        message = await super().recv()
        _read(message)
        return message

    async def receive(self) -> list[dict[str, Any]]:
        """Return the objects of the next message."""
        if len(self.messages) >= MOST_WAITING:
            raise Broken(f"has sent {MOST_WAITING:,} messages that were not taken yet; this machine is too slow")
        return _read(await super().recv())


class _Stream(CryptoDataStream):
    """One connection. Its handlers collect the events of one message."""

    _ws: Any  # the SDK declares None; a `_Connection` once connected

    def __init__(self, settings: Settings, clock: Clock, pairs: Mapping[str, Pair]) -> None:
        super().__init__(
            settings.keys["ALPACA_API_KEY"],
            settings.keys["ALPACA_SECRET_KEY"],
            raw_data=True,
            url_override=settings.stream_url,
            websocket_params={
                "create_protocol": _Connection,
                "logger": _frames_log,
                "open_timeout": None,  # `within` bounds each step
                "ping_interval": None,  # `receive` sends pings
                "close_timeout": _CLOSE_WITHIN,
                "max_queue": MOST_WAITING,
                "max_size": LONGEST_MESSAGE,
            },
        )
        self.has_bars = False  # the exchange has confirmed the subscription
        self._clock, self._pairs = clock, pairs  # pairs by symbol
        self._began = clock.now()
        self._newest: datetime | None = None  # opening of the newest bar received
        self._events: list[FeedEvent] = []
        self._subscribed: dict[str, Any] | None = None  # what the exchange has confirmed last
        self._is_confirmed = False  # once more, since the last heartbeat
        self._data_at = self._beat_at = float("-inf")  # seconds on the monotonic clock

    @property
    def complete_until(self) -> datetime:
        """The instant (UTC) before which no bar is missing."""
        # An opening is the close of the minute before. A bar of the future is an error of the exchange.
        return self._began if self._newest is None else min(self._newest, self._clock.now())

    def named_in(self, message: str) -> list[Pair]:
        """Return the pairs that a message names."""
        words = set(re.findall(r"[A-Z0-9/]+", message))
        return [pair for symbol, pair in self._pairs.items() if symbol in words]

    async def open(self, *, with_quotes: bool) -> None:
        """Connect, authenticate and subscribe."""
        try:
            async with within(self._clock, ANSWER_WITHIN, "accept the connection"):
                await self._connect()
            async with within(self._clock, ANSWER_WITHIN, "answer to the keys"):
                await self._auth()
        except (LookupError, ValueError):  # as the SDK reads another greeting
            raise Malformed("an unexpected answer in the handshake") from None
        self.subscribe_bars(self._add_bar, *self._pairs)
        self.subscribe_updated_bars(self._add_updated_bar, *self._pairs)
        if missing := set(self._pairs) - await self._confirmed("bars"):
            raise UnusableHistory(EXCHANGE.id, [f"its stream does not have {symbol}" for symbol in sorted(missing)])
        self.has_bars = True
        if with_quotes:
            self.subscribe_quotes(self._add_quote, *self._pairs)
            await self._confirmed("quotes")
        self._data_at = self._clock.monotonic()

    async def receive(self) -> None:
        """Wait for the events of the next message, or for the answer to a ping."""
        try:
            async with self._clock.timeout(PING_AFTER):
                messages = await self._ws.receive()
        except TimeoutError:
            async with within(self._clock, ANSWER_WITHIN, "answer a ping"):
                await (await self._ws.ping())
        else:
            await self._dispatch_all(messages)
        if not self._events and self._clock.monotonic() - self._data_at >= SILENCE:
            # The market may be quiet, or the subscription lost: pings do not tell.
            if missing := set(self._pairs) - await self._confirmed("bars"):
                raise Broken(f"does not send the bars of {', '.join(sorted(missing))} any more")
            self._data_at, self._is_confirmed = self._clock.monotonic(), True

    def take(self) -> list[FeedEvent]:
        """Return the events that have come, with a heartbeat if it is time for one."""
        events, self._events = self._events, []
        now = self._clock.monotonic()
        if events:
            self._data_at = now
        for event in events:
            if isinstance(event, CandleClosed):
                self._newest = max(event.candle.open_time, self._newest or event.candle.open_time)
        if now - self._beat_at >= _HEARTBEAT_EVERY:
            self._beat_at = now
            events.append(Heartbeat(self._clock.now(), self._is_confirmed))
            self._is_confirmed = False
        return events

    async def _confirmed(self, channel: str) -> set[str]:
        """Ask for every channel that has a handler, and return the symbols that the exchange confirms for one."""
        self._subscribed = None
        async with within(self._clock, ANSWER_WITHIN, f"confirm the subscription of {channel}"):
            await self._send_subscribe_msg()
            while self._subscribed is None:
                await self._dispatch_all(await self._ws.receive())
        symbols = self._subscribed.get(channel)
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise Malformed(f"a subscription without a list of {channel}")
        return set(symbols)

    async def _dispatch_all(self, messages: Sequence[dict[str, Any]]) -> None:
        for message in messages:
            if message["T"] == "subscription":
                self._subscribed = message
            await self._dispatch(message)

    async def _add_bar(self, message: Any) -> None:
        self._events.append(CandleClosed(*self._read_bar(message)))

    async def _add_updated_bar(self, message: Any) -> None:
        self._events.append(CandleClosed(*self._read_bar(message)))

    async def _add_quote(self, message: Any) -> None:
        quote = read_quote(message, _time(message))
        self._events.append(QuoteReceived(EXCHANGE.id, self._pairs[message["S"]], quote))

    def _read_bar(self, message: dict[str, Any]) -> tuple[SeriesKey, Candle]:
        series = SeriesKey(EXCHANGE.id, self._pairs[message["S"]], _MINUTE)
        return series, read_candle(message, _time(message))


def _read(message: object) -> list[dict[str, Any]]:
    """Return the objects of a message.

    Raises:
        Malformed: It is not a list of objects in msgpack.
        _Refusal: It is an error of the exchange.
    """
    try:
        messages = msgpack.unpackb(message) if isinstance(message, bytes) else None
    except ValueError:
        messages = None
    if not isinstance(messages, list):
        raise Malformed("no list in msgpack")
    for entry in messages:
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("T"), str)
            or not isinstance(entry.get("S", ""), str)
        ):
            raise Malformed("no list of objects with a type 'T'")
        if entry["T"] == "error":
            raise _Refusal(entry.get("code"), str(entry.get("msg")))
    return messages


def _time(message: Mapping[str, object]) -> datetime:
    stamp = message.get("t")
    if not isinstance(stamp, msgpack.Timestamp):
        raise Malformed("'t' is missing or not a timestamp")
    try:
        time: datetime = stamp.to_datetime()
    except (OverflowError, ValueError):
        raise Malformed("'t' is out of range") from None
    return time
