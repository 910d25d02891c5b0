"""The answers of a database, as values; `rendering` turns them into JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, islice
from typing import NamedTuple

from crypto_predict.errors import CryptoPredictError, shown
from crypto_predict.market import DAY, EPOCH, Interval, Pair, SeriesKey, Span, StoredCandle, aggregate
from crypto_predict.market import digest as digest_of
from crypto_predict.market.ports import CollectedSeries, MarketReader
from crypto_predict.web.collected.questions import CandlesQuestion, DigestQuestion
from crypto_predict.wording import counted

MOST_PARTS = 50_000  # stored candles read for one page of resampled ones; the page ends early then
_PAGE = 10_000  # stored candles in memory at once
_LISTED = 20  # series in a message


class NotCollected(CryptoPredictError):
    """The database holds no series for the value `asked` of `parameter`, but those in `known`."""

    def __init__(self, parameter: str, asked: str, known: Iterable[CollectedSeries]) -> None:
        names = [f"{one.series.pair} {one.series.interval.label} from {one.series.source}" for one in known]
        more = f" and {counted(len(names) - _LISTED, 'more')}" if len(names) > _LISTED else ""
        held = f"the database holds {', '.join(names[:_LISTED])}{more}" if names else "the database is empty"
        super().__init__(f"{parameter}: {shown(asked)} is not collected; {held}")
        self.parameter = parameter


class Page(NamedTuple):
    """Candles of one series, ascending."""

    found: CollectedSeries  # that they were read from
    interval: Interval  # of the candles; a multiple of that of the series
    candles: Sequence[StoredCandle]
    following: datetime | None  # the start of the next page, UTC; None if there is none
    preceding: datetime | None  # the end of the page before, UTC; None if there is none, or a start was asked for

    def lasts(self, now: datetime) -> timedelta:
        """Return the time until the next candle closes; zero if a candle that has closed is still missing."""
        newest, closed = self.found.newest_close, self.interval.floor(now)
        is_behind = newest is None or self.interval.floor(newest) < closed
        return timedelta() if is_behind else closed + self.interval.length - now


class Example(NamedTuple):
    """A series to show in the documentation, and the day of its first candle."""

    series: SeriesKey
    day: date


@dataclass(frozen=True, slots=True)
class SeriesState:
    """One series of the database, and how complete it is."""

    pair: Pair
    source: str
    interval: str
    simulated: bool
    state: str
    start: datetime | None  # the first opening; None before the first candle
    end: datetime | None  # the newest close, which is not included
    lag_seconds: int | None  # from there to the newest close that can exist
    gaps: int
    missing: int  # candles in these gaps


@dataclass(frozen=True, slots=True)
class DayDigest:
    """The digest of the candles of one UTC day."""

    pair: Pair
    source: str
    interval: str
    day: date
    candles: int
    complete: bool  # whether the source was asked for the whole day
    sha256: str
    simulated: bool


def series(reader: MarketReader, now: datetime) -> list[SeriesState]:
    """Return the state of every series, sorted by pair, source and interval."""
    found = sorted(reader.collected(), key=lambda one: _rank(one.series))
    return [state(one, now) for one in found]


def example(reader: MarketReader) -> Example | None:
    """Return the first series that has candles, if one has.

    Raises:
        DatabaseError: The database cannot be read.
    """
    found = sorted(reader.collected(), key=lambda one: _rank(one.series))
    return next((Example(one.series, one.first_open.date()) for one in found if one.first_open is not None), None)


def candles(reader: MarketReader, question: CandlesQuestion) -> Page:
    """Return a page of candles that open from `start` on and before `end`.

    Without a start it is the newest `limit` intervals before the end. Candles that are not stored are resampled from
    shorter ones, but only where the source was asked for all of the interval. The VWAP of a resampled candle is that of
    its last part. A page of them may end before its limit.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold such candles.
    """
    found, interval = _choose(reader.collected(), question.pair, question.interval, question.source)
    return _page(reader, found, question, interval)


def digest(reader: MarketReader, question: DigestQuestion) -> DayDigest:
    """Return the digest of one day.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold such candles.
    """
    start = datetime.combine(question.day, time(), UTC)
    day = Span(start, start + DAY)
    found, interval = _choose(reader.collected(), question.pair, question.interval, question.source)
    asked = CandlesQuestion(question.pair, interval, day.start, day.end, DAY // interval.length)
    rows = [candle for candle, _ in _page(reader, found, asked, interval).candles]
    return DayDigest(
        pair=question.pair,
        source=found.series.source,
        interval=interval.label,
        day=question.day,
        candles=len(rows),
        complete=any(span.start <= day.start and day.end <= span.end for span in reader.coverage(found.series)),
        sha256=digest_of(rows, interval),
        simulated=found.simulated,
    )


def _choose(
    collected: Sequence[CollectedSeries], pair: Pair, interval: Interval | None, source: str | None
) -> tuple[CollectedSeries, Interval]:
    """Return the series to read, and the interval of its candles: by default the shortest one.

    Of each source it is the series of the interval, or the shortest that divides it. A real source comes before a
    simulated one, then the one with the newest candle.
    """
    of_pair = [one for one in collected if one.series.pair == pair]
    if not of_pair:
        raise NotCollected("pair", str(pair), sorted(collected, key=lambda one: _rank(one.series)))
    of_source = [one for one in of_pair if source in {None, one.series.source}]
    if not of_source:
        raise NotCollected("source", source or "", of_pair)
    if interval is None:
        shortest = max(of_source, key=lambda one: (*_merit(one, one.series.interval), -one.series.interval.seconds))
        return shortest, shortest.series.interval
    usable = [one for one in of_source if interval.seconds % one.series.interval.seconds == 0]
    if not usable:
        raise NotCollected("interval", interval.label, of_source)
    names = sorted({one.series.source for one in usable})
    best = [_stored(interval, [one for one in usable if one.series.source == name]) for name in names]
    return max(best, key=lambda one: _merit(one, interval)), interval


def _stored(interval: Interval, of_source: Sequence[CollectedSeries]) -> CollectedSeries:
    """Return the series of one source from which candles of `interval` are read."""
    filled = [one for one in of_source if one.newest_close is not None] or of_source
    exact = [one for one in filled if one.series.interval is interval]
    return min(exact or filled, key=lambda one: one.series.interval.seconds)


def _merit(one: CollectedSeries, interval: Interval) -> tuple[bool, bool, datetime]:
    """Return what a better source has more of: candles at all, real ones, new ones."""
    newest = one.newest_close
    return newest is not None, not one.simulated, EPOCH if newest is None else interval.floor(newest)


def _page(reader: MarketReader, found: CollectedSeries, question: CandlesQuestion, interval: Interval) -> Page:
    """Return a page of candles of `interval` from one series."""
    known = _known(reader, found, interval)
    if not known:
        return Page(found, interval, (), None, None)
    limit, newest, parts = question.limit, known[-1].end, interval.seconds // found.series.interval.seconds
    end = newest if question.end is None else min(interval.ceil(question.end), newest)
    if question.start is None:
        start = end - min(limit, MOST_PARTS // parts) * interval.length
    else:
        start = interval.ceil(question.start)
    spans = [Span(max(span.start, start), min(span.end, end)) for span in known]
    stored = _read(reader, found.series, spans, min(_PAGE, (limit + 1) * parts))
    rows, following = _join(stored, interval, limit) if parts > 1 else _cut(stored, limit)
    has_earlier = question.start is None and known[0].start < start
    return Page(found, interval, rows, following, start if has_earlier else None)


def _known(reader: MarketReader, found: CollectedSeries, interval: Interval) -> list[Span]:
    """Return the spans, ascending, of which every candle of `interval` can be read, on its grid.

    Those are all where candles of that interval are stored; where they are resampled, the spans for which the source
    was asked.
    """
    if found.first_open is None or found.newest_close is None:
        return []
    if found.series.interval is interval:
        return [Span(found.first_open, found.newest_close)]
    latest = interval.ceil(found.newest_close)
    spans = [covered.whole(interval) for covered in reader.coverage(found.series)]
    return [Span(span.start, min(span.end, latest)) for span in spans if span.start < min(span.end, latest)]


def _join(parts: Iterable[StoredCandle], interval: Interval, limit: int) -> tuple[list[StoredCandle], datetime | None]:
    """Return at most `limit` candles made of ascending parts, and the opening of the next one, if there is one."""
    rows: list[StoredCandle] = []
    read = 0
    for number, group in groupby(parts, key=lambda part: part.candle.open_time.timestamp() // interval.seconds):
        if len(rows) == limit or read >= MOST_PARTS:
            return rows, EPOCH + number * interval.length
        members = list(group)
        read += len(members)
        (joined,) = aggregate((member.candle for member in members), interval)
        rows.append(StoredCandle(joined, members[-1].vwap))
    return rows, None


def _cut(stored: Iterable[StoredCandle], limit: int) -> tuple[list[StoredCandle], datetime | None]:
    """Return at most `limit` candles, and the opening of the next one, if there is one."""
    rows = list(islice(stored, limit + 1))
    return rows[:limit], rows[limit].candle.open_time if len(rows) > limit else None


def _read(reader: MarketReader, key: SeriesKey, spans: Iterable[Span], page: int) -> Iterator[StoredCandle]:
    """Yield the stored candles of ascending spans."""
    for span in spans:
        start = span.start
        while start < span.end:
            rows = reader.candles(key, Span(start, span.end), page)
            yield from rows
            start = rows[-1].candle.open_time + key.interval.length if len(rows) == page else span.end


def state(one: CollectedSeries, now: datetime) -> SeriesState:
    """Return the state of one series at the instant `now`."""
    lag = one.lag(now)
    return SeriesState(
        pair=one.series.pair,
        source=one.series.source,
        interval=one.series.interval.label,
        simulated=one.simulated,
        state=one.state,
        start=one.first_open,
        end=one.newest_close,
        lag_seconds=None if lag is None else max(lag // timedelta(seconds=1), 0),
        gaps=one.gaps,
        missing=one.missing,
    )


def _rank(key: SeriesKey) -> tuple[Pair, str, int]:
    return key.pair, key.source, key.interval.seconds
