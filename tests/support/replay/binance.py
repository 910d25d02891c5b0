"""Binance on the replay server: ``GET /api/v3/klines``, ``ticker/bookTicker``, ``ping`` and ``time``."""

from __future__ import annotations

import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from crypto_predict.market import Candle, Interval, Pair, Quote
from crypto_predict.sources.symbols import BINANCE
from crypto_predict.sources.wire import milliseconds

Market = Mapping[tuple[Pair, Interval], Sequence[Candle]]

# Those that the program asks for; the exchange has more.
_INTERVALS = {interval.label: interval for interval in Interval if interval is not Interval.MINUTE_10}
_SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
_MILLISECONDS = r"^[0-9]{1,20}$"
_ZERO = "0.00000000"
_LARGEST_LIMIT = 1000


class _RefusedError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class BinanceExchange:
    """Serves the candles of `market` (ascending candles by traded pair and interval) and `quotes`."""

    def __init__(
        self,
        market: Market,
        quotes: Mapping[Pair, Quote] | None = None,
        weight_a_minute: int = 6000,
        page: int = _LARGEST_LIMIT,
    ) -> None:
        self._market = {(BINANCE.symbol(pair), interval): candles for (pair, interval), candles in market.items()}
        self._openings = {key: [milliseconds(each.open_time) for each in self._market[key]] for key in self._market}
        self._quotes = {BINANCE.symbol(pair): quote for pair, quote in (quotes or {}).items()}
        self._symbols = {symbol for symbol, _ in self._market} | set(self._quotes)
        self._weight_a_minute = weight_a_minute
        self._page = page  # candles in one answer at most, whatever the limit of the request is
        self._minute, self.used = 0, 0  # minutes on the clock, and the weight used in this one

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoints."""
        return [
            web.get("/api/v3/klines", self._klines),
            web.get("/api/v3/ticker/bookTicker", self._book_ticker),
            web.get("/api/v3/ping", self._ping),
            web.get("/api/v3/time", self._time),
        ]

    def unknown(self) -> web.Response:
        """Return the answer to an unknown endpoint."""
        return web.Response(
            status=404, text="<html><body><h2>404 Not found</h2></body></html>", content_type="text/html"
        )

    async def _klines(self, request: web.Request) -> web.Response:
        return self._answered(request, 2, self._found)

    async def _book_ticker(self, request: web.Request) -> web.Response:
        return self._answered(request, 2 if "symbol" in request.query else 4, self._tops)

    async def _ping(self, request: web.Request) -> web.Response:
        return self._answered(request, 1, _pong)

    async def _time(self, request: web.Request) -> web.Response:
        return self._answered(request, 1, _now)

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

    def _found(self, request: web.Request) -> list[list[Any]]:
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
        openings = self._openings.get((symbol, interval), [])
        begin, end = bisect_left(openings, first), bisect_right(openings, last)  # a start and an end are included
        begin, end = (begin, min(end, begin + limit)) if "startTime" in given else (max(begin, end - limit), end)
        return [kline(candle, interval) for candle in self._market.get((symbol, interval), ())[begin:end]]

    def _tops(self, request: web.Request) -> Any:
        given = _parameters(request, "symbol")
        if "symbol" in given:
            return _top(symbol := self._symbol(_mandatory(given, "symbol")), self._quotes[symbol])
        return [_top(symbol, quote) for symbol, quote in self._quotes.items()]

    def _symbol(self, text: str) -> str:
        if not re.fullmatch(_SYMBOL, text):
            raise _RefusedError(-1100, f"Illegal characters found in parameter 'symbol'; legal range is '{_SYMBOL}'.")
        if text not in self._symbols:
            raise _RefusedError(-1121, "Invalid symbol.")
        return text


def _pong(request: web.Request) -> dict[str, Any]:
    _parameters(request)
    return {}


def _now(request: web.Request) -> dict[str, Any]:
    _parameters(request)
    return {"serverTime": time.time_ns() // 10**6}


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


def _top(symbol: str, quote: Quote) -> dict[str, str]:
    names = ("bidPrice", "bidQty", "askPrice", "askQty")
    values = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
    return {"symbol": symbol, **{name: _text(value) for name, value in zip(names, values, strict=True)}}


def _text(value: float | None) -> str:
    return _ZERO if value is None else f"{value:.8f}"


def _parameters(request: web.Request, *known: str) -> Mapping[str, str]:
    given = request.query
    if len(given) > len(set(given)):
        raise _RefusedError(-1101, "Duplicate values for a parameter detected.")
    if len(given) > len(known):
        raise _RefusedError(-1101, f"Too many parameters; expected '{len(known)}' and received '{len(given)}'.")
    if unread := set(given) - set(known):
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
