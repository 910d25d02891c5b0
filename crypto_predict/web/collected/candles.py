"""Candles of a pair, with VWAP, in JSON or CSV.

Candles ascend, one a row; the opening names a candle. `vwap` is the volume-weighted average price of its UTC day up to
its end, of typical prices `(high + low + close) / 3`.

An interval that is not stored is resampled from the shortest stored one, which `resampled_from` names. A candle is
complete once the source was asked for everything from its opening to its close; incomplete ones are left out. Times
without candles stay gaps. A page rests on 50,000 stored candles at most.

Without `start` the answer is the newest `limit` intervals before `end`, and `Link` has the page before it
(`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`). A page may have fewer than
`limit` candles; the last one has no link.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from crypto_predict.market import EPOCH, Candle, Interval, SeriesKey, Span, StoredCandle, aggregate
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import INSTANT, NULL, NUMBER, Question, instant
from crypto_predict.web.collected.series import INTERVAL
from crypto_predict.web.collected.tables import Page, Table
from crypto_predict.web.http.schemas import or_null

MOST_PARTS = 50_000  # stored candles read for one page of resampled ones; the page ends early then
ARRIVAL = timedelta(seconds=1)  # after its close, at which a candle of a live stream is stored
_PAGE = 10_000  # stored candles in memory at once


def until_next(page: Page[Any], asks: Question, now: datetime) -> timedelta:
    """Return the time until the next candle is expected; zero if a candle that has closed is still missing."""
    interval, newest = asks.interval or page.collected.series.interval, page.collected.newest_close
    closed = interval.floor(now)
    is_behind = newest is None or interval.floor(newest) < closed
    return timedelta() if is_behind else closed + interval.length + ARRIVAL - now


def read(reader: Connection, collected: CollectedSeries, asks: Question) -> Page[StoredCandle]:
    """Return a page of candles of the interval of the question of a series that open from `start` on and before `end`.

    Without a start it is the newest `limit` intervals before the end. Candles that are not stored are resampled from
    shorter ones, but only where the source was asked for all of the interval. The VWAP of a resampled candle is that of
    its last part. A page of them may end before its limit.
    """
    interval = asks.interval or collected.series.interval
    spans = _readable(reader, collected, interval)
    if not spans:
        return Page(collected, ())
    limit, newest, parts = asks.limit, spans[-1].end, interval.seconds // collected.series.interval.seconds
    end = newest if asks.end is None else min(interval.ceil(asks.end), newest)
    longest = min(limit, MOST_PARTS // parts) * interval.length
    start = end - longest if asks.start is None else interval.ceil(asks.start)
    parted = [Span(max(span.start, start), min(span.end, end)) for span in spans]
    stored = _read(reader, collected.series, parted, min(_PAGE, (limit + 1) * parts))
    if parts > 1:
        rows, following = _join(stored, interval, limit)
    else:
        rows = list(islice(stored, limit + 1))
        following = rows[limit].candle.open_time if len(rows) > limit else None
        rows = rows[:limit]
    has_earlier = asks.start is None and spans[0].start < start
    return Page(collected, rows, following, start if has_earlier else None)


def _readable(reader: Connection, collected: CollectedSeries, interval: Interval) -> list[Span]:
    """Return the ascending spans, on its grid, in which `interval` can be read; if resampled, those asked for."""
    if collected.first_open is None or collected.newest_close is None:
        return []
    if collected.series.interval is interval:
        return [Span(collected.first_open, collected.newest_close)]
    latest = interval.ceil(collected.newest_close)
    spans = [covered.whole(interval) for covered in reader.coverage(collected.series)]
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


def _read(reader: Connection, key: SeriesKey, spans: Iterable[Span], page: int) -> Iterator[StoredCandle]:
    """Yield the stored candles of ascending spans."""
    for span in spans:
        start = span.start
        while start < span.end:
            rows = reader.candles(key, Span(start, span.end), page)
            yield from rows
            start = rows[-1].candle.open_time + key.interval.length if len(rows) == page else span.end


def _members(page: Page[StoredCandle], asks: Question) -> dict[str, object]:
    stored = page.collected.series.interval
    interval = asks.interval or stored
    return {"interval": interval.label, "resampled_from": None if stored is interval else stored.label}


TABLE: Table[StoredCandle] = Table(
    path="/candles/{}",
    name="candles",
    columns=("time", *Candle._fields[1:], "vwap"),  # what a source does not have is null in JSON and empty in CSV
    kinds=[INSTANT, NUMBER, NULL],
    remark=" Of the last five each may be null.",
    read=lambda reader, collected, asks, _: read(reader, collected, asks),
    values=lambda stored, _: (instant(stored.candle.open_time), *stored.candle[1:], stored.vwap),
    until_next=until_next,
    interval=None,
    is_versioned=True,
    parameters=("interval",),
    members=_members,
)
OPERATION = TABLE.operation(
    __doc__,
    1,
    "Candles",
    lambda sample: list(map(StoredCandle, sample.candles, (67_066.8, 67_076.6))),
    interval=INTERVAL,
    resampled_from=or_null(INTERVAL),
)
