"""The ports between the parts: what a source, a feed and a database of the market can do."""

import hashlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable

from crypto_predict.market.candle import Candle, Gap, Quote, StoredCandle
from crypto_predict.market.forecast import MinuteForecast, MinuteModel, MinuteScores
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

        An exchange returns each opening once, ascending: where pages overlap, the last copy wins. A candle
        that closes in `span` has closed, by the exchange's own clock if its answers have a time; one that closes after
        its end may still be open. A file returns every row, sorted by time.
        """


class QuoteSource(Protocol):
    """An exchange that can be asked for the current top of its order book."""

    def quote(self, pair: Pair) -> Quote:
        """Return the best bid and ask. Errors are those of `CandleSource`."""


@runtime_checkable
class Exchange(CandleSource, QuoteSource, Protocol):
    """An exchange. Only exchanges can confirm each other's prices: files may be copies of them."""


class Dated(NamedTuple):
    """What an exchange's clock showed."""

    time: datetime  # UTC, in whole seconds
    arrived: float  # when an answer with it arrived, in seconds of `time.monotonic`


@runtime_checkable
class DatedSource(Protocol):
    """A source whose answers have a time of the exchange's clock. This machine's clock may differ from it."""

    @property
    def dated(self) -> Dated | None:
        """The newest time; None before the first answer."""


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


class TickReceived(NamedTuple):
    """A trade. Candles are built from these where a stream does not send any. A tuple, because there are many."""

    source: str
    pair: Pair
    time: datetime  # UTC, when it was traded, on the exchange's clock
    price: float
    size: float  # in the base currency
    id: int  # of the trade; ascending in the order of the trades of a pair


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The stream is alive: a message or the answer to a ping has arrived. At most one a second is sent."""

    time: datetime  # UTC, of this machine's clock
    is_confirmed: bool = False  # the exchange has just repeated what it sends: a market without data is quiet


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The stream ended; nothing is missing before `complete_until`."""

    reason: str
    complete_until: datetime  # UTC, not included
    exchange_down: bool = False  # the exchange has answered that it is not available; otherwise the connection failed


@dataclass(frozen=True, slots=True)
class Retiring:
    """The exchange will close the connection soon: another one should take its place before."""


@dataclass(frozen=True, slots=True)
class PairRefused:
    """The connection goes on without a pair. Whether the exchange has it is decided by what REST answers."""

    pair: Pair
    reason: str


FeedEvent = (
    CandleClosed | CandleRevised | QuoteReceived | TickReceived | PairRefused | Heartbeat | Interrupted | Retiring
)


class CandleFeed(Protocol):
    """A live stream of one exchange."""

    @property
    def id(self) -> str:
        """The name of its source."""

    @property
    def sends_candles(self) -> bool:
        """Whether it sends closed candles of one minute; if not, it sends ticks."""

    @property
    def sends_quotes(self) -> bool:
        """Whether it sends the top of the book; if not, its `QuoteSource` is asked."""

    def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Connect and yield the events of these pairs, which the exchange trades, until the connection ends.

        The last event is `Interrupted`, also if no connection could be made. To connect again, call it again. Before
        the first event of data there may be `PairRefused`. Closing the generator closes the connection. It holds a
        bounded number of events that were not taken yet; one too many ends it.

        Raises:
            RefusedKeys: The exchange does not accept the keys that are set, or asks for keys and none are set.
            UnusableHistory: The exchange does not have one of the pairs, which the error names.
        """


ACTIVE = "active"  # it is collected
STOPPED = "stopped"  # it was removed from collection; its candles stay
DELISTED = "delisted"  # the exchange no longer has the pair
SERIES_STATES = (ACTIVE, STOPPED, DELISTED)

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


class StreamState(Enum):
    """What was known of the live stream of a pair."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # the connection failed, or the collector did not run
    EXCHANGE_DOWN = "exchange down"  # the exchange has answered that it is not available


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """A span in which the stream of a pair was in one state. Where nothing is stored, it was disconnected."""

    span: Span
    state: StreamState
    reason: str  # empty while connected


@dataclass(frozen=True, slots=True)
class BuiltCandle:
    """A candle built from the ticks of a stream, which are trades."""

    open_time: datetime  # UTC
    open: float
    high: float
    low: float
    close: float
    ticks: int  # of which it was built, more than 0
    late: int  # ticks that came after it was saved, and are not in it
    partial: bool  # the stream was not connected in all of its interval
    volume: float | None = None  # of these ticks, in the base currency; None if an earlier version has built it


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
    state: str  # one of `SERIES_STATES`
    first_open: datetime | None  # UTC; None before the first candle
    newest_close: datetime | None  # UTC; None before the first candle
    gaps: int
    missing: int  # candles in these gaps
    since: datetime | None = None  # UTC, how far back it shall be collected; None: from the pair's beginning
    compared: int = 0  # candles of the stream that were compared with those of REST
    mismatched: int = 0  # of these, those that differed
    version: int = 0  # grows with every change of its candles and its coverage

    def lag(self, now: datetime) -> timedelta | None:
        """Return the time from the newest close to the newest close that can exist; None before the first candle."""
        return None if self.newest_close is None else self.series.interval.floor(now) - self.newest_close


@dataclass(frozen=True, slots=True)
class LastPrice:
    """The newest price of one series, beside an earlier one."""

    series: SeriesKey
    simulated: bool
    state: str  # one of `SERIES_STATES`
    newest_close: datetime | None  # UTC, the time of `price`; None before the first candle
    price: float | None  # the close of the newest candle
    earlier: float | None  # the close of a candle before it; None if it is missing


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
    bytes: int  # estimated: the share of these rows in the bytes of all candles; with SQLite, in those of the file


@dataclass(frozen=True, slots=True)
class MinuteRecord:
    """The live record of the minute forecasts of one series."""

    since: datetime  # UTC, the first outcome
    until: datetime  # UTC: every outcome up to this close has been scored; it grows with each `write_forecasts`
    scores: tuple[MinuteScores, ...]  # by horizon, ascending


@dataclass(frozen=True, slots=True)
class ForecastStep:
    """What one closed candle adds to the minute forecasts of a series."""

    forecast: MinuteForecast | None  # made at its close; None if the candles cannot carry one
    until: datetime  # UTC, its close
    scores: tuple[MinuteScores, ...]  # of the forecasts whose outcome it is, at most one for each horizon


class MarketReader(Protocol):
    """Read access to a database of the market. Safe to share between threads.

    Every method raises `DatabaseError` if the database cannot be read, within a bounded time. A row that was altered
    outside of this program, and cannot be what its column means, is left out.
    """

    @property
    def damaged(self) -> int:
        """Return how often a row was left out because it is damaged."""

    def collected(self, pair: Pair | None = None) -> Sequence[CollectedSeries]:
        """Return every series, or those of one pair, sorted."""

    def last_prices(self, ago: timedelta, tolerance: timedelta) -> Sequence[LastPrice]:
        """Return the newest price of every series, sorted, beside the price `ago` before it.

        That is the newest close at least `ago` and at most `ago + tolerance` old: minutes without trades often have
        no candle.
        """

    def coverage(self, series: SeriesKey) -> Sequence[Span]:
        """Return the spans for which the source was asked and its answer is stored, ascending and apart."""

    def candles(self, series: SeriesKey, span: Span, limit: int) -> Sequence[StoredCandle]:
        """Return at most `limit` candles that open in `span`, ascending.

        The next page begins one interval after the last opening.
        """

    def quotes(self, source: str, pair: Pair, span: Span, limit: int, *, newest: bool = False) -> Sequence[Quote]:
        """Return at most `limit` quotes of `span`, ascending: the oldest, or the `newest` ones."""

    def gaps(self, series: SeriesKey, span: Span) -> Sequence[StoredGap]:
        """Return the gaps that overlap `span`, ascending."""

    def revisions(self, series: SeriesKey, span: Span) -> Sequence[Revision]:
        """Return the replaced candles that open in `span`, in the order of their openings and changes."""

    def quarantine(self, series: SeriesKey, span: Span) -> Sequence[Quarantined]:
        """Return the rejected rows that open in `span`, ascending."""

    def sizes(self) -> Sequence[SeriesSize]:
        """Return the size of every series, sorted."""

    def streams(self, source: str, pair: Pair, span: Span) -> Sequence[StreamSpan]:
        """Return the states of a stream that overlap `span`, ascending and apart."""

    def built(self, series: SeriesKey, span: Span, limit: int) -> Sequence[BuiltCandle]:
        """Return at most `limit` candles built from ticks that open in `span`, ascending."""

    def minute_forecasts(
        self, series: SeriesKey, span: Span, limit: int, *, newest: bool = False
    ) -> Sequence[MinuteForecast]:
        """Return at most `limit` minute forecasts whose cutoff lies in `span`, ascending: the oldest, or the `newest`.

        Only those of the last day or so are kept.
        """

    def minute_record(self, series: SeriesKey) -> MinuteRecord | None:
        """Return how the minute forecasts of a series have done; None before the first outcome."""

    def minute_records(self) -> Mapping[SeriesKey, MinuteRecord]:
        """Return the records of all series that have one."""

    def minute_models(self) -> Mapping[SeriesKey, MinuteModel]:
        """Return the newest model of every series that has one."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of all pairs, each collected by its own process."""

    number: int = 1  # from 1
    of: int = 1

    def __contains__(self, pair: Pair) -> bool:
        digest = hashlib.sha256(str(pair).encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, slots=True)
class Closed:
    """Candles of a stream that are to be stored, ascending: the exchange has said that they are complete."""

    series: SeriesKey
    candles: Sequence[Candle]


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

    def write_closed(self, closed: Sequence[Closed]) -> int:
        """Store the closed candles of many series in one transaction and return how many were new or changed.

        It is `write` for each, where every candle covers its own interval: a candle between two of them that is not
        stored was not asked for yet. Series that are not in the database are left out.
        """

    def write_built(self, built: Mapping[SeriesKey, Sequence[BuiltCandle]]) -> None:
        """Store candles built from ticks; of two with one opening, the one of more ticks stays."""

    def write_streams(self, source: str, pairs: Sequence[Pair], stream: StreamSpan) -> None:
        """Store the state of the streams of many pairs.

        A span that overlaps or touches one of the same state extends it; it replaces what it overlaps of other states.
        """

    def compared(self, series: SeriesKey, compared: int, mismatched: int) -> None:
        """Add to the number of candles that were compared with those of REST, and of those that differed.

        Raises:
            DatabaseError: The database cannot be used; `UnknownSeries` if it does not contain the series.
        """

    def set_state(self, series: SeriesKey, state: str, since: datetime | None = None) -> None:
        """Set the state of a series, and how far back (UTC) it shall be collected; None leaves the latter as it is.

        Raises:
            DatabaseError: The database cannot be used; `UnknownSeries` if it does not contain the series.
        """

    def hold_collector(self, shard: Shard) -> "AbstractContextManager[Held]":
        """Reserve the pairs of a shard for one live collector inside the context.

        Shards of different numbers exclude each other if a pair can be in both. An SQLite file has one collector,
        whatever its shard.

        Raises:
            SeriesHeld: Another process has reserved some of them; the error names that process.
        """

    def write_forecasts(self, steps: Mapping[SeriesKey, Sequence[ForecastStep]], keep: timedelta) -> None:
        """Store minute forecasts and add their scores to the record, for many series in one transaction.

        A step that is not after the record's `until` is left out, so that no outcome counts twice. Forecasts whose
        cutoff lies more than `keep` before the newest one of their series are deleted. Series that are not in the
        database are left out.
        """

    def write_minute_model(self, series: SeriesKey, model: MinuteModel) -> None:
        """Store the model of a series in place of the one before.

        Raises:
            DatabaseError: The database cannot be used; `UnknownSeries` if it does not contain the series.
        """

    def purge(self, interval: Interval, before: datetime, limit: int) -> int:
        """Delete at most `limit` rows of what lies before an instant (UTC), oldest first, and return how many.

        They are the candles of `interval` and those built from ticks; with the minutes go quotes, states of streams and
        minute forecasts, whose record stays.
        Coverage, gaps, revisions and the quarantine go with the candles. The VWAP of the candles that stay remains
        right if the instant is a midnight. Fewer than `limit`: nothing is left to delete.
        """


class Held(Protocol):
    """A reservation that a database may have lost, since it went away and came back."""

    def renew(self) -> None:
        """Reserve again what was lost.

        Raises:
            SeriesHeld: Another process has reserved it meanwhile.
            DatabaseError: The database cannot be used.
        """


class PairRegistry(Protocol):
    """Which pairs the collector follows, as an administrator changes it. The collector notices within a minute."""

    def add(self, pair: Pair, source: str | None = None, since: datetime | None = None) -> CollectedSeries:
        """Follow the minutes of a pair from `since` (UTC) on, or of the last 90 days; begin again if it was stopped.

        The first of the sources that has the pair is taken, or `source`. Adding a pair twice changes nothing.

        Raises:
            InvalidValue: `source` is not one that is collected here.
            UnusableHistory: No source has the pair.
            SourceError: The source could not be asked.
            DatabaseError: The database cannot be used.
        """

    def remove(self, pair: Pair, source: str | None = None) -> Sequence[CollectedSeries]:
        """Stop collecting a pair, and return what is no longer collected; the candles stay.

        Raises:
            InvalidValue: The pair is not collected, or not from `source`.
            DatabaseError: The database cannot be used.
        """
