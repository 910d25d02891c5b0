"""Alpaca on the replay server: ``GET /v1beta3/crypto/us/bars`` and ``latest/quotes``."""

from __future__ import annotations

import base64
import binascii
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import Enum
from operator import attrgetter
from typing import Any

from aiohttp import web
from multidict import MultiMapping

from crypto_predict.market import Candle, Pair, Quote

_PARAMETERS = frozenset({"symbols", "timeframe", "start", "end", "limit", "page_token", "sort"})
_TIMEFRAME = re.compile(r"([1-9]|[1-5][0-9])Min|([1-9]|1[0-9]|2[0-3])Hour|1Day")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_opening = attrgetter("open_time")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


class Tokens(Enum):
    """The behaviour of page tokens."""

    FRESH = "a new token for each page but the last"
    REPEATED = "always the first token, with the second page"
    EMPTY = "an empty token, which requests the first page again"
    ENDLESS = "a new token for each page, and the last page for ever"


@dataclass(frozen=True, slots=True)
class Paging:
    """The pages into which the exchange divides its answers."""

    rows: Sequence[int] = (10_000,)  # of each page in turn, repeated; at most the `limit` of the request
    overlap: int = 0  # rows of the page before that each page repeats
    tokens: Tokens = Tokens.FRESH


_FAULTLESS = Paging()


class AlpacaExchange:
    """Serves the candles of `market` (ascending candles by pair and timeframe) and `quotes`."""

    def __init__(
        self,
        market: Mapping[tuple[Pair, str], Sequence[Candle]],
        paging: Paging = _FAULTLESS,
        quotes: Mapping[Pair, Quote] | None = None,
    ) -> None:
        self._market = {(str(pair), timeframe): candles for (pair, timeframe), candles in market.items()}
        self._quotes = {str(pair): quote for pair, quote in (quotes or {}).items()}
        self._paging = paging
        self._served = 0  # pages

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoints."""
        return [
            web.get("/v1beta3/crypto/us/bars", self._bars),
            web.get("/v1beta3/crypto/us/latest/quotes", self._latest_quotes),
        ]

    def unknown(self) -> web.Response:
        """Return the answer to an unknown endpoint."""
        return _refused(404, "endpoint not found.")

    async def _bars(self, request: web.Request) -> web.Response:
        try:
            question = _Question(request)
        except ValueError as error:
            return _refused(400, str(error))
        return web.json_response(self._page(list(self._found(question)), question))

    async def _latest_quotes(self, request: web.Request) -> web.Response:
        try:
            _check_names(request.query, frozenset({"symbols"}))
            symbols = _required(request.query, "symbols").split(",")
        except ValueError as error:
            return _refused(400, str(error))
        return web.json_response(
            {"quotes": {name: top(self._quotes[name]) for name in symbols if name in self._quotes}}
        )

    def _found(self, question: _Question) -> Iterator[tuple[str, Candle]]:
        """Yield symbol and candle, sorted by symbol and then by time."""
        for symbol in sorted(question.symbols):
            candles = self._market.get((symbol, question.timeframe), ())
            first = bisect_left(candles, question.start, key=_opening)
            found = candles[first : bisect_right(candles, question.end, key=_opening)]
            for candle in reversed(found) if question.descending else found:
                yield symbol, candle

    def _page(self, found: Sequence[tuple[str, Candle]], question: _Question) -> dict[str, Any]:
        rows = min(self._paging.rows[self._served % len(self._paging.rows)], question.limit)
        self._served += 1
        offset = question.offset
        if self._paging.tokens is Tokens.ENDLESS:
            offset = min(offset, max(0, len(found) - rows))
        bars: dict[str, list[dict[str, Any]]] = {}
        for symbol, candle in found[max(0, offset - self._paging.overlap) : offset + rows]:
            bars.setdefault(symbol, []).append(bar(candle))
        return {"bars": bars, "next_page_token": self._next_token(offset + rows, len(found), rows)}

    def _next_token(self, after: int, total: int, rows: int) -> str | None:
        if self._paging.tokens is Tokens.ENDLESS:
            return token(after if after < total else total + self._served)
        if after >= total:
            return None
        if self._paging.tokens is Tokens.EMPTY:
            return ""
        return token(rows if self._paging.tokens is Tokens.REPEATED else after)


class _Question:
    """The parameters of a request, as the documentation of the exchange defines them."""

    def __init__(self, request: web.Request) -> None:
        """Read the parameters.

        Raises:
            ValueError: A parameter is invalid; with the message of the exchange.
        """
        given = request.query
        _check_names(given, _PARAMETERS)
        self.symbols = _required(given, "symbols").split(",")
        self.timeframe = _matching(_TIMEFRAME, _required(given, "timeframe"), "timeframe")
        now = datetime.now(UTC)
        self.start = _instant(given.get("start"), "start", datetime.combine(now, time(), UTC))
        self.end = _instant(given.get("end"), "end", now)  # included, like start
        if self.end < self.start:
            raise ValueError("end should not be before start")
        self.limit = _limit(given.get("limit", "1000"))
        self.descending = _matching(re.compile("asc|desc"), given.get("sort", "asc"), "sort") == "desc"
        self.offset = _offset(given["page_token"]) if given.get("page_token") else 0


def bar(candle: Candle) -> dict[str, Any]:
    """Return a candle in Alpaca's format; a candle without a number of trades has no ``n``."""
    return {
        "t": f"{candle.open_time.isoformat()[:19]}Z",
        "o": candle.open,
        "h": candle.high,
        "l": candle.low,
        "c": candle.close,
        "v": candle.volume,
        **({} if candle.trades is None else {"n": candle.trades}),
        "vw": (candle.high + candle.low) / 2,
    }


def top(quote: Quote) -> dict[str, Any]:
    """Return a quote in Alpaca's format."""
    time = f"{quote.time:%Y-%m-%dT%H:%M:%S.%f}000Z"  # nanoseconds
    return {"t": time, "bp": quote.bid, "bs": quote.bid_size, "ap": quote.ask, "as": quote.ask_size}


def token(offset: int) -> str:
    """Return the page token for the bars from `offset` on: JSON in base 64, opaque to clients."""
    return base64.b64encode(json.dumps({"o": offset}).encode()).decode()


def _offset(text: str) -> int:
    try:
        return int(json.loads(base64.b64decode(text, validate=True))["o"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise ValueError("invalid page_token") from error


def _check_names(given: MultiMapping[str], known: frozenset[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise ValueError(f"unexpected query parameter(s): {', '.join(unknown)}")
    if repeated := sorted({name for name in given if len(given.getall(name)) > 1}):
        raise ValueError(f"repeated query parameter(s): {', '.join(repeated)}")


def _required(given: Any, name: str) -> str:
    if not given.get(name):
        raise ValueError(f"{name} is required")
    return str(given[name])


def _matching(pattern: re.Pattern[str], text: str, name: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"invalid {name}: {text}")
    return text


def _instant(text: str | None, name: str, default: datetime) -> datetime:
    if text is None:
        return default
    if _DAY.fullmatch(text):
        return datetime.fromisoformat(f"{text}T00:00:00Z")
    return datetime.fromisoformat(_matching(_INSTANT, text, name).upper())


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 10_000:
        raise ValueError("invalid limit: must be between 1 and 10000")
    return int(text)


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
