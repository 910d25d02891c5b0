"""Alpaca's crypto bars and quotes, through the official SDK, with or without keys.

The SDK builds the address, the headers and the request. Paging, retries and checks are done here: the SDK follows an
empty page token for ever, keeps duplicates, ignores ``Retry-After`` and sets no timeout.

Wire format::

    GET /v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=1Day&start=…&end=…&limit=10000[&page_token=…]
    {"bars": {"BTC/USD": [{"t": "2024-05-17T00:00:00Z", "o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 0.5, "n": 3}]},
     "next_page_token": "…" | null}

    GET /v1beta3/crypto/us/latest/quotes?symbols=BTC/USD
    {"quotes": {"BTC/USD": {"t": "2024-05-17T12:00:00.123456789Z", "bp": 1.5, "bs": 0.5, "ap": 1.6, "as": 0.7}}}
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from alpaca.data.historical.crypto import CryptoHistoricalDataClient

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.sources.alpaca import EXCHANGE
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.limits import Allowance
from crypto_predict.sources.network.paging import closed, in_order
from crypto_predict.sources.network.session import BoundedSession
from crypto_predict.sources.network.source import ExchangeSource
from crypto_predict.sources.network.wire import Malformed, moment, number, rows, whole

_MOST_IDLE = 10  # pages in a row without a new candle, after which page tokens are not followed any more
_LONGEST_TOKEN = 2_000  # characters; all tokens are remembered

_log = logging.getLogger(__name__)


class Alpaca(ExchangeSource):
    """Candles and quotes of Alpaca's own venue. Hours without a trade may be missing.

    Keys raise Alpaca's limit on requests; the candles are the same.
    """

    exchange = EXCHANGE

    def __init__(self, settings: Settings, *args: Any, **options: Any) -> None:
        super().__init__(settings, *args, **options)
        self._path = f"/crypto/{settings.location or 'us'}"
        self._client = _Client(settings, self.session)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles as other exchanges do; a pair that Alpaca does not have gives none.

        At most two pages of candles are held at a time.
        """
        return in_order(self._pages(pair, interval, span), hold=EXCHANGE.page)

    def _send_quote(self, symbol: str) -> object:
        return self._client.get(f"{self._path}/latest/quotes", {"symbols": symbol})

    def _read_quote(self, answer: object, symbol: str) -> Quote:
        quotes = answer.get("quotes") if isinstance(answer, dict) else None
        row = quotes.get(symbol, {}) if isinstance(quotes, dict) else None
        if not isinstance(row, dict):
            raise Malformed("no quotes")
        if not row:
            raise UnusableHistory(self.id, [f"it has no quote of {symbol}"])
        return read_quote(row, moment(row.get("t"), "t"))

    def _pages(self, pair: Pair, interval: Interval, span: Span) -> Iterator[list[Candle]]:
        """Yield the pages as they arrive, each cut to `span`."""
        symbol, allowance = EXCHANGE.symbol(pair), Allowance(self.id, self.bounds)
        query = {"symbols": symbol, "timeframe": EXCHANGE.intervals[interval], "limit": EXCHANGE.page}
        query |= {"start": span.start.isoformat(), "end": span.end.isoformat()}
        start, newest = span.start, span.start - interval.length  # openings of the first and the newest candle
        idle, followed = 0, set[str]()  # pages in a row that brought no newer candle, and page tokens
        while start < span.end:
            send = partial(self._client.get, f"{self._path}/bars", dict(query))
            received, token = self.ask(pair, send, lambda answer: _read_page(answer, symbol), allowance)
            allowance.take(len(received))
            candles = [candle for candle in received if candle.open_time in span]
            yield closed(candles, interval, span.end)
            latest = max((candle.open_time for candle in candles), default=newest)
            idle = 0 if latest > newest else idle + 1
            newest = max(latest, newest)
            if token is None:
                return
            if token and token not in followed and idle < _MOST_IDLE:
                followed.add(token)
                query["page_token"] = token
                continue
            # Continue after the newest candle. If that has been tried already, nothing more is left.
            resume = newest + interval.length
            if resume <= start:
                return
            start = resume
            query.pop("page_token", None)
            query["start"] = start.isoformat()
            _log.warning("alpaca sent a page token that leads nowhere; continuing from %s", start.isoformat())


class _Client(CryptoHistoricalDataClient):
    """The SDK's client with our session. The session raises before the SDK's own retries begin."""

    def __init__(self, settings: Settings, session: BoundedSession) -> None:
        key, secret = (settings.keys.get(name) for name in EXCHANGE.keys)
        super().__init__(key, secret, url_override=settings.api_url)
        self._session = session


def _read_page(answer: object, symbol: str) -> tuple[list[Candle], str | None]:
    """Return the candles and the token of the next page; None after the last one."""
    bars = answer.get("bars") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(bars, dict):
        raise Malformed("no list of bars")
    candles = [_read_bar(row) for row in rows(bars.get(symbol, []), "bars", EXCHANGE.page)]
    token = answer.get("next_page_token")
    if not (token is None or (isinstance(token, str) and len(token) <= _LONGEST_TOKEN)):
        raise Malformed("a page token that is not text, or is too long")
    return candles, token


def _read_bar(row: object) -> Candle:
    if not isinstance(row, dict):
        raise Malformed("a bar that is not an object")
    return read_candle(row, moment(row.get("t"), "t"))


def read_candle(row: Mapping[str, object], opening: datetime) -> Candle:
    """Return a bar as a candle. REST and the stream name its values alike, and write only the time in another way."""
    open_, high, low, close, volume = (number(row.get(key), key) for key in ("o", "h", "l", "c", "v"))
    trades = None if row.get("n") is None else whole(row["n"], "n")
    return Candle(opening, open_, high, low, close, volume, trades=trades)


def read_quote(row: Mapping[str, object], time: datetime) -> Quote:
    """Return the top of the book, as `read_candle` does a bar."""
    return Quote(time, *(number(row.get(key), key) for key in ("bp", "bs", "ap", "as")))
