"""The ports between the parts: what a source, a feed and a database of the market can do."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from crypto_predict.market.candle import Candle, Quote, StoredCandle, StoredGap
from crypto_predict.market.collected import (
    BuiltCandle,
    CollectedSeries,
    Difference,
    ForecastStep,
    MinuteRecord,
    Quarantined,
    Shard,
    ShardState,
    StreamSpan,
)
from crypto_predict.market.downtime import MonthOfOutages
from crypto_predict.market.events import FeedEvent
from crypto_predict.market.forecast import HourForecast, MinuteForecast, MinuteModel
from crypto_predict.market.interval import Interval, Span
from crypto_predict.market.pair import Pair, SeriesKey
from crypto_predict.market.register import OutageKey, RegisteredOutage


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
        """Return the pair whose prices `candles` returns, such as BTC/USDT for BTC/USD, or raise `UnusableHistory`."""

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
class PriceSource(CandleSource, QuoteSource, Protocol):
    """An exchange. Only exchanges can confirm each other's prices: files may be copies of them."""


@runtime_checkable
class DatedSource(Protocol):
    """A source whose answers have a time of the exchange's clock. This machine's clock may differ from it."""

    @property
    def dated(self) -> tuple[datetime, float] | None:
        """The newest time (UTC), and when it arrived, in seconds of `time.monotonic`; None before the first answer."""


@runtime_checkable
class RowSource(CandleSource, Protocol):
    """A source whose candles are the rows of a file."""

    def rows(self, pair: Pair, interval: Interval, span: Span) -> Iterator[tuple[Candle, int]]:
        """Return what `candles` returns, each candle with its line in the file."""


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
        bounded number of events that were not taken yet; one too many ends it. Raise `RefusedKeys` if the exchange does
        not accept the keys that are set, or asks for keys and none are set, and `UnusableHistory`, which names the
        pair, if it does not have one of them.
        """


# The ports of a database of the market. All methods raise `DatabaseError` if it cannot be used, within a bounded time,
# and may be called by several threads at once. Each one that writes is one transaction: after any kind of end it has
# happened or it has not. One that writes to one series raises `UnknownSeries` if `follow` has not added it. A row that
# was altered outside of this program, and cannot be what its column means, is not read.


class SeriesReader(Protocol):
    """The series that there are, with their states and newest prices."""

    def collected(self, pair: Pair | None = None) -> Sequence[CollectedSeries]:
        """Return every series, or those of one pair, sorted."""

    def last_prices(self, ago: timedelta, tolerance: timedelta) -> Sequence[CollectedSeries]:
        """Return every series, sorted, with its newest price and the price `ago` before it, but without its gaps.

        That is the newest close at least `ago` and at most `ago + tolerance` old: minutes without trades often have
        no candle.
        """


class SeriesWriter(SeriesReader, Protocol):
    """The series that are collected."""

    def follow(self, series: SeriesKey, *, simulated: bool) -> None:
        """Add a series without candles; do nothing if it exists, raise if it does with the other value."""

    def set_state(self, series: SeriesKey, state: str, since: datetime | None = None) -> None:
        """Set the state of a series, and how far back (UTC) it shall be collected; None leaves the latter as it is."""


class CandleReader(Protocol):
    """Pages of candles."""

    def candles(self, series: SeriesKey, span: Span, limit: int) -> Sequence[StoredCandle]:
        """Return at most `limit` candles that open in `span`, ascending.

        The next page begins one interval after the last opening.
        """


class JoinedReader(CandleReader, Protocol):
    """Candles of every interval, made of the stored ones."""

    def joined(self, series: SeriesKey, interval: Interval, span: Span, limit: int) -> Sequence[StoredCandle]:
        """Return at most `limit` candles of `interval` that open in `span`, ascending, made of those of a series.

        They are what `market.aggregate` makes of all stored candles, and of those that were deleted where a rollup has
        them; the VWAP is that of the last part. Openings without a part stay missing. Which are complete, `covered`
        says. The interval is a multiple of that of the series. The next page begins one interval after the last
        opening.
        """

    def covered(self, series: SeriesKey, interval: Interval) -> Sequence[Span]:
        """Return the spans, on the grid of `interval`, in which its candles are complete, ascending and apart.

        The source was asked for everything in them, and what it answered is stored, or was deleted and is in a rollup.
        """


class RollupWriter(Protocol):
    """Rollups: longer candles, which every write keeps up to date."""

    def roll_up(self, series: SeriesKey, before: datetime | None = None) -> datetime | None:
        """Make the rollups of at most a month that ends before a midnight (UTC) again, in one transaction.

        None means the end of those that an earlier version has left, or else of all. Return where they begin, None if
        nothing is stored before. What is read does not change, unless the database was altered by others.
        """


class ColumnReader(Protocol):
    """Many candles as columns, in a fraction of the time that objects take."""

    def columns(self, series: SeriesKey, span: Span) -> Sequence[Sequence[Any]]:
        """Return the candles that open in `span`, ascending, which are all in memory then.

        The columns are the opening in seconds since 1970, the other fields of `Candle`, and the VWAP. One without a
        missing value is an `array` with the type code ``q`` (opening, trades) or ``d``.
        """


class CandleWriter(Protocol):
    """Sound candles, with all that follows from them."""

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
        """

    def write_closed(self, closed: Mapping[SeriesKey, Sequence[Candle]]) -> int:
        """Store the closed candles of many series in one transaction and return how many were new or changed.

        It is `write` for each, where every candle covers its own interval: a candle between two of them that is not
        stored was not asked for yet. Series that are not in the database are left out.
        """


class CoverageReader(Protocol):
    """What the source was asked for, and what it did not have."""

    def coverage(self, series: SeriesKey) -> Sequence[Span]:
        """Return the spans for which the source was asked and its answer is stored, ascending and apart."""

    def gaps(self, series: SeriesKey, span: Span) -> Sequence[StoredGap]:
        """Return the gaps that overlap `span`, ascending."""


class GapWriter(Protocol):
    """What was known of gaps in another database."""

    def restore_gaps(self, series: SeriesKey, known: Sequence[StoredGap]) -> None:
        """Give each gap that has the same ends its cause, attempts, verdict and time."""


class QuoteReader(Protocol):
    """The tops of order books."""

    def quotes(self, source: str, pair: Pair, span: Span, limit: int, *, newest: bool = False) -> Sequence[Quote]:
        """Return at most `limit` quotes of `span`, ascending: the oldest, or the `newest` ones."""


class QuoteWriter(Protocol):
    """The tops of order books."""

    def write_quotes(self, source: str, pair: Pair, quotes: Iterable[Quote]) -> None:
        """Store quotes; of two at one instant the later one stays."""


class StreamReader(Protocol):
    """The outages of live streams, and what was built from their ticks."""

    def streams(self, source: str, pair: Pair, span: Span) -> Sequence[StreamSpan]:
        """Return the states of a stream that overlap `span`, ascending and apart."""

    def built(self, series: SeriesKey, span: Span, limit: int) -> Sequence[BuiltCandle]:
        """Return at most `limit` candles built from ticks that open in `span`, ascending."""


class StreamWriter(Protocol):
    """The states of live streams, and what was built from their ticks."""

    def write_streams(self, source: str, pairs: Sequence[Pair], stream: StreamSpan) -> None:
        """Store the state of the streams of many pairs.

        A span that overlaps or touches one of the same state extends it; it replaces what it overlaps of other states.
        """

    def write_built(self, built: Mapping[SeriesKey, Sequence[BuiltCandle]]) -> None:
        """Store candles built from ticks; of two with one opening, the one of more ticks stays."""


class OutageReader(Protocol):
    """The register of outages, as it is at `now` (UTC).

    If the collector does not run, the outage that this is goes on until `now`, though nobody records it.
    """

    def outages(
        self, span: Span, limit: int, now: datetime, *, source: str | None = None, pair: Pair | None = None
    ) -> Sequence[RegisteredOutage]:
        """Return the outages that overlap `span`, the newest first: at most `limit`.

        Those that began at the same instant as the last one follow it, so that the next page ends at its start.
        """

    def outage(self, key: OutageKey, now: datetime) -> RegisteredOutage | None:
        """Return the outage of this name, or the one into which it has been joined; None if there is none."""

    def outage_months(self, span: Span, now: datetime, *, source: str | None = None) -> Sequence[MonthOfOutages]:
        """Return the whole months (UTC) with outages that overlap `span`, the newest first."""

    def differences(self, source: str | None = None) -> Sequence[Difference]:
        """Return how often the stream of each source has differed from REST, by source."""


class OutageWriter(Protocol):
    """The register of outages."""

    def record_outages(self, since: datetime, now: datetime) -> None:
        """Bring the register up to `now`, and look again at what has become of the outages since `since` (both UTC).

        What happened since it was last brought up to date is always looked at. Older outages stay as they are, also
        when what they were made of has been deleted.
        """


class ComparisonWriter(Protocol):
    """How often streams and REST differ."""

    def compared(self, series: SeriesKey, compared: int, mismatched: int) -> None:
        """Add to the number of candles of streams that were compared with those of REST, and of those that differed."""


class ForecastReader(Protocol):
    """Minute forecasts, and the models that they are computed from."""

    def minute_forecasts(
        self, series: SeriesKey, span: Span, limit: int, *, newest: bool = False
    ) -> Sequence[MinuteForecast]:
        """Return at most `limit` minute forecasts whose cutoff lies in `span`, ascending: the oldest, or the `newest`.

        Only those of the last day or so are kept.
        """

    def minute_models(self) -> Mapping[SeriesKey, MinuteModel]:
        """Return the newest model of every series that has one."""


class RecordReader(Protocol):
    """The outcomes of minute forecasts."""

    def minute_records(self, series: SeriesKey | None = None) -> Mapping[SeriesKey, MinuteRecord]:
        """Return how the minute forecasts of every series that has an outcome have done, or those of one series."""


class ForecastWriter(Protocol):
    """Minute forecasts with their outcomes, and the models that they are computed from."""

    def write_forecasts(self, steps: Mapping[SeriesKey, Sequence[ForecastStep]], keep: timedelta) -> None:
        """Store minute forecasts and add their scores to the record, for many series in one transaction.

        A step that is not after the record's `until` is left out, so that no outcome counts twice. Forecasts whose
        cutoff lies more than `keep` before the newest one of their series are deleted. Series that are not in the
        database are left out.
        """

    def write_minute_model(self, series: SeriesKey, model: MinuteModel) -> None:
        """Store the model of a series in place of the one before."""


class HourForecastReader(Protocol):
    """Forecasts of hours."""

    def hour_forecasts(
        self, series: SeriesKey, span: Span, limit: int, *, newest: bool = False
    ) -> Sequence[HourForecast]:
        """Return at most `limit` forecasts of hours whose cutoff lies in `span`, ascending: the oldest, or the newest.

        `series` is that of the minutes. Only those of the last days are kept.
        """


class HourForecastWriter(Protocol):
    """Forecasts of hours."""

    def write_hour_forecast(self, series: SeriesKey, forecast: HourForecast, keep: timedelta) -> None:
        """Store a forecast of hours of a series of minutes; of two with one cutoff the later one stays.

        Those whose cutoff lies more than `keep` before it are deleted.
        """


class SizeReader(Protocol):
    """What the series take on the disk."""

    def sizes(self) -> Mapping[SeriesKey, int]:
        """Estimate the bytes of every series: its share in those of all candles; with SQLite, in those of the file."""


class ShardReader(Protocol):
    """Who collects which shard."""

    def shards(self) -> Sequence[ShardState]:
        """Return the shards that a live collector collects or claims now, ascending; of a file none."""


class Retention(Protocol):
    """Deletes what need not be kept."""

    def purge(self, interval: Interval, before: datetime, limit: int) -> int:
        """Delete at most `limit` rows of what lies before an instant (UTC), oldest first, and return how many.

        They are the candles of `interval` and those built from ticks; with the minutes go quotes, states of streams and
        forecasts, whose record stays. Coverage, gaps, revisions and the quarantine go with the candles; rollups stay.
        The VWAP of the candles that stay remains right if the instant is a midnight. Fewer than `limit`: nothing is
        left.
        """


class Reservations(Protocol):
    """Keeps two processes from collecting the same at once."""

    def hold(self, series: SeriesKey) -> AbstractContextManager[None]:
        """Reserve a series inside the context; raise `SeriesHeld` if another process, which it names, has done that."""

    def claim(self, shard: Shard) -> AbstractContextManager[Callable[[], None]]:
        """Claim a shard for the collector that was started for it, inside the context, as `hold_collector` does.

        Another process that collects its pairs sees that, and gives them back. A file has no claims.
        """

    def hold_collector(self, shard: Shard) -> AbstractContextManager[Callable[[], None]]:
        """Reserve the pairs of a shard for one live collector inside the context.

        Shards of different numbers exclude each other if a pair can be in both. An SQLite file has one collector,
        whatever its shard. The function that it returns reserves again what was lost while the database was away. Both
        raise `SeriesHeld` as `hold` does.
        """


class PairRegistry(Protocol):
    """Which pairs the collector follows, as an administrator changes it. The collector notices within a minute.

    Both methods raise `DatabaseError` if the database cannot be used.
    """

    def add(self, pair: Pair, source: str | None = None, since: datetime | None = None) -> CollectedSeries:
        """Follow the minutes of a pair from `since` (UTC) on, or of the last 90 days; begin again if it was stopped.

        The first of the sources that has the pair is taken, or `source`. Adding a pair twice changes nothing. Raise
        `InvalidValue` if `source` is not collected here, `UnusableHistory` if no source has the pair, and `SourceError`
        if it could not be asked.
        """

    def remove(self, pair: Pair, source: str | None = None) -> Sequence[CollectedSeries]:
        """Stop collecting a pair, and return what is no longer collected; the candles stay.

        Raise `InvalidValue` if the pair is not collected, or not from `source`.
        """
