"""Candles of a pair, with VWAP, in JSON or CSV.

Candles ascend, one a row; the opening names a candle. `vwap` is the volume-weighted average price of its UTC day up to
its end, of typical prices `(high + low + close) / 3`.

An interval that is not stored is made of the shortest stored one, which `resampled_from` names. A candle is complete
once the source was asked for everything from its opening to its close; incomplete ones are left out. Times without
candles stay gaps. Weeks begin on Monday. Quarter hours and longer candles stay when minutes are deleted.

Without `start` the answer is the newest `limit` intervals before `end`, and `Link` has the page before it
(`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`). A page may have fewer than
`limit` candles; the last one has no link.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from crypto_predict.market import Candle, Interval, Span, StoredCandle
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import INSTANT, NULL, NUMBER, Question, instant
from crypto_predict.web.collected.series import INTERVAL
from crypto_predict.web.collected.tables import Page, Table
from crypto_predict.web.http.schemas import or_null

MOST_PARTS = 50_000  # stored candles read for one page of longer ones that have no rollups yet; it ends early then
ARRIVAL = timedelta(seconds=1)  # after its close, at which a candle of a live stream is stored


def until_next(page: Page[Any], asks: Question, now: datetime) -> timedelta:
    """Return the time until the next candle is expected; zero if a candle that has closed is still missing."""
    interval, newest = asks.interval or page.collected.series.interval, page.collected.newest_close
    closed = interval.floor(now)
    is_behind = newest is None or interval.floor(newest) < closed
    return timedelta() if is_behind else closed + interval.length + ARRIVAL - now


def read(reader: Connection, collected: CollectedSeries, asks: Question) -> Page[StoredCandle]:
    """Return a page of candles of the interval of the question of a series that open from `start` on and before `end`.

    Without a start it is the newest `limit` intervals before the end. Candles that are not stored are made of shorter
    ones, but only where the source was asked for all of the interval. The VWAP of such a candle is that of its last
    part. A page of them may end before its limit.
    """
    interval = asks.interval or collected.series.interval
    spans = _readable(reader, collected, interval)
    if not spans:
        return Page(collected, ())
    limit, newest, parts = asks.limit, spans[-1].end, interval.seconds // collected.series.interval.seconds
    end = newest if asks.end is None else min(interval.ceil(asks.end), newest)
    longest = (limit if collected.is_rolled else min(limit, MOST_PARTS // parts)) * interval.length
    start = end - longest if asks.start is None else max(interval.ceil(asks.start), spans[0].start)
    until = end if collected.is_rolled or parts == 1 else min(end, start + longest)
    rows = reader.joined(collected.series, interval, Span(start, until), limit + 1)
    following = rows[limit].candle.open_time if len(rows) > limit else until if until < end else None
    has_earlier = asks.start is None and spans[0].start < start
    return Page(collected, complete(rows[:limit], spans), following, start if has_earlier else None)


def complete(rows: Iterable[StoredCandle], spans: Sequence[Span]) -> list[StoredCandle]:
    """Return those of ascending candles that open in ascending spans."""
    remaining, result = deque(spans), list[StoredCandle]()
    for row in rows:
        while remaining and remaining[0].end <= row.candle.open_time:
            remaining.popleft()
        if remaining and row.candle.open_time in remaining[0]:
            result.append(row)
    return result


def _readable(reader: Connection, collected: CollectedSeries, interval: Interval) -> Sequence[Span]:
    """Return the ascending spans, on its grid, in which `interval` can be read; if resampled, those asked for."""
    first, newest = collected.first_open, collected.newest_close
    if collected.series.interval is interval:
        return [] if first is None or newest is None else [Span(first, newest)]
    spans = reader.covered(collected.series, interval)
    if newest is None:  # all candles are deleted; there may be rollups of them
        return spans
    latest = interval.ceil(newest)
    return [Span(span.start, min(span.end, latest)) for span in spans if span.start < latest]


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
