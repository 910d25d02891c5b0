"""``store``: candles that were collected in a database, joined to longer ones where those are not stored."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

from crypto_predict.errors import DatabaseError, Unreachable, UnusableHistory
from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey, Span, StoredCandle
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import CandleSource, JoinedReader, SeriesReader

STORE = "store"
COLLECTED = "collected"  # as a pair: every one that is collected

_PAGE = 20_000  # candles read at once
_ADVICE = "`python collect.py --backfill --pair {} --since 2021-01-01` collects it"

TradedAt = Callable[[str, Pair], Pair]  # what the source with this id trades for a pair; see `catalog.traded_at`

_log = logging.getLogger(__name__)


def pair_or_collected(text: str) -> Pair | None:
    """Read a pair, or ``collected``, which is None."""
    return None if text.strip().lower() == COLLECTED else Pair.parse(text)


class JoinedCandles(Protocol):
    """What is read: `JoinedReader` without what is complete."""

    def joined(self, series: SeriesKey, interval: Interval, span: Span, limit: int) -> Sequence[StoredCandle]:
        """See `JoinedReader`."""


class CollectedMarket(SeriesReader, JoinedReader, Protocol):
    """A database whose candles are a source."""


class Stored:
    """What was collected from one source. The id names that source: ``store:alpaca``."""

    def __init__(
        self,
        reader: JoinedCandles,
        name: str,
        collected: Sequence[CollectedSeries],
        traded_at: TradedAt,
        place: str = STORE,
    ) -> None:
        self.id = f"{place}:{name}"
        self.simulated = any(each.simulated for each in collected)
        self.intervals = frozenset(
            interval for interval in Interval if any(_is_part(each.series, interval) for each in collected)
        )
        self._reader, self._name, self._traded_at = reader, name, traded_at
        # Each with the span from its first candle to the close of its newest one.
        self._series = {
            each.series: Span(each.first_open, each.newest_close)
            for each in collected
            if each.first_open and each.newest_close
        }

        newest = Interval.DAY_1.floor(max(span.end for span in self._series.values()))
        oldest = min(span.start for span in self._series.values())
        # Sorts real prices first, then the newest data, to the day, then the longest.
        self.rank = self.simulated, EPOCH - newest, oldest - newest

    def traded(self, pair: Pair) -> Pair:
        """Return the pair that the source of these candles trades for `pair`."""
        return self._traded_at(self._name, pair)

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """Return the close of the newest candle of `interval` that is complete, at or before `limit` (UTC)."""
        return interval.floor(min(limit, self._series[self._best(pair, interval)].end))

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles that open in `span`, ascending, from the series with the newest and the most data.

        Shorter candles are joined. Those at both ends of what is stored are left out if they are incomplete.
        `Unreachable` is raised if the database cannot be read, or does not have candles of the pair that can be joined,
        and `UnusableHistory` if less than one whole `interval` is stored.
        """
        series = self._best(pair, interval)
        stored = self._series[series]
        whole = stored.whole(interval)
        what = f"{series.pair} {series.interval.label} of {self._name}"
        dates = f"{stored.start:%Y-%m-%d %H:%M} to {stored.end:%Y-%m-%d %H:%M} UTC"
        if whole.end <= whole.start:
            fault = f"{what} is stored from {dates}, which is not one whole {interval.label}"
            raise UnusableHistory(self.id, [f"{fault}; {_ADVICE.format(pair)}"])
        _log.info("%s: reading %s from the database, stored from %s", pair, what, dates)
        if whole.start > span.start:
            options = (
                f"--source {self._name} --pair {pair} --interval {series.interval.label} --since {span.start:%Y-%m-%d}"
            )
            _log.info("%s: `python collect.py --backfill %s` collects what is before", pair, options)
        request = Span(max(interval.floor(span.start), whole.start), min(interval.ceil(span.end), whole.end))
        return (candle for candle in self._read(series, interval, request) if candle.open_time in span)

    def _best(self, pair: Pair, interval: Interval) -> SeriesKey:
        """Return the series with the newest data; of several the one with the most data, then the longest candles."""
        own = (key for key in self._series if _is_part(key, interval) and is_of(key, pair, self._traded_at))

        def rank(series: SeriesKey) -> tuple[datetime, timedelta, timedelta]:
            span = self._series[series]
            newest = interval.floor(span.end)
            return newest, newest - span.start, series.interval.length

        best = max(own, key=rank, default=None)
        if best is None:  # like an exchange that does not answer: another source may take its place
            raise Unreachable(self.id, f"no candle of {pair} up to {interval.label} is stored; {_ADVICE.format(pair)}")
        return best

    def _read(self, series: SeriesKey, interval: Interval, span: Span) -> Iterator[Candle]:
        start = span.start
        while start < span.end:
            try:
                page = self._reader.joined(series, interval, Span(start, span.end), _PAGE)
            except DatabaseError as error:
                raise Unreachable(self.id, str(error)) from error
            yield from (stored_candle.candle for stored_candle in page)
            if len(page) < _PAGE:
                return
            start = page[-1].candle.open_time + interval.length


class Missing:
    """A database or a folder that cannot be used: whoever asks it gets the error, and may go on to another source."""

    simulated = False
    intervals = frozenset(Interval)

    def __init__(self, name: str, error: Unreachable | UnusableHistory) -> None:
        self.id = name
        self._error = error

    def traded(self, pair: Pair) -> Pair:
        """Return the pair itself."""
        return pair

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """Raise the error."""
        raise self._error

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:  # noqa: ARG002 the port's signature
        """Raise the error."""
        raise self._error


def open_stored(
    open_database: Callable[[], CollectedMarket], pairs: Sequence[Pair], traded_at: TradedAt
) -> Sequence[CandleSource]:
    """Return a source for each one from which some of `pairs` were collected, in order of preference.

    `traded_at` returns the pair that a source trades for another. Real prices come before simulated ones, then the
    newest data first, to the day, then the longest. A database that cannot be opened, or has none of `pairs`, is one
    source that raises `Unreachable`.
    """
    try:
        reader = open_database()
        collected = [
            each
            for each in reader.collected()
            if each.first_open and each.newest_close and any(is_of(each.series, pair, traded_at) for pair in pairs)
        ]
    except DatabaseError as error:
        return [Missing(STORE, Unreachable(STORE, str(error)))]
    if not collected:
        reason = f"no candle of {', '.join(map(str, pairs))} is stored; {_ADVICE.format(pairs[0])}"
        return [Missing(STORE, Unreachable(STORE, reason))]
    groups = groupby(collected, key=lambda each: each.series.source)
    return sorted(
        (Stored(reader, name, list(group), traded_at) for name, group in groups), key=lambda source: source.rank
    )


def _is_part(series: SeriesKey, interval: Interval) -> bool:
    """Return whether candles of `interval` can be made of those of a series."""
    return interval.seconds % series.interval.seconds == 0


def is_of(series: SeriesKey, pair: Pair, traded_at: TradedAt) -> bool:
    """Return whether a series has the prices of `pair`, or of the pair that its source trades in place of it."""
    try:
        return series.pair in {pair, traded_at(series.source, pair)}
    except UnusableHistory:
        return False
