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
from collections.abc import Mapping, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection

from crypto_predict.sources.network.trades import Refused, TradeFeed, TradeStream
from crypto_predict.sources.network.wire import Malformed, decimal, instant, whole
from crypto_predict.sources.poloniex import EXCHANGE

_CHANNEL = "trades"


class _Stream(TradeStream):
    exchange = EXCHANGE
    requests_a_second = 100  # a fifth of what the exchange allows one connection

    def subscription(self, symbols: Sequence[str]) -> Mapping[str, object]:
        return {"event": "subscribe", "channel": [_CHANNEL], "symbols": symbols}

    async def ping(self, websocket: ClientConnection) -> asyncio.Future[Any]:
        await websocket.send('{"event":"ping"}')
        return asyncio.get_running_loop().create_future()

    def take(self, message: Mapping[str, object]) -> object:
        event = message.get("event")
        if event == "error":
            text = str(message.get("message"))
            lower = text.lower()
            raise Refused(text, is_maintenance="maintenance" in lower, is_repetition="already subscribed" in lower)
        if event == "pong" and self.pong is not None and not self.pong.done():
            self.pong.set_result(None)
        elif event == "subscribe":
            return message.get("symbols", self.batch)
        elif event is None and message.get("channel") == _CHANNEL:
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
                self.trade(pair, time, price, size, number)


class PoloniexFeed(TradeFeed):
    """The live stream of Poloniex's spot market: its trades, of which candles are built."""

    stream = _Stream
