"""Binance's candles (klines) and quotes, through python-binance, without keys.

The SDK builds the address and the query. Paging, retries and checks are done here: the SDK's own paging asks for more
than it needs and sleeps between pages, and the SDK never asks again after an error.

Wire format::

    GET /api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=1715904000000&endTime=1715904059999&limit=1000
    [[1715904000000, "1.5", "1.5", "1.5", "1.5", "0.5", 1715904059999, "0.75", 3, "0.25", "0.375", "0"]]
      open time, open, high, low, close, volume, close time, quote volume, trades, taker volumes of base and of quote

    GET /api/v3/ticker/bookTicker?symbol=BTCUSDT
    {"symbol": "BTCUSDT", "bidPrice": "1.5", "bidQty": "0.5", "askPrice": "1.6", "askQty": "0.7"}

A start and an end are both included. An error is ``{"code": -1121, "msg": "Invalid symbol."}``.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from binance.client import Client

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Candle, Interval, Quote, Span
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.paging import forwards
from crypto_predict.sources.network.session import BoundedSession
from crypto_predict.sources.network.source import ExchangeSource
from crypto_predict.sources.network.wire import Malformed, decimal, instant, milliseconds, rows, whole

_BOOK = ("bidPrice", "bidQty", "askPrice", "askQty")


class Binance(ExchangeSource):
    """Candles and quotes of Binance's spot market."""

    exchange = EXCHANGE
    weights = 2, 2

    def __init__(self, settings: Settings, *args: Any, **options: Any) -> None:
        super().__init__(settings, *args, **options)
        self._client = _Client(settings, self.session)

    def received(self, headers: Mapping[str, str]) -> None:
        """Count the weight that this address has used by an answer, also where that is a refusal."""
        used = headers.get("X-MBX-USED-WEIGHT-1M", "")
        if re.fullmatch(r"[0-9]{1,9}", used):
            self.budget.counted(int(used))

    def _page(self, symbol: str, interval: Interval, span: Span) -> tuple[list[Candle], bool]:
        last = span.end - timedelta(microseconds=1)
        times = {"startTime": milliseconds(span.start), "endTime": milliseconds(last)}
        label = EXCHANGE.intervals[interval]
        answer = self._client.get_klines(symbol=symbol, interval=label, limit=EXCHANGE.page, **times)
        return [_read_row(row) for row in rows(answer, "candles", EXCHANGE.page)], False

    def _paged(self, ask: Callable[[Span], Sequence[Candle]], interval: Interval, span: Span) -> Iterator[Candle]:
        return forwards(self.id, ask, span, interval)

    def _quote(self, symbol: str) -> Quote:
        """Return the top of the book, with the time of its arrival on this machine: the exchange gives none."""
        answer = self._client.get_orderbook_ticker(symbol=symbol)
        if not isinstance(answer, dict) or answer.get("symbol") != symbol:
            raise Malformed(f"no quote of {symbol}")
        bid, bid_size, ask, ask_size = (decimal(answer.get(name), name) for name in _BOOK)
        if bid == 0 or ask == 0:
            raise UnusableHistory(self.id, [f"the book of {symbol} is empty: it is not traded now"])
        return Quote(datetime.now(UTC), bid, bid_size, ask, ask_size)


class _Client(Client):  # type: ignore[misc]  # python-binance has no types
    """The SDK's client with our session, and without the request that its construction makes."""

    def __init__(self, settings: Settings, session: BoundedSession) -> None:
        super().__init__(ping=False)
        self.API_URL = f"{settings.api_url}/api"
        self.session = session

    def _request(self, method: str, uri: str, signed: bool, force_params: bool = False, **options: Any) -> object:
        """Return the JSON of an answer.

        The SDK's method keeps the answer in an attribute, where another thread may replace it before it is read.
        """
        request = self._get_request_kwargs(method, signed, force_params, **options)
        return self.session.request(method, uri, **request).json()


def _read_row(row: object) -> Candle:
    if not isinstance(row, list) or len(row) < 11:
        raise Malformed("a candle that is not a list of at least 11 values")
    return read_candle([*row[:6], *row[7:11]])


def read_candle(values: Sequence[object]) -> Candle:
    """Return a candle: open time, four prices, volumes of base and of quote, trades, the same volumes of takers."""
    opening, *numbers, trades, taker_base, taker_quote = values
    names = ("open", "high", "low", "close", "volume", "quote volume")
    taker = decimal(taker_base, "taker base volume"), decimal(taker_quote, "taker quote volume")
    return Candle._make([instant(opening, "open time"), *map(decimal, numbers, names), whole(trades, "trades"), *taker])
