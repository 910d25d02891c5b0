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

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from binance.client import Client

from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.market.ports import Dated
from crypto_predict.sources.binance.settings import BinanceSettings
from crypto_predict.sources.network.endpoint import Endpoint
from crypto_predict.sources.network.limits import Allowance, Bounds, RateBudget
from crypto_predict.sources.network.paging import closed, forwards
from crypto_predict.sources.network.retry import Failure, RetryPolicy
from crypto_predict.sources.network.session import BoundedSession
from crypto_predict.sources.network.wire import Malformed, decimal, instant, milliseconds, rows, whole
from crypto_predict.sources.symbols import BINANCE

Answer = TypeVar("Answer")

PAGE = 1000  # candles in one answer
WEIGHT_A_MINUTE = 5_400  # Binance allows 6000 for an address, and bans one that goes on
WEIGHT = 2  # of one request for candles or a quote

_INTERVALS = {
    Interval.MINUTE_1: "1m",
    Interval.MINUTE_5: "5m",
    Interval.HOUR_1: "1h",
    Interval.DAY_1: "1d",
}
_BOOK = ("bidPrice", "bidQty", "askPrice", "askQty")
_UNKNOWN_SYMBOL = -1121
_BOUNDS, _PRODUCTION = Bounds(), RetryPolicy()


class Binance:
    """Candles and quotes of Binance's spot market, from August 2017 on."""

    id = "binance"
    simulated = False
    intervals = frozenset(_INTERVALS)

    def __init__(self, settings: BinanceSettings, bounds: Bounds = _BOUNDS, policy: RetryPolicy = _PRODUCTION) -> None:
        self._bounds = bounds
        budget = RateBudget(WEIGHT_A_MINUTE)
        self._session = BoundedSession(policy, {}, settings.api_url, partial(_count_used, budget))
        self._client = _Client(settings, self._session)
        self._endpoint = Endpoint(self.id, settings.api_url, budget, policy)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], bounds: Bounds) -> Binance:
        """Open the source with the settings of `BinanceSettings.from_environ`. No connection is made yet."""
        return cls(BinanceSettings.from_environ(environ), bounds)

    @property
    def dated(self) -> Dated | None:
        """The time of the exchange's clock at its newest answer; None before the first one."""
        return self._session.dated

    def traded(self, pair: Pair) -> Pair:
        """Return the pair with USDT for USD, in which Binance does not trade.

        Raises:
            UnusableHistory: Binance cannot have the pair.
        """
        return BINANCE.traded(pair)

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """Return `limit` rounded down to the interval: the exchange trades day and night."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return every candle that opens in `span`, ascending, each opening once: the last copy wins.

        One page of candles is held at a time.

        Raises:
            SourceError: Binance cannot be reached, refuses or sends another format, or the history exceeds the bounds.
            UnusableHistory: Binance does not have the pair.
        """
        query = {"symbol": BINANCE.symbol(pair), "interval": _INTERVALS[interval], "limit": PAGE}
        allowance = Allowance(self.id, self._bounds)

        def ask(rest: Span) -> list[Candle]:
            last = rest.end - timedelta(microseconds=1)
            times = {"startTime": milliseconds(rest.start), "endTime": milliseconds(last)}
            candles = self._ask(pair, lambda: self._client.get_klines(**query, **times), _read_candles, allowance)
            allowance.take(len(candles))
            return closed(candles, interval, span.end)

        return forwards(self.id, ask, span, interval)

    def quote(self, pair: Pair) -> Quote:
        """Return the best bid and ask, with the time of their arrival on this machine: the exchange gives none.

        Raises:
            SourceError: Binance cannot be reached, refuses or sends another format.
            UnusableHistory: Binance does not have the pair.
        """
        symbol = BINANCE.symbol(pair)
        return self._ask(
            pair,
            lambda: self._client.get_orderbook_ticker(symbol=symbol),
            lambda answer: _read_quote(answer, symbol),
            Allowance(self.id, self._bounds),
        )

    def _ask(
        self, pair: Pair, send: Callable[[], object], read: Callable[[object], Answer], allowance: Allowance
    ) -> Answer:
        try:
            return self._endpoint.ask(send, read, allowance, WEIGHT)
        except SourceError as error:
            if isinstance(error.__cause__, Failure) and error.__cause__.code == _UNKNOWN_SYMBOL:
                raise UnusableHistory(self.id, [f"it does not have the pair {self.traded(pair)}"]) from error
            raise


class _Client(Client):  # type: ignore[misc]  # python-binance has no types
    """The SDK's client with our session, and without the request that its construction makes."""

    def __init__(self, settings: BinanceSettings, session: BoundedSession) -> None:
        super().__init__(ping=False)
        self.API_URL = f"{settings.api_url}/api"
        self.session = session

    def _request(self, method: str, uri: str, signed: bool, force_params: bool = False, **options: Any) -> object:
        """Return the JSON of an answer, None if it is empty.

        The SDK's method keeps the answer in an attribute, where another thread may replace it before it is read.
        """
        request = self._get_request_kwargs(method, signed, force_params, **options)
        response = self.session.request(method, uri, **request)
        return response.json() if response.content else None


def _count_used(budget: RateBudget, headers: Mapping[str, str]) -> None:
    """Count the weight that this address has used by an answer, also where that is a refusal."""
    used = headers.get("X-MBX-USED-WEIGHT-1M", "")
    if re.fullmatch(r"[0-9]{1,9}", used):
        budget.counted(int(used))


def _read_candles(answer: object) -> list[Candle]:
    return [_read_candle(row) for row in rows(answer, "candles", PAGE)]


def _read_candle(row: object) -> Candle:
    if not isinstance(row, list) or len(row) < 11:
        raise Malformed("a candle that is not a list of at least 11 values")
    opening, open_, high, low, close, volume, _, quote_volume, trades, taker_base, taker_quote = row[:11]
    return Candle(
        instant(opening, "open time"),
        decimal(open_, "open"),
        decimal(high, "high"),
        decimal(low, "low"),
        decimal(close, "close"),
        decimal(volume, "volume"),
        decimal(quote_volume, "quote volume"),
        whole(trades, "trades"),
        decimal(taker_base, "taker base volume"),
        decimal(taker_quote, "taker quote volume"),
    )


def _read_quote(answer: object, symbol: str) -> Quote:
    if not isinstance(answer, dict) or answer.get("symbol") != symbol:
        raise Malformed(f"no quote of {symbol}")
    bid, bid_size, ask, ask_size = (decimal(answer.get(name), name) for name in _BOOK)
    if bid == 0 or ask == 0:
        raise UnusableHistory("binance", [f"the book of {symbol} is empty: it is not traded now"])
    return Quote(datetime.now(UTC), bid, bid_size, ask, ask_size)
