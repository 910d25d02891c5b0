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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alpaca.data.historical.crypto import CryptoHistoricalDataClient

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.sources.alpaca import EXCHANGE
from crypto_predict.sources.exchange import Settings
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
        """Return every candle that opens in `span`, ascending, each opening once: the last copy wins.

        At most two pages of candles are held at a time. A pair that Alpaca does not have gives no candles.

        Raises:
            SourceError: Alpaca cannot be reached, refuses or sends another format, or the history exceeds the bounds.
            UnusableHistory: Alpaca cannot have the pair.
        """
        return in_order(self._pages(pair, interval, span), hold=EXCHANGE.page)

    def quote(self, pair: Pair) -> Quote:
        """Return the best bid and ask of Alpaca's own venue, with the time at which they were set.

        Raises:
            SourceError: Alpaca cannot be reached, refuses or sends another format.
            UnusableHistory: Alpaca does not have the pair.
        """
        symbol = EXCHANGE.symbol(pair)
        quote = self.ask(
            pair,
            lambda: self._client.get(f"{self._path}/latest/quotes", {"symbols": symbol}),
            lambda answer: _read_quote(answer, symbol),
            self.allowance(),
        )
        if quote is None:
            raise UnusableHistory(self.id, [f"it has no quote of {pair}"])
        return quote

    def _pages(self, pair: Pair, interval: Interval, span: Span) -> Iterator[list[Candle]]:
        """Yield the pages as they arrive, each cut to `span`."""
        symbol = EXCHANGE.symbol(pair)
        query = {"symbols": symbol, "timeframe": EXCHANGE.intervals[interval], "limit": EXCHANGE.page}
        cursor = _Cursor(span, interval.length, span.start, newest=span.start - interval.length)
        allowance = self.allowance()
        while not cursor.exhausted:
            received, token = self.ask(
                pair,
                lambda: self._client.get(f"{self._path}/bars", {**query, **cursor.position()}),
                lambda answer: _read_page(answer, symbol),
                allowance,
            )
            allowance.take(len(received))
            candles = [candle for candle in received if candle.open_time in span]
            cursor.advance(candles, token)
            yield closed(candles, interval, span.end)


class _Client(CryptoHistoricalDataClient):
    """The SDK's client with our session. The session raises before the SDK's own retries begin."""

    def __init__(self, settings: Settings, session: BoundedSession) -> None:
        key, secret = (settings.keys.get(name) for name in EXCHANGE.keys)
        super().__init__(key, secret, url_override=settings.api_url)
        self._session = session


@dataclass(slots=True)
class _Cursor:
    """Where the next page begins: at a page token, or at an instant if tokens lead nowhere."""

    span: Span
    length: timedelta  # of one candle
    start: datetime  # UTC, included
    newest: datetime  # opening of the newest candle received
    token: str | None = None
    exhausted: bool = False
    idle: int = 0  # pages in a row that brought no newer candle
    followed: set[str] = field(default_factory=set)  # tokens

    def position(self) -> dict[str, object]:
        """Return the parameters of the next page."""
        token = {} if self.token is None else {"page_token": self.token}
        return {"start": self.start.isoformat(), "end": self.span.end.isoformat(), **token}

    def advance(self, candles: Sequence[Candle], next_token: str | None) -> None:
        """Move on after a page with `candles` and `next_token`."""
        latest = max((candle.open_time for candle in candles), default=self.newest)
        self.idle = 0 if latest > self.newest else self.idle + 1
        self.newest = max(latest, self.newest)
        if next_token is None:
            self.exhausted = True
        elif next_token and next_token not in self.followed and self.idle < _MOST_IDLE:
            self.followed.add(next_token)
            self.token = next_token
        else:
            self._continue_by_time()

    def _continue_by_time(self) -> None:
        """Continue after the newest candle. If that has been tried already, nothing more is left."""
        resume = self.newest + self.length
        self.exhausted = not self.start < resume < self.span.end
        self.start, self.token = resume, None
        if not self.exhausted:
            _log.warning("alpaca sent a page token that leads nowhere; continuing from %s", resume.isoformat())


def _read_page(answer: object, symbol: str) -> tuple[list[Candle], str | None]:
    """Return the candles and the token of the next page; None after the last one."""
    bars = answer.get("bars") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(bars, dict):
        raise Malformed("no list of bars")
    candles = [_read_candle(row) for row in rows(bars.get(symbol, []), "bars", EXCHANGE.page)]
    token = answer.get("next_page_token")
    if not (token is None or (isinstance(token, str) and len(token) <= _LONGEST_TOKEN)):
        raise Malformed("a page token that is not text, or is too long")
    return candles, token


def _read_candle(row: object) -> Candle:
    if not isinstance(row, dict):
        raise Malformed("a bar that is not an object")
    return read_candle(row, moment(row.get("t"), "t"))


def _read_quote(answer: object, symbol: str) -> Quote | None:
    """Return the quote of `symbol`; None if there is not one."""
    quotes = answer.get("quotes") if isinstance(answer, dict) else None
    row = quotes.get(symbol, {}) if isinstance(quotes, dict) else None
    if not isinstance(row, dict):
        raise Malformed("no quotes")
    return read_quote(row, moment(row.get("t"), "t")) if row else None


def read_candle(row: Mapping[str, object], opening: datetime) -> Candle:
    """Return a bar as a candle. REST and the stream name its values alike, and write only the time in another way.

    Raises:
        Malformed: A value is missing or of another type.
    """
    open_, high, low, close, volume = (number(row.get(key), key) for key in ("o", "h", "l", "c", "v"))
    trades = None if row.get("n") is None else whole(row["n"], "n")
    return Candle(opening, open_, high, low, close, volume, trades=trades)


def read_quote(row: Mapping[str, object], time: datetime) -> Quote:
    """Return the top of the book, as `read_candle` does a bar."""
    return Quote(time, *(number(row.get(key), key) for key in ("bp", "bs", "ap", "as")))
