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
milliseconds later, both in milliseconds since 1970. Any number may be text. The ids of a pair's trades ascend. The
server drops a client that it has not heard of for 30 s. A pair without trades sends nothing, so a stream without ticks
may be a quiet market: the collector decides how long it waits.

Other channels have less. ``ticker`` has the last price alone, about once a second, and repeats it; the trades in
between are missing. ``candles_minute_1`` does not say which message of a minute is the last one.

A refused subscription may be answered with "Subscription failed" or "Bad request", which name no pair: the symbols are
halved until the refused ones are alone.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from websockets.asyncio.client import ClientConnection

from crypto_predict.market.events import TickReceived
from crypto_predict.sources.network.stream import Feed, Stream
from crypto_predict.sources.network.wire import Malformed, decimal, instant, json_object, whole
from crypto_predict.sources.poloniex import EXCHANGE

_CHANNEL = "trades"


class _Stream(Stream):
    exchange = EXCHANGE
    requests_a_second = 100  # a fifth of what the exchange allows one connection
    ping_every = 15

    def subscription(self, symbols: Sequence[str]) -> Mapping[str, object]:
        return {"event": "subscribe", "channel": [_CHANNEL], "symbols": symbols}

    async def ping(self, websocket: ClientConnection) -> None:
        await self.request(websocket, '{"event":"ping"}', "answer a ping")

    def take(self, frame: str | bytes) -> object:
        message = json_object(frame)
        event = message.get("event")
        if event == "error":
            text = str(message.get("message"))
            lower = text.lower()
            raise self.refusal(text, exchange_down="maintenance" in lower, is_repetition="already subscribed" in lower)
        if event == "pong":
            return event
        if event == "subscribe":
            return message.get("symbols", True)
        if event is None and message.get("channel") == _CHANNEL:
            self._take_trades(message.get("data"))
        # Other channels are not subscribed to.
        return None

    def _take_trades(self, data: object) -> None:
        if not isinstance(data, list):
            raise Malformed("no list of trades")
        for trade in data:
            if not isinstance(trade, dict) or not isinstance(trade.get("symbol"), str):
                raise Malformed("a trade without a symbol")
            if (pair := self.pairs.get(trade["symbol"])) is not None:
                time, number = instant(trade.get("createTime"), "createTime"), whole(trade.get("id"), "id")
                price, size = (decimal(trade.get(name), name) for name in ("price", "quantity"))
                if self.is_subscribed:  # before the first heartbeat nobody expects all trades of a pair
                    self.put(TickReceived(EXCHANGE.id, pair, time, price, size, number))


feed = partial(Feed, _Stream)
