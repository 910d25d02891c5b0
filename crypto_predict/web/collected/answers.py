"""The answers of a database, as values; `rendering` turns them into JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, islice
from typing import Generic, NamedTuple, TypeVar

from crypto_predict.market import DAY, EPOCH, Interval, Pair, SeriesKey, Span, StoredCandle, aggregate
from crypto_predict.market import digest as digest_of
from crypto_predict.market.ports import CollectedSeries, MarketReader
from crypto_predict.web.collected.questions import DigestQuestion, PageQuestion
from crypto_predict.web.collected.series import choose, of_pair

MOST_PARTS = 50_000  # stored candles read for one page of resampled ones; the page ends early then
_PAGE = 10_000  # stored candles in memory at once
ARRIVAL = timedelta(seconds=1)  # after its close, at which a candle of a live stream is stored

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """Rows of one series, ascending: candles, unless it says otherwise."""

    found: CollectedSeries  # that they were read from
    interval: Interval  # of the candles; a multiple of that of the series
    rows: Sequence[T]
    following: datetime | None  # the start of the next page, UTC; None if there is none
    preceding: datetime | None  # the end of the page before, UTC; None if there is none, or a start was asked for


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


def until_next(found: CollectedSeries, interval: Interval, now: datetime) -> timedelta:
    """Return the time until the next candle is expected; zero if a candle that has closed is still missing."""
    newest, closed = found.newest_close, interval.floor(now)
    is_behind = newest is None or interval.floor(newest) < closed
    return timedelta() if is_behind else closed + interval.length + ARRIVAL - now


def candles(
    reader: MarketReader, found: CollectedSeries, interval: Interval, question: PageQuestion
) -> Page[StoredCandle]:
    """Return a page of candles of `interval` of a series that open from `start` on and before `end`.

    Without a start it is the newest `limit` intervals before the end. Candles that are not stored are resampled from
    shorter ones, but only where the source was asked for all of the interval. The VWAP of a resampled candle is that of
    its last part. A page of them may end before its limit.

    Raises:
        DatabaseError: The database cannot be read.
    """
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


def digest(reader: MarketReader, question: DigestQuestion) -> DayDigest:
    """Return the digest of one day.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold such candles.
    """
    start = datetime.combine(question.day, time(), UTC)
    day = Span(start, start + DAY)
    found, interval = choose(of_pair(reader, question.pair), question.interval, question.source)
    asked = PageQuestion(question.pair, interval, day.start, day.end, DAY // interval.length)
    rows = [candle for candle, _ in candles(reader, found, interval, asked).rows]
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
        if not joined.faults():  # the sum of enormous volumes is infinite
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
