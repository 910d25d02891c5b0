"""The ports between the parts: what a source, a feed and a database of the market can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from crypto_predict.market.candle import Candle, Gap, Quote
from crypto_predict.market.interval import Interval, Span
from crypto_predict.market.pair import Pair, SeriesKey


class CandleSource(Protocol):
    """A source of past candles, which it returns as received: it does not judge, repair or fill in.

    Its methods end within a bounded time. Both raise a `SourceError` if the source cannot be reached or its answers are
    malformed, also after retries, and `UnusableHistory` if it does not contain candles.
    """

    @property
    def id(self) -> str:
        """The name in ``--source`` and on the model card, for example ``alpaca`` or ``file:prices.csv``."""

    @property
    def simulated(self) -> bool:
        """Whether the prices are simulated."""

    @property
    def intervals(self) -> frozenset[Interval]:
        """The intervals of its candles."""

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """Return the close of the newest candle that can exist, at or before `limit` (UTC).

        For an exchange that is `limit` rounded down to the interval; for a file, the close of its newest row.
        """

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return every candle that opens in `span`; later candles may follow.

        An exchange returns each opening once, ascending: where pages overlap, the last copy wins. A file returns every
        row, sorted by time.
        """


@runtime_checkable
class RowSource(CandleSource, Protocol):
    """A source whose candles are the rows of a file."""

    def rows(self, pair: Pair, interval: Interval, span: Span) -> Iterator[tuple[Candle, int]]:
        """Return what `candles` returns, each candle with its line in the file."""


@dataclass(frozen=True, slots=True)
class CandleClosed:
    """A candle is complete."""

    series: SeriesKey
    candle: Candle


@dataclass(frozen=True, slots=True)
class CandleRevised:
    """A complete candle was changed by the exchange."""

    series: SeriesKey
    candle: Candle


@dataclass(frozen=True, slots=True)
class QuoteReceived:
    """The top of the book changed."""

    source: str
    pair: Pair
    quote: Quote


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The stream is alive."""

    time: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The stream ended; nothing is missing before `complete_until`."""

    reason: str
    complete_until: datetime  # UTC, not included


FeedEvent = CandleClosed | CandleRevised | QuoteReceived | Heartbeat | Interrupted


class CandleFeed(Protocol):
    """A live stream of one exchange."""

    def events(self, pairs: Sequence[Pair]) -> AsyncIterator[FeedEvent]:
        """Return the events of these pairs; the last one is `Interrupted`."""


@dataclass(frozen=True, slots=True)
class FollowedPair:
    """A pair that is collected."""

    pair: Pair
    source: str
    state: str
    newest_close: datetime | None  # UTC; None before the first candle
    lag: timedelta | None  # from `newest_close` to the newest close that can exist


class MarketReader(Protocol):
    """Read access to a database of the market."""

    def pairs(self) -> Sequence[FollowedPair]:
        """Return every followed pair."""

    def candles(self, series: SeriesKey, span: Span, limit: int) -> Sequence[Candle]:
        """Return at most `limit` candles that open in `span`, ascending. The last opening is the next page's cursor."""

    def quotes(self, source: str, pair: Pair, span: Span, limit: int) -> Sequence[Quote]:
        """Return at most `limit` quotes of `span`, ascending."""

    def gaps(self, series: SeriesKey, span: Span) -> Sequence[Gap]:
        """Return the gaps that start in `span`, ascending."""


class MarketWriter(Protocol):
    """Write access to a database of the market. Only one process has it."""

    def write_candles(self, series: SeriesKey, candles: Iterable[Candle]) -> int:
        """Store candles and return how many were new or changed. Storing an unchanged candle changes nothing."""

    def write_quotes(self, source: str, pair: Pair, quotes: Iterable[Quote]) -> int:
        """Store quotes and return how many were new or changed."""

    def write_gaps(self, series: SeriesKey, gaps: Iterable[Gap]) -> None:
        """Replace the gaps that start within the span of `gaps`."""
