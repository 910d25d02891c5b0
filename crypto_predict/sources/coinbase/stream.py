"""Coinbase's minutes, built from every trade as it happens, without keys.

Wire format::

    > {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]}
    < {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]}
    < {"type": "last_match", "trade_id": 645873011, "sequence": 79984236330, "time": "2024-05-17T12:01:02.340172Z",
       "product_id": "BTC-USD", "price": "65214.99", "size": "0.00151", "side": "sell", "maker_order_id": "…", …}
    < {"type": "match", "trade_id": 645873012, …}
    < {"type": "error", "message": "Failed to subscribe", "reason": "BTC-XYZ is not a valid product"}

``trade_id`` counts the trades of a pair one by one, ``side`` is that of the maker, and ``last_match`` is the newest
trade before the subscription. ``subscriptions`` lists all pairs of the connection. A client that does not subscribe
within 5 s is dropped, and further types of messages may come at any time. A pair without trades sends nothing: pings of
the websocket show that the connection is alive.

The channel ``ticker`` sends the top of the book with a trade only. In a quiet market it is old: quotes come from REST.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from crypto_predict.market.events import TickReceived
from crypto_predict.sources.coinbase import EXCHANGE
from crypto_predict.sources.network.stream import Feed, Stream
from crypto_predict.sources.network.wire import Malformed, decimal, json_object, moment, whole


class _Stream(Stream):
    exchange = EXCHANGE
    sends_candles = True
    requests_a_second = 4  # half of what the exchange allows
    ping_every = 5  # a quiet minute is whole with the first answer after its end

    def subscription(self, symbols: Sequence[str]) -> Mapping[str, object]:
        return {"type": "subscribe", "product_ids": symbols, "channels": ["matches"]}

    def take(self, frame: str | bytes) -> object:
        message = json_object(frame)
        match message.get("type"):
            case "match" | "last_match":
                self._take_trade(message)
            case "subscriptions":
                return _subscribed(message.get("channels"))
            case "error":
                raise self.refusal(f"{message.get('message')}: {message.get('reason')}")
        return None

    def every_second(self) -> None:
        for pair, candle in self.feed.minutes.whole(self.clock.monotonic()):
            self.put_minute(pair, candle)

    def _take_trade(self, trade: Mapping[str, object]) -> None:
        symbol = trade.get("product_id")
        if not isinstance(symbol, str):
            raise Malformed("a trade without a product")
        if (pair := self.pairs.get(symbol)) is not None:
            number, time = whole(trade.get("trade_id"), "trade_id"), moment(trade.get("time"), "time")
            price, size = (decimal(trade.get(name), name) for name in ("price", "size"))
            is_bought = trade.get("side") == "sell"
            self.feed.minutes.add(TickReceived(EXCHANGE.id, pair, time, price, size, number, is_bought))
            self.is_confirmed = True  # trades are data, although a quiet pair closes its minute late


feed = partial(Feed, _Stream)


def _subscribed(channels: object) -> list[object]:
    products = [
        channel.get("product_ids")
        for channel in (channels if isinstance(channels, list) else [None])
        if isinstance(channel, Mapping)
    ]
    if not products or not all(isinstance(symbols, list) for symbols in products):
        raise Malformed("subscriptions without lists of products")
    return [symbol for symbols in products if isinstance(symbols, list) for symbol in symbols]
