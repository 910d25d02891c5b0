"""Coinbase on the replay server: ``GET /products/{id}/candles``, ``book``, and the stream of ``matches``.

It does what its documentation and reports of its users say: rows come newest first, the open candle included, and some
that precede the start; a span of more than 300 candles is refused, and without both ends the newest are sent; an answer
may be empty although there are candles; a minute without trades does not exist. The stream begins with the last trade
of each pair, numbers the trades of a pair one by one, sends messages that nobody has subscribed to, and drops a client
that does not subscribe within 5 s.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from aiohttp import web
from hypothesis import strategies as st

from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span
from crypto_predict.sources.coinbase import EXCHANGE
from tests.support.replay.minutes import BTC, minutes
from tests.support.replay.motion import Happening, Motion, Quoted, Trade, Traded
from tests.support.replay.server import Handler
from tests.support.replay.streams import Connection, Frame, Shelf, StandIn, Streams, Topic, live_routes
from tests.support.replay.venue import Venue

_MOST = 300
_PRECEDING = 3  # rows
_SUBSCRIBE_WITHIN = 5  # seconds of this machine, which may be busy
_GRANULARITIES = {"60", "300", "900", "3600", "21600", "86400"}
_TOO_MANY = (
    "granularity too small for the requested time range. Count of aggregations requested exceeds 300. Reduce the range"
)


class CoinbaseExchange(StandIn):
    """Serves the ascending candles of `market`, in answers of at most `most`, and the quotes of its pairs.

    The first answer to a question is empty for the share `empty` of the questions, whatever the candles are.
    """

    separator = "-"

    def __init__(
        self,
        market: Mapping[tuple[Pair, Interval], Sequence[Candle]] | Motion,
        quotes: Mapping[Pair, Quote] | None = None,
        most: int = _MOST,
        empty: float = 0.0,
    ) -> None:
        self._random, self._empty, self._questions = Random(0), empty, set[str]()
        super().__init__(market if isinstance(market, Motion) else Shelf(market, quotes))
        self._most = most

    def unknown(self) -> web.Response:
        """Return the answer to an unknown endpoint."""
        return _refused(404, "Route not found")

    def rest(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        return {"/products/{symbol}/candles": self._candles, "/products/{symbol}/book": self._book}

    async def _candles(self, request: web.Request) -> web.Response:
        symbol, query = request.match_info["symbol"], request.query
        if not self.is_listed(symbol):
            return _refused(404, "NotFound")
        if query.get("granularity") not in _GRANULARITIES:
            return _refused(400, "Unsupported granularity")
        interval = Interval(timedelta(seconds=int(query["granularity"])))
        if "start" in query and "end" in query:
            try:
                first, last = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
            except ValueError:
                return _refused(400, "Invalid start")
            if (last - first) // interval.length >= _MOST:
                return _refused(400, _TOO_MANY)
        else:  # one end alone is ignored
            last = self.market.now()
            first = last - _MOST * interval.length
        preceding = first - _PRECEDING * interval.length
        span = Span(preceding, last + timedelta(microseconds=1))
        listed = self.market.candles(self.pairs[symbol], interval, span, with_open=True)
        candles = [candle for candle in listed if candle.trades != 0]
        if request.path_qs not in self._questions and self._random.random() < self._empty:
            candles = []
        self._questions.add(request.path_qs)
        return web.json_response([row(candle) for candle in reversed(candles[-min(self._most, _MOST) :])])

    async def _book(self, request: web.Request) -> web.Response:
        quote = self.quote(request.match_info["symbol"])
        if quote is None:
            return _refused(404, "NotFound")
        if request.query.get("level", "1") != "1":
            return _refused(400, "Invalid level")
        return web.json_response(book(quote))


class CoinbaseInMotion(CoinbaseExchange):
    """Serves `motion`: the candles up to now with the open one, the top of the book, and the channel ``matches``."""

    def __init__(self, motion: Motion) -> None:
        super().__init__(motion, empty=0.2)
        self.streams = Streams(motion, self._encoded)
        self.refused: set[str] = set()  # products that it has, but does not stream
        self.reason = "{} is not a valid product"  # of a refusal; {} is replaced by the product

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoints."""
        return live_routes(self, self.streams, self._talk, "/")

    async def _talk(self, connection: Connection) -> None:
        def silence() -> float:
            return math.inf if connection.topics else _SUBSCRIBE_WITHIN * max(1.0, self.market.clock.speed)

        async for text in connection.texts(self.market.clock, silence):
            self._reply(connection, text)

    def _reply(self, connection: Connection, text: str) -> None:
        try:
            request = json.loads(text)
            symbols, channels = request["product_ids"], request["channels"]
        except (ValueError, TypeError, LookupError):
            connection.say(error_frame("Failed to subscribe", "Malformed JSON"))
            return
        if request.get("type") != "subscribe" or channels != ["matches"]:
            connection.say(error_frame("Failed to subscribe", f"{channels} is not a valid channel"))
            return
        for symbol in symbols:
            if not self.is_listed(symbol) or symbol in self.refused:
                connection.say(error_frame("Failed to subscribe", self.reason.format(symbol)))
                return
        connection.topics |= set(symbols)
        for symbol in symbols:
            pair = self.pairs[symbol]
            if (trade := self.market.last_trade(pair, self.market.now())) is not None:
                connection.say(self.match(pair, trade, "last_match"))
        subscriptions = [{"name": "matches", "product_ids": sorted(connection.topics)}]
        connection.say(json.dumps({"type": "subscriptions", "channels": subscriptions}))

    def match(self, pair: Pair, trade: Trade, kind: str = "match") -> str:
        """Return the message of a trade."""
        number = self.market.trade_number(pair, trade)
        values = {
            "type": kind,
            "trade_id": number,
            "maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8",
            "taker_order_id": "132fb6ae-456b-4654-b4e0-d681ac05cea1",
            "side": "sell" if trade.is_bought else "buy",  # of the maker
            "size": f"{trade.size:.8f}",
            "price": repr(trade.price),
            "product_id": self.symbols[pair],
            "sequence": 3 * number,
            "time": f"{trade.time:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        return json.dumps(values)

    def _encoded(self, happening: Happening) -> tuple[Topic, Frame] | None:
        match happening:
            case Traded(pair, trade):
                return self.symbols[pair], self.match(pair, trade)
            case Quoted(pair, quote):
                kind = "heartbeat" if quote.time.second % 2 else "a new type"
                values = {"type": kind, "sequence": 90, "last_trade_id": 0, "product_id": self.symbols[pair]}
                return self.symbols[pair], json.dumps({**values, "time": f"{quote.time:%Y-%m-%dT%H:%M:%S.%fZ}"})
        return None


def row(candle: Candle) -> list[Any]:
    """Return a candle in Coinbase's format: its opening in seconds, low, high, open, close and volume."""
    opening = (candle.open_time - EPOCH) // timedelta(seconds=1)
    return [opening, candle.low, candle.high, candle.open, candle.close, candle.volume]


def book(quote: Quote) -> dict[str, Any]:
    """Return the top of a book in Coinbase's format. The last value of a level is the number of its orders."""
    return {
        "bids": [[repr(quote.bid), f"{quote.bid_size:.8f}", 2]],
        "asks": [[repr(quote.ask), f"{quote.ask_size:.8f}", 7]],
        "sequence": 79984236331,
        "auction_mode": False,
        "auction": None,
    }


def error_frame(message: str, reason: str) -> str:
    return json.dumps({"type": "error", "message": message, "reason": reason})


def bare_minutes(count: int) -> list[Candle]:
    """Return `count` minutes with the values that the exchange sends: without trades."""
    return [candle._replace(trades=None) for candle in minutes(count)]


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


VENUE = Venue(
    exchange=EXCHANGE,
    minutes=bare_minutes,
    market=lambda candles, interval, rows, quote: CoinbaseExchange(
        {(BTC, interval): candles}, {BTC: quote} if quote else {}, most=rows
    ),
    row=row,
    rows_changed=lambda answer, change: change(answer),
    refusal=lambda message: {"message": message},
    cuts=st.builds(
        lambda most, empty: lambda candles: CoinbaseExchange({(BTC, Interval.MINUTE_1): candles}, None, most, empty),
        most=st.integers(200, EXCHANGE.page),
        empty=st.sampled_from([0.0, 0.2, 1.0]),
    ),
    live=CoinbaseInMotion,
    stream_path="",
)
