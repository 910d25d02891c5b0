"""Binance on the replay server: ``GET /api/v3/klines``, ``ticker/bookTicker``, and its streams."""

import asyncio
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from aiohttp import web
from hypothesis import strategies as st

from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.network.wire import milliseconds
from tests.support.replay.minutes import full_minutes
from tests.support.replay.motion import Candled, Happening, Motion, Quoted
from tests.support.replay.server import Handler
from tests.support.replay.streams import Connection, Frame, Shelf, StandIn, StreamFault, Streams, Topic, live_routes
from tests.support.replay.venue import TETHER, Venue

Market = Mapping[tuple[Pair, Interval], Sequence[Candle]]

# Those that the program asks for; the exchange has more.
_INTERVALS = {interval.label: interval for interval in Interval if interval is not Interval.MINUTE_10}
_SYMBOL = r"^[\w\-._&&[^a-z]]{1,50}$"  # as messages quote it: letters beyond ASCII, too
_LEGAL = re.compile(r"[^\Wa-z]([^\Wa-z]|[-.]){0,49}")
_MILLISECONDS = r"^[0-9]{1,20}$"
_ZERO = "0.00000000"
EMPTY = Quote(EPOCH, 0.0, 0.0, 0.0, 0.0)  # the book of a pair that is not traded for a while
_LARGEST_LIMIT = 1000


class _RefusedError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class BinanceExchange(StandIn):
    """Serves the candles of `market` (ascending candles by traded pair and interval) and `quotes`."""

    def __init__(
        self,
        market: Market | Motion,
        quotes: Mapping[Pair, Quote] | None = None,
        weight_a_minute: int = 6000,
        page: int = _LARGEST_LIMIT,
    ) -> None:
        super().__init__(market if isinstance(market, Motion) else Shelf(market, quotes))
        self.halted: set[Pair] = set()  # whose books are empty
        self._weight_a_minute = weight_a_minute
        self._page = page  # candles in one answer at most, whatever the limit of the request is
        self._minute, self.used = 0, 0  # minutes on the clock, and the weight used in this one

    def rest(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        return {"/api/v3/klines": self._klines, "/api/v3/ticker/bookTicker": self._book_ticker}

    def unknown(self) -> web.Response:
        """Return the answer to an unknown endpoint."""
        return web.Response(
            status=404, text="<html><body><h2>404 Not found</h2></body></html>", content_type="text/html"
        )

    async def _klines(self, request: web.Request) -> web.Response:
        return self._answered(request, 2, self._rows)

    async def _book_ticker(self, request: web.Request) -> web.Response:
        return self._answered(request, 2 if "symbol" in request.query else 4, self._tops)

    def _answered(self, request: web.Request, weight: int, answer: Callable[[web.Request], Any]) -> web.Response:
        """Return the answer or the refusal, with the weight that was used in this minute."""
        minute = int(time.time() // 60)
        self._minute, self.used = minute, weight + (self.used if minute == self._minute else 0)
        headers = {"X-MBX-USED-WEIGHT": str(self.used), "X-MBX-USED-WEIGHT-1M": str(self.used)}
        if self.used > self._weight_a_minute:
            wait = str(60 - int(time.time()) % 60)
            limit = f"current limit is {self._weight_a_minute} request weight per 1 MINUTE"
            advice = "Please use WebSocket Streams for live updates to avoid polling the API."
            error = {"code": -1003, "msg": f"Too much request weight used; {limit}. {advice}"}
            return web.json_response(error, status=429, headers={**headers, "Retry-After": wait})
        try:
            return web.json_response(answer(request), headers=headers)
        except _RefusedError as refusal:
            return web.json_response({"code": refusal.code, "msg": str(refusal)}, status=400, headers=headers)

    def _rows(self, request: web.Request) -> list[list[Any]]:
        given = _parameters(request, "symbol", "interval", "startTime", "endTime", "timeZone", "limit")
        symbol, label = self._symbol(_mandatory(given, "symbol")), _mandatory(given, "interval")
        if label not in _INTERVALS:
            raise _RefusedError(-1120, "Invalid interval.")
        if given.get("timeZone", "0") != "0":
            raise _RefusedError(-1130, "Data sent for parameter 'timeZone' is not valid.")
        limit = _number(given, "limit", 500)
        if not 1 <= limit <= _LARGEST_LIMIT:
            raise _RefusedError(-1130, "Data sent for parameter 'limit' is not valid.")
        limit = min(limit, self._page)
        first, last = _number(given, "startTime", 0), _number(given, "endTime", 10**15)
        if last < first:
            raise _RefusedError(-1128, "Combination of optional parameters invalid.")
        interval = _INTERVALS[label]
        candles = self._candles(symbol, interval, (first, last), limit, is_newest="startTime" not in given)
        return [kline(candle, interval) for candle in candles]

    def _candles(
        self, symbol: str, interval: Interval, openings: tuple[int, int], limit: int, *, is_newest: bool
    ) -> Sequence[Candle]:
        """Return at most `limit` candles that open from the first to the last of `openings` (ms), both included."""
        first, last = (EPOCH + min(opening, 10**14) * timedelta(milliseconds=1) for opening in openings)
        start, end = max(first, interval.floor(self.market.begin)), min(last, self.market.now())
        if is_newest:
            start = max(start, interval.floor(end) - (limit - 1) * interval.length)
        candles: list[Candle] = []
        while start <= end and len(candles) < limit:  # again where minutes are missing
            span = Span(start, min(end + timedelta(milliseconds=1), start + limit * interval.length))
            candles += self.market.candles(self.pairs[symbol], interval, span, with_open=True)
            start = span.end
        return candles[:limit]

    def _tops(self, request: web.Request) -> Any:
        given = _parameters(request, "symbol")
        if "symbol" in given:
            symbol = self._symbol(_mandatory(given, "symbol"))
            return self._top(symbol)
        return [self._top(symbol) for symbol in self.pairs if self.quote(symbol)]

    def _top(self, symbol: str) -> dict[str, str]:
        """Return the top of a book. That of a halted pair has zeros."""
        quote = EMPTY if self.pairs[symbol] in self.halted else self.quote(symbol)
        assert quote is not None
        names = ("bidPrice", "bidQty", "askPrice", "askQty")
        values = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        return {"symbol": symbol, **{name: _text(value) for name, value in zip(names, values, strict=True)}}

    def _symbol(self, text: str) -> str:
        if not _LEGAL.fullmatch(text):
            raise _RefusedError(-1100, f"Illegal characters found in parameter 'symbol'; legal range is '{_SYMBOL}'.")
        if not self.is_listed(text):
            raise _RefusedError(-1121, "Invalid symbol.")
        return text


class BinanceInMotion(BinanceExchange):
    """Serves `motion`: the candles up to now with the open one, the quotes, and the streams of both."""

    def __init__(self, motion: Motion) -> None:
        super().__init__(motion)
        self.streams = Streams(motion, self._encoded)

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoints. Without streams in the address, a client subscribes later."""
        paths = ("/stream", "/ws", "/ws/{streams:.+}")
        return live_routes(self, self.streams, self._talk, *paths)

    async def _talk(self, connection: Connection) -> None:
        request = connection.request
        if request.path == "/stream":
            connection.wrap = _combined
        names = request.match_info.get("streams") or request.query.get("streams", "")
        connection.topics.update(name for name in names.split("/") if name)
        async for text in connection.texts(self.market.clock, lambda: math.inf):
            connection.say(_subscribed(connection, json.loads(text)))

    def _encoded(self, happening: Happening) -> tuple[Topic, Frame] | None:
        symbol = self.symbols[happening.pair]
        if isinstance(happening, Candled):
            return f"{symbol.lower()}@kline_1m", candle_frame(symbol, happening)
        if isinstance(happening, Quoted):
            quote = EMPTY if happening.pair in self.halted else happening.quote
            return f"{symbol.lower()}@bookTicker", quote_frame(symbol, quote)
        return None


def shutting_down(seconds: float) -> StreamFault:
    """Announce the end of the server, and close the connection so many seconds later."""

    def fault(connection: Connection) -> None:
        connection.push(json.dumps({"e": "serverShutdown", "E": time.time_ns() // 10**6}))
        asyncio.get_running_loop().call_later(seconds, connection.close, 1001, "")

    return fault


def _combined(topic: Topic, frame: Frame) -> Frame:
    return f'{{"stream":"{topic}","data":{frame!s}}}'


def _subscribed(connection: Connection, message: Any) -> str:
    """Subscribe or unsubscribe, and return the answer."""
    change = {"SUBSCRIBE": connection.topics.update, "UNSUBSCRIBE": connection.topics.difference_update}
    if not isinstance(message, dict) or message.get("method") not in change:
        return json.dumps({"error": {"code": 2, "msg": "Invalid request: unknown method"}})
    change[message["method"]](message["params"])
    return json.dumps({"result": None, "id": message.get("id")})


def candle_frame(symbol: str, candled: Candled) -> str:
    row = kline(candled.candle, Interval.MINUTE_1)
    trades, minute = row[8], row[0] // 60_000
    first, last = (minute * 100, minute * 100 + trades - 1) if trades else (-1, -1)
    values = {
        "t": row[0],
        "T": row[6],
        "s": symbol,
        "i": "1m",
        "f": first,
        "L": last,
        "o": row[1],
        "c": row[4],
        "h": row[2],
        "l": row[3],
        "v": row[5],
        "n": trades,
        "x": candled.is_closed,
        "q": row[7],
        "V": row[9],
        "Q": row[10],
        "B": "0",
    }
    message = {"e": "kline", "E": milliseconds(candled.time), "s": symbol, "k": values}
    return json.dumps(message, separators=(",", ":"))


def quote_frame(symbol: str, quote: Quote) -> str:
    """Return the message of the top of the book in Binance's format, which does not have a time."""
    texts = {"b": quote.bid, "B": quote.bid_size, "a": quote.ask, "A": quote.ask_size}
    message = {"u": milliseconds(quote.time), "s": symbol, **{name: _text(value) for name, value in texts.items()}}
    return json.dumps(message, separators=(",", ":"))


def kline(candle: Candle, interval: Interval) -> list[Any]:
    """Return a candle in Binance's format; a volume that the candle does not have is zero."""
    opening = milliseconds(candle.open_time)
    return [
        opening,
        *(_text(value) for value in candle[1:6]),
        opening + interval.seconds * 1000 - 1,
        _text(candle.quote_volume),
        candle.trades or 0,
        _text(candle.taker_base_volume),
        _text(candle.taker_quote_volume),
        "0",
    ]


def _text(value: float | None) -> str:
    return _ZERO if value is None else f"{value:.8f}"


def _parameters(request: web.Request, *names: str) -> Mapping[str, str]:
    given = request.query
    if len(given) > len(set(given)):
        raise _RefusedError(-1101, "Duplicate values for a parameter detected.")
    if len(given) > len(names):
        raise _RefusedError(-1101, f"Too many parameters; expected '{len(names)}' and received '{len(given)}'.")
    if unread := set(given) - set(names):
        read = len(given) - len(unread)
        message = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(given)}'."
        raise _RefusedError(-1104, message)
    return given


def _mandatory(given: Mapping[str, str], name: str) -> str:
    if not given.get(name):
        raise _RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return given[name]


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    if name not in given:
        return default
    if not given[name]:
        raise _RefusedError(-1105, f"Parameter '{name}' was empty.")
    if not re.fullmatch(_MILLISECONDS, given[name]):
        message = f"Illegal characters found in parameter '{name}'; legal range is '{_MILLISECONDS}'."
        raise _RefusedError(-1100, message)
    return int(given[name])


VENUE = Venue(
    exchange=EXCHANGE,
    minutes=full_minutes,
    market=lambda candles, interval, rows, quote: BinanceExchange(
        {(TETHER, interval): candles}, {TETHER: quote} if quote else {}, page=rows
    ),
    row=lambda candle: kline(candle, Interval.MINUTE_1),
    rows_changed=lambda answer, change: change(answer),
    refusal=lambda message: {"code": -1000, "msg": message},
    cuts=st.integers(EXCHANGE.page // 10, EXCHANGE.page).map(
        lambda page: lambda candles: BinanceExchange({(TETHER, Interval.MINUTE_1): candles}, page=page)
    ),
    live=BinanceInMotion,
    stream_path="",
)
