"""Alpaca's crypto bars and quotes, through the official SDK, with or without keys.

The SDK builds the address, the headers and the request. Paging, retries and checks are done here: the SDK follows an
empty page token for ever, keeps duplicates, ignores ``Retry-After`` and sets no timeout. The next page begins after the
newest candle of a page, so that its token is needed only where the page is empty.

Wire format::

    GET /v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=1Day&start=…&end=…&limit=10000[&page_token=…]
    {"bars": {"BTC/USD": [{"t": "2024-05-17T00:00:00Z", "o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 0.5, "n": 3}]},
     "next_page_token": "…" | null}

    GET /v1beta3/crypto/us/latest/quotes?symbols=BTC/USD
    {"quotes": {"BTC/USD": {"t": "2024-05-17T12:00:00.123456789Z", "bp": 1.5, "bs": 0.5, "ap": 1.6, "as": 0.7}}}
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from alpaca.data.historical.crypto import CryptoHistoricalDataClient

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Candle, Interval, Quote, Span
from crypto_predict.sources.alpaca import EXCHANGE
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.paging import forwards
from crypto_predict.sources.network.session import BoundedSession
from crypto_predict.sources.network.source import ExchangeSource
from crypto_predict.sources.network.wire import Malformed, moment, number, rows, whole

_MOST_EMPTY = 10  # pages in a row, after which page tokens are not followed any more


class Alpaca(ExchangeSource):
    """Candles and quotes of Alpaca's own venue. Hours without a trade may be missing; an unknown pair has no candles.

    Keys raise Alpaca's limit on requests; the candles are the same.
    """

    exchange = EXCHANGE

    def __init__(self, settings: Settings, *args: Any, **options: Any) -> None:
        super().__init__(settings, *args, **options)
        self._path = f"/crypto/{settings.location or 'us'}"
        self._client = _Client(settings, self.session)

    def _page(self, symbol: str, interval: Interval, span: Span) -> tuple[list[Candle], bool]:
        query = {"symbols": symbol, "timeframe": EXCHANGE.intervals[interval], "limit": EXCHANGE.page}
        # The end is included.
        query |= {"start": span.start.isoformat(), "end": (span.end - timedelta(microseconds=1)).isoformat()}
        for _ in range(_MOST_EMPTY):
            answer = self._client.get(f"{self._path}/bars", query)
            if not isinstance(answer, dict) or not isinstance(answer.get("bars"), dict):
                raise Malformed("no list of bars")
            bars, token = answer["bars"], answer.get("next_page_token")
            if bars.get(symbol) or not token:
                break
            query["page_token"] = token
        return [_read_bar(row) for row in rows(bars.get(symbol, []), "bars", EXCHANGE.page)], token is None

    def _paged(self, ask: Callable[[Span], Sequence[Candle]], interval: Interval, span: Span) -> Iterator[Candle]:
        return forwards(self.id, ask, span, interval)

    def _quote(self, symbol: str) -> Quote:
        answer = self._client.get(f"{self._path}/latest/quotes", {"symbols": symbol})
        quotes = answer.get("quotes") if isinstance(answer, dict) else None
        row = quotes.get(symbol, {}) if isinstance(quotes, dict) else None
        if not isinstance(row, dict):
            raise Malformed("no quotes")
        if not row:
            raise UnusableHistory(self.id, [f"it has no quote of {symbol}"])
        return read_quote(row, moment(row.get("t"), "t"))


class _Client(CryptoHistoricalDataClient):
    """The SDK's client with our session. The session raises before the SDK's own retries begin."""

    def __init__(self, settings: Settings, session: BoundedSession) -> None:
        key, secret = (settings.keys.get(name) for name in EXCHANGE.keys)
        super().__init__(key, secret, url_override=settings.api_url)
        self._session = session


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
