"""The ports between the parts: what a source, a feed and a database of the market can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from crypto_predict.market.candle import Candle, Gap, Quote, StoredCandle
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

    def traded(self, pair: Pair) -> Pair:
        """Return the pair whose prices `candles` returns for `pair`.

        It differs from `pair` where an exchange trades another currency for it: BTC/USDT for BTC/USD.

        Raises:
            UnusableHistory: The source cannot have a pair for it.
        """

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """Return the close of the newest candle that can exist, at or before `limit` (UTC).

        For an exchange that is `limit` rounded down to the interval; for a file, the close of its newest row.
        """

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return every candle that opens in `span`; later candles may follow.

        An exchange returns each opening once, ascending: where pages overlap, the last copy wins. A file returns every
        row, sorted by time.
        """


class QuoteSource(Protocol):
    """An exchange that can be asked for the current top of its order book."""

    def quote(self, pair: Pair) -> Quote:
        """Return the best bid and ask. Errors are those of `CandleSource`."""


@runtime_checkable
class Exchange(CandleSource, QuoteSource, Protocol):
    """An exchange. Only exchanges can confirm each other's prices: files may be copies of them."""


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


MOST_ATTEMPTS = 4  # questions for the candles of a gap, after which it is final


@dataclass(frozen=True, slots=True)
class StoredGap:
    """A gap in a database, with what is known about it.

    Its end can also be that of the span for which the source was asked: what lies beyond is not covered.
    """

    gap: Gap
    cause: str  # why the candles are missing
    attempts: int  # how often the source has been asked for them
    verdict: str  # whether they can still come
    found_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that no market can have made, or that opens where no candle can."""

    candle: Candle
    reason: str


@dataclass(frozen=True, slots=True)
class CollectedSeries:
    """One series of a database, and how complete it is."""

    series: SeriesKey
    simulated: bool
    state: str
    first_open: datetime | None  # UTC; None before the first candle
    newest_close: datetime | None  # UTC; None before the first candle
    gaps: int
    missing: int  # candles in these gaps

    def lag(self, now: datetime) -> timedelta | None:
        """Return the time from the newest close to the newest close that can exist; None before the first candle."""
        return None if self.newest_close is None else self.series.interval.floor(now) - self.newest_close


@dataclass(frozen=True, slots=True)
class Revision:
    """A stored candle that was replaced by another one."""

    candle: Candle  # as it was before
    changed_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class SeriesSize:
    """How large one series is in a database."""

    series: SeriesKey
    rows: int  # candles
    bytes: int  # estimated: the share of these rows in the bytes of all candles and their index


class MarketReader(Protocol):
    """Read access to a database of the market. Safe to share between threads.

    Every method raises `DatabaseError` if the database cannot be read, within a bounded time.
    """

    def collected(self) -> Sequence[CollectedSeries]:
        """Return every series, sorted."""

    def coverage(self, series: SeriesKey) -> Sequence[Span]:
        """Return the spans for which the source was asked and its answer is stored, ascending and apart."""

    def candles(self, series: SeriesKey, span: Span, limit: int) -> Sequence[StoredCandle]:
        """Return at most `limit` candles that open in `span`, ascending.

        The next page begins one interval after the last opening.
        """

    def quotes(self, source: str, pair: Pair, span: Span, limit: int) -> Sequence[Quote]:
        """Return at most `limit` quotes of `span`, ascending."""

    def gaps(self, series: SeriesKey, span: Span) -> Sequence[StoredGap]:
        """Return the gaps that overlap `span`, ascending."""

    def revisions(self, series: SeriesKey, span: Span) -> Sequence[Revision]:
        """Return the replaced candles that open in `span`, in the order of their openings and changes."""

    def quarantine(self, series: SeriesKey, span: Span) -> Sequence[Quarantined]:
        """Return the rejected rows that open in `span`, ascending."""

    def sizes(self) -> Sequence[SeriesSize]:
        """Return the size of every series, sorted."""


class MarketWriter(MarketReader, Protocol):
    """Write access to a database of the market.

    Each method is one transaction: after any kind of end it has happened or it has not. All raise `DatabaseError`.
    """

    def hold(self, series: SeriesKey) -> AbstractContextManager[None]:
        """Reserve a series for this process inside the context.

        Raises:
            SeriesHeld: Another process has reserved it; the error names that process.
        """

    def follow(self, series: SeriesKey, *, simulated: bool) -> None:
        """Add a series without candles; do nothing if it exists.

        Raises:
            DatabaseError: It exists with the other value of `simulated`.
        """

    def write(
        self,
        series: SeriesKey,
        candles: Sequence[Candle],
        covered: Span | None = None,
        quarantined: Sequence[Quarantined] = (),
    ) -> int:
        """Store sound candles and return how many were new or changed.

        Storing an unchanged candle changes nothing. A changed one replaces the old one, whose values are kept in the
        table `revisions`. `covered` is the span that the source was asked for: gaps between the candles in covered
        spans are found here, and one that was asked for again counts an attempt. Only the whole intervals in it count.
        The VWAP of the sessions concerned is computed again.

        Raises:
            DatabaseError: Also if `follow` has not added the series: whether it is simulated is then unknown.
        """

    def write_quotes(self, source: str, pair: Pair, quotes: Iterable[Quote]) -> int:
        """Store quotes and return how many were new or changed."""
