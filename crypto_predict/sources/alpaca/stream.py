"""Alpaca's live bars and quotes, with both keys.

Wire format: msgpack in binary messages, each a list; ``t`` is a timestamp of msgpack::

    < [{"T": "success", "msg": "connected"}]
    > {"action": "auth", "key": "…", "secret": "…"}
    < [{"T": "success", "msg": "authenticated"}]
    > {"action": "subscribe", "bars": ["BTC/USD"], "updatedBars": ["BTC/USD"]}
    < [{"T": "subscription", "bars": ["BTC/USD"], "updatedBars": ["BTC/USD"], "quotes": [], …}]
    < [{"T": "b", "S": "BTC/USD", "t": …, "o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 0.5, "n": 3, "vw": 1.5}]
    < [{"T": "u", …}]  a bar that was sent before, with trades that came late
    < [{"T": "q", "S": "BTC/USD", "t": …, "bp": 1.5, "bs": 0.5, "ap": 1.6, "as": 0.7}]
    < [{"T": "error", "code": 402, "msg": "auth failed"}]

A minute without trades has a bar if a quote came in it; without both it has none. The bars of all pairs come within a
minute. The SDK is not used: it connects again after an error without saying so, which leaves a hole, waits for a mute
exchange for ever, and logs and drops errors that the exchange sends after the handshake.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import msgpack
from websockets.asyncio.client import ClientConnection

from crypto_predict.errors import RefusedKeys, UnusableHistory
from crypto_predict.market import Pair
from crypto_predict.market.events import QuoteReceived
from crypto_predict.sources.alpaca import EXCHANGE
from crypto_predict.sources.alpaca.rest import read_candle, read_quote
from crypto_predict.sources.network.stream import Broken, Feed, Stream
from crypto_predict.sources.network.wire import Malformed

SILENCE = 90.0  # seconds without a bar or quote of any pair, after which the exchange is asked what it sends

_BAD_SYMBOL, _TOO_MANY_SYMBOLS, _INTERNAL = 400, 405, 500  # codes of error messages
_REFUSED_KEYS = frozenset({402, 408, 409, 411})  # auth failed, not enabled, insufficient subscription, of others


class _Stream(Stream):
    exchange = EXCHANGE
    sends_candles, sends_quotes = True, True
    headers: ClassVar = {"Content-Type": "application/msgpack"}
    ping_every = 5

    def __init__(self, feed: Feed, pairs: Mapping[str, Pair]) -> None:
        if not feed.settings.keys:
            advice = f"set {' and '.join(EXCHANGE.keys)}, or use another source"
            raise RefusedKeys(feed.id, f"its live stream requires keys: {advice}")
        super().__init__(feed, pairs)
        self._has_bars = False  # the exchange has confirmed the subscription
        self._begun = self.clock.now()
        self._newest: datetime | None = None  # opening of the newest bar received
        self._data_at = 0.0  # seconds on the monotonic clock

    def complete_until(self) -> datetime:
        # An opening is the close of the minute before. A bar of the future is an error of the exchange.
        return self._begun if self._newest is None else min(self._newest, self.clock.now())

    async def subscribe(self, websocket: ClientConnection, symbols: Sequence[str]) -> None:
        """Authenticate and subscribe. A pair whose bars are not confirmed is one that the exchange does not have."""
        greeting = await self.answer("accept the connection")
        key, secret = (self.feed.settings.keys[name] for name in EXCHANGE.keys)
        login = msgpack.packb({"action": "auth", "key": key, "secret": secret})
        authenticated = await self.request(websocket, login, "answer to the keys")
        if (greeting.get("msg"), authenticated.get("msg")) != ("connected", "authenticated"):
            raise Malformed("an unexpected answer in the handshake")
        if missing := set(symbols) - await self._confirmed(websocket, "bars", "updatedBars"):
            raise UnusableHistory(EXCHANGE.id, [f"its stream does not have {symbol}" for symbol in sorted(missing)])
        self._has_bars = True
        if self.feed.sends_quotes:
            await self._confirmed(websocket, "quotes")
        self._data_at = self.clock.monotonic()

    async def ping(self, websocket: ClientConnection) -> None:
        """Send a ping, or the subscription if no data comes: the market may be quiet, or the subscription lost."""
        if self.clock.monotonic() - self._data_at < SILENCE:
            await super().ping(websocket)
            return
        if missing := set(self.pairs) - await self._confirmed(websocket, "bars", "updatedBars"):
            raise Broken(f"does not send the bars of {', '.join(sorted(missing))} any more")
        self._data_at, self.is_confirmed = self.clock.monotonic(), True

    def take(self, frame: str | bytes) -> object:
        answer = None
        for message in _objects(frame):
            kind, pair = message["T"], self.pairs.get(message.get("S", ""))
            if kind == "error":
                raise self._error(message.get("code"), str(message.get("msg")))
            if kind in {"success", "subscription"}:
                answer = message
            elif kind in {"b", "u"} and pair is not None:
                candle = read_candle(message, _time(message))
                self.put_minute(pair, candle)
                self._newest = max(candle.open_time, self._newest or candle.open_time)
                self._data_at = self.clock.monotonic()
            elif kind == "q" and pair is not None:
                self.put(QuoteReceived(EXCHANGE.id, pair, read_quote(message, _time(message))))
                self._data_at = self.clock.monotonic()
        return answer

    async def _confirmed(self, websocket: ClientConnection, *channels: str) -> set[str]:
        """Subscribe to all pairs, and return the symbols that the exchange confirms for the first channel."""
        request = {"action": "subscribe", **{channel: list(self.pairs) for channel in channels}}
        step = f"confirm the subscription of {channels[0]}"
        confirmed = (await self.request(websocket, msgpack.packb(request), step)).get(channels[0])
        if not isinstance(confirmed, list) or not all(isinstance(symbol, str) for symbol in confirmed):
            raise Malformed(f"a subscription without a list of {channels[0]}")
        return set(confirmed)

    def _error(self, code: object, message: str) -> Exception:
        """Return what an error message of the exchange means."""
        feed = self.feed
        answer = f'answered {code} "{feed.sanitize(message)}"'
        if code in _REFUSED_KEYS:
            advice = f"it does not accept the keys in {' and '.join(EXCHANGE.keys)}; correct them, or unset both"
            return RefusedKeys(feed.id, f"{feed.host} {answer}: {advice}")
        words = set(re.findall(r"[A-Z0-9/]+", message))
        if code == _BAD_SYMBOL and (named := [pair for symbol, pair in self.pairs.items() if symbol in words]):
            return UnusableHistory(feed.id, [f"it does not have {pair}: {feed.host} {answer}" for pair in named])
        if code == _TOO_MANY_SYMBOLS and self._has_bars:
            feed.sends_quotes = False  # also of later connections
            answer += ": its plan does not allow so many quotes; from now on only bars are asked for"
        elif code == _TOO_MANY_SYMBOLS:
            answer += ": follow fewer pairs, or use another source"
        return Broken(answer, exchange_down=code == _INTERNAL)


feed = partial(Feed, _Stream)


def _objects(frame: str | bytes) -> list[dict[str, Any]]:
    """Return the objects of a message."""
    try:
        messages = msgpack.unpackb(frame) if isinstance(frame, bytes) else None
    except ValueError:
        messages = None
    if not isinstance(messages, list):
        raise Malformed("no list in msgpack")
    for message in messages:
        if not (
            isinstance(message, dict) and isinstance(message.get("T"), str) and isinstance(message.get("S", ""), str)
        ):
            raise Malformed("no list of objects with a type 'T'")
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
