"""Poloniex on the replay server: ``GET /markets/{symbol}/candles``, ``ticker24h``, and the streams.

It does what recordings of the exchange show. A trade is sent some milliseconds after it. The times of a ticker are
those of the last trade and of its push, days ago for a quiet pair. A pair without trades sends nothing. An unknown
symbol has one of two codes and any status of HTTP, and a refused subscription does not name what is wrong with it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from aiohttp import web
from hypothesis import strategies as st

from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span
from crypto_predict.sources.network.wire import milliseconds
from crypto_predict.sources.poloniex import EXCHANGE
from tests.support.replay.minutes import full_minutes
from tests.support.replay.motion import Happening, Motion, Trade, Traded
from tests.support.replay.server import Handler, check_names
from tests.support.replay.streams import Connection, Frame, Shelf, StandIn, Streams, Topic, live_routes
from tests.support.replay.venue import TETHER, Venue

_PARAMETERS = frozenset({"interval", "startTime", "endTime", "limit"})
_DEFAULT_LIMIT, _LARGEST_LIMIT = 100, 500
_SILENCE = 30  # seconds, after which a client is dropped
_BAD_PARAMETER, _NOT_FOUND = 21356, 404  # codes in the body of a refusal
UNKNOWN_SYMBOL = ((400, 24101), (200, 24101), (404, 10040), (200, 10040))  # status of HTTP and code, in turn
DELAY = timedelta(milliseconds=9)  # from a trade to its message
PUSHED = timedelta(seconds=3, milliseconds=423)  # from a trade to the message of a ticker over REST


@dataclass(frozen=True, slots=True)
class Answers:
    """How the exchange cuts and arranges its answers."""

    rows: Sequence[int] = (_LARGEST_LIMIT,)  # of each answer in turn, repeated; at most the `limit` of the request
    oldest_first: bool = False  # where a span has more candles than one answer: which ones fill it
    descending: bool = False
    repeated: int = 0  # rows at the end of an answer that repeat its first rows
    numbers: type[str] | type[float] = str  # how prices and times are written


_USUAL = Answers()


class PoloniexExchange(StandIn):
    """Serves the candles of `market` (ascending, by pair and interval) and the newest quotes."""

    separator = "_"

    def __init__(
        self,
        market: Mapping[tuple[Pair, Interval], Sequence[Candle]] | Motion,
        answers: Answers = _USUAL,
        quotes: Mapping[Pair, Quote] | None = None,
    ) -> None:
        super().__init__(market if isinstance(market, Motion) else Shelf(market, quotes))
        self._answers = answers
        self._served = 0  # answers with candles
        self._unknown = count()  # answers that the symbol is unknown

    def rest(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        return {"/markets/{symbol}/candles": self._candles, "/markets/{symbol}/ticker24h": self._ticker}

    def unknown(self) -> web.Response:
        """Return the answer to an unknown endpoint."""
        return _refused(404, _NOT_FOUND, "Not Found")

    async def _candles(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        if not self.is_listed(symbol):
            return self._unknown_symbol()
        try:
            question = _Question(request)
        except ValueError as error:
            return _refused(400, _BAD_PARAMETER, str(error))
        return web.json_response(self._page(self._candles_in(symbol, question), question))

    def _candles_in(self, symbol: str, question: "_Question") -> Sequence[Candle]:
        interval, now = Interval[question.interval], milliseconds(self.market.now())
        last = now if question.end is None else min(question.end, now)
        length = interval.seconds * 1000
        first = max(last - question.limit * length if question.start is None else question.start, 0)
        first = max(first, milliseconds(interval.floor(self.market.begin)))
        span = Span(EPOCH + timedelta(milliseconds=first), EPOCH + timedelta(milliseconds=last + 1))
        return self.market.candles(self.pairs[symbol], interval, span, with_open=True)

    async def _ticker(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        quote = self.quote(symbol)
        if quote is None:
            return self._unknown_symbol()
        if request.query:
            return _refused(400, _BAD_PARAMETER, f"Unexpected parameter: {next(iter(request.query))}")
        last = self.market.last_trade(self.pairs[symbol], quote.time)
        traded_at = quote.time - timedelta(days=2) if last is None else last.time
        return web.json_response(ticker(symbol, quote, traded_at, self._answers.numbers))

    def _unknown_symbol(self) -> web.Response:
        status, code = UNKNOWN_SYMBOL[next(self._unknown) % len(UNKNOWN_SYMBOL)]
        return _refused(status, code, "Invalid symbol")

    def _page(self, candles: Sequence[Candle], question: "_Question") -> list[list[Any]]:
        most = min(self._answers.rows[self._served % len(self._answers.rows)], question.limit)
        self._served += 1
        # Without an end, the newest candles are returned, however far the start is in the past.
        newest = question.end is None or not self._answers.oldest_first
        page = candles[max(0, len(candles) - most) :] if newest else candles[:most]
        rows = [row(candle, question.interval, self._answers.numbers) for candle in page]
        rows += rows[: self._answers.repeated]
        return rows[::-1] if self._answers.descending else rows


class PoloniexInMotion(PoloniexExchange):
    """Serves `motion`: the candles up to now with the open one, the quotes, and the channel ``trades``."""

    def __init__(self, motion: Motion) -> None:
        super().__init__(motion)
        self.streams = Streams(motion, self._encoded)
        self.received: list[str] = []  # messages of clients
        self.replies: list[str] = []  # to the next subscriptions, in place of the true ones
        self.refused: set[str] = set()  # symbols that it has, but does not stream; with "all" it streams nothing
        self.refusal = "Subscription failed"  # {} in it is replaced by the symbol

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoints."""
        return live_routes(self, self.streams, self._talk, "/ws/public")

    async def _talk(self, connection: Connection) -> None:
        async for text in connection.texts(self.market.clock, lambda: _SILENCE):
            self.received.append(text)
            connection.say(self._reply(connection, text))

    def _reply(self, connection: Connection, text: str) -> str:
        try:
            message = json.loads(text)
            if message["event"] == "ping":
                return '{"event":"pong"}'
            if (message["event"], message["channel"]) == ("subscribe", ["trades"]):
                return self._subscribed(connection, message["symbols"])
        except (ValueError, TypeError, LookupError):
            pass
        return error_frame("Bad request")

    def _subscribed(self, connection: Connection, symbols: Sequence[str]) -> str:
        if self.replies:
            return self.replies.pop(0)
        for symbol in symbols:
            if not self.is_listed(symbol) or self.refused & {symbol, "all"}:
                return error_frame(self.refusal.format(symbol))
        topics = {f"trades {symbol}" for symbol in symbols}
        if connection.topics & topics:
            return error_frame("Already subscribed")
        connection.topics |= topics
        return json.dumps({"channel": "trades", "symbols": symbols, "event": "subscribe"}, separators=(",", ":"))

    def _encoded(self, happening: Happening) -> tuple[Topic, Frame] | None:
        if not isinstance(happening, Traded):
            return None
        symbol = self.symbols[happening.pair]
        return f"trades {symbol}", trade_frame(symbol, happening.trade, self._answers.numbers)


class _Question:
    """The parameters of a request for candles, as the documentation of the exchange defines them."""

    def __init__(self, request: web.Request) -> None:
        """Read the parameters; raise `ValueError` with the message of the exchange if one is invalid."""
        given = request.query
        check_names(given, _PARAMETERS)
        self.interval = given.get("interval", "")
        if self.interval not in Interval.__members__:
            raise ValueError("Invalid interval")
        self.start = _milliseconds(given, "startTime")
        self.end = _milliseconds(given, "endTime")  # included, like the start
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError("startTime must not be greater than endTime")
        limit = given.get("limit", str(_DEFAULT_LIMIT))
        if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= _LARGEST_LIMIT:
            raise ValueError(f"limit must be between 1 and {_LARGEST_LIMIT}")
        self.limit = int(limit)


def row(candle: Candle, interval: str, numbers: type[str] | type[float] = str) -> list[Any]:
    """Return a candle in Poloniex's format: low, high, open, close, then volumes and times."""
    opening = milliseconds(candle.open_time)
    closing = opening + Interval[interval].seconds * 1000 - 1
    prices = (candle.low, candle.high, candle.open, candle.close)
    volumes = (candle.quote_volume, candle.volume, candle.taker_quote_volume, candle.taker_base_volume)
    texts = [numbers(number or 0) for number in (*prices, *volumes)]
    return [*texts, candle.trades or 0, closing + 123, numbers(candle.close), interval, opening, closing]


def ticker(symbol: str, quote: Quote, traded_at: datetime, numbers: type[str] | type[float] = str) -> dict[str, Any]:
    """Return the ticker of a pair in Poloniex's format. All but the top of the book is of the last 24 hours.

    Its times are those of the last trade and of the message about it: none is that of the bid and ask.
    """
    closed, ts = milliseconds(traded_at), milliseconds(traded_at + PUSHED)
    return {
        "symbol": symbol,
        "open": "26053.33",
        "low": "26053.33",
        "high": "26798.02",
        "close": "26447.58",
        "quantity": "6116.210188",
        "amount": "161082122.88",
        "tradeCount": "134709",
        "startTime": str(ts - 86_400_000),
        "closeTime": str(closed),
        "displayName": symbol.replace("_", "/"),
        "dailyChange": "0.0151",
        "bid": numbers(quote.bid),
        "bidQuantity": numbers(quote.bid_size),
        "ask": numbers(quote.ask),
        "askQuantity": numbers(quote.ask_size),
        "ts": str(ts) if numbers is str else ts,
        "markPrice": "26444.11",
    }


def trade_values(symbol: str, trade: Trade, numbers: type[str] | type[float] = str) -> dict[str, Any]:
    """Return a trade in Poloniex's format. Trades of a pair have different times, which make their ids."""
    created = milliseconds(trade.time)
    return {
        "symbol": symbol,
        "amount": numbers(round(trade.price * trade.size, 8)),
        "quantity": numbers(trade.size),
        "takerSide": "buy" if trade.is_bought else "sell",
        "createTime": created,
        "price": numbers(trade.price),
        "id": str(created),
        "ts": milliseconds(trade.time + DELAY),
    }


def trade_frame(symbol: str, trade: Trade, numbers: type[str] | type[float] = str) -> str:
    values = trade_values(symbol, trade, numbers)
    return json.dumps({"channel": "trades", "data": [values]}, separators=(",", ":"))


def error_frame(message: str) -> str:
    return json.dumps({"event": "error", "message": message}, separators=(",", ":"))


def refusal(code: int, message: str) -> str:
    return f'{{"code":{code},"message":"{message}"}}'


def _milliseconds(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is not None and not re.fullmatch(r"[0-9]{1,13}", text):
        raise ValueError(f"Invalid {name}")
    return None if text is None else int(text)


def _refused(status: int, code: int, message: str) -> web.Response:
    return web.Response(status=status, text=refusal(code, message), content_type="application/json")


VENUE = Venue(
    exchange=EXCHANGE,
    minutes=full_minutes,
    market=lambda candles, interval, rows, quote: PoloniexExchange(
        {(TETHER, interval): candles}, Answers(rows=(rows,)), {TETHER: quote} if quote else {}
    ),
    row=lambda candle: row(candle, "MINUTE_1"),
    rows_changed=lambda answer, change: change(answer),
    refusal=lambda message: {"code": 500, "message": message},
    cuts=st.builds(
        Answers,
        rows=st.lists(st.integers(40, EXCHANGE.page - 30), min_size=1, max_size=4),
        oldest_first=st.booleans(),
        descending=st.booleans(),
        repeated=st.integers(0, 30),
        numbers=st.sampled_from((str, float)),
    ).map(lambda answers: lambda candles: PoloniexExchange({(TETHER, Interval.MINUTE_1): candles}, answers)),
    live=PoloniexInMotion,
    stream_path="/ws/public",
)
