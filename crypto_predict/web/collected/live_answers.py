"""What live streams leave in a database, as values: the verdict on each minute, and the top of the book."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from crypto_predict.market import EPOCH, Interval, Quote, Span
from crypto_predict.market.ports import ACTIVE, BuiltCandle, CollectedSeries, MarketReader
from crypto_predict.market.verdict import Judged, judge
from crypto_predict.web.collected.answers import ARRIVAL, Page
from crypto_predict.web.collected.questions import LATEST, PageQuestion
from crypto_predict.web.collected.series import choose, of_pair

MINUTE = Interval.MINUTE_1
JUDGED_AFTER = timedelta(minutes=1)  # from the end of a minute, until its candle or the state of the stream is stored


class Minute(NamedTuple):
    """A minute with its verdict."""

    judged: Judged
    built: BuiltCandle | None  # the candle built from the ticks of the stream, if that sends ticks


def minutes(reader: MarketReader, question: PageQuestion, now: datetime) -> Page[Minute]:
    """Return a page of minutes from `start` on and before `end`: every one, whether it has a candle or not.

    Without a start it is the newest `limit` minutes before the end. Minutes are known from the first one that was
    collected or asked for, to the newest one; while the series is collected, up to `JUDGED_AFTER` before `now`.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold minutes of the pair, or not from that source.
    """
    found, _ = choose(of_pair(reader, question.pair, MINUTE), MINUTE, question.source)
    covered = reader.coverage(found.series)
    known = _known(found, covered, now)
    if known is None:
        return Page(found, MINUTE, (), None, None)
    end = known.end if question.end is None else min(MINUTE.ceil(question.end), known.end)
    asked = end - question.limit * MINUTE.length if question.start is None else MINUTE.ceil(question.start)
    start = max(asked, known.start)
    span = Span(start, max(start, min(end, start + question.limit * MINUTE.length)))
    stored = reader.candles(found.series, span, question.limit)
    streams = reader.streams(found.series.source, found.series.pair, span)
    built = {one.open_time: one for one in reader.built(found.series, span, question.limit)}
    rows = [Minute(one, built.get(one.open_time)) for one in judge(span, MINUTE, stored, streams, covered)]
    has_earlier = question.start is None and known.start < start
    return Page(found, MINUTE, rows, span.end if span.end < end else None, start if has_earlier else None)


def quotes(reader: MarketReader, question: PageQuestion) -> Page[Quote]:
    """Return a page of quotes from `start` on and before `end`; without a start the newest `limit` before the end.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold minutes of the pair, or not from that source.
    """
    found, _ = choose(of_pair(reader, question.pair, MINUTE), MINUTE, question.source)
    span = Span(question.start or EPOCH, question.end or LATEST)
    is_newest = question.start is None
    rows = reader.quotes(found.series.source, found.series.pair, span, question.limit + 1, newest=is_newest)
    if len(rows) <= question.limit:
        return Page(found, MINUTE, rows, None, None)
    if is_newest:
        return Page(found, MINUTE, rows[1:], None, rows[1].time)
    return Page(found, MINUTE, rows[:-1], rows[-1].time, None)


def until_next_quote(page: Page[Quote], now: datetime) -> timedelta:
    """Return the time until a quote is expected after the last one of a page; zero if it is late."""
    if not page.rows:
        return timedelta()
    return max(page.rows[-1].time + MINUTE.length + ARRIVAL - now, timedelta())


def _known(found: CollectedSeries, covered: Sequence[Span], now: datetime) -> Span | None:
    """Return the span of all minutes that have a verdict; None before the first candle or answer."""
    spans = [Span(covered[0].start, covered[-1].end)] if covered else []
    if found.first_open is not None and found.newest_close is not None:
        spans.append(Span(found.first_open, found.newest_close))
    if not spans:
        return None
    ends = [span.end for span in spans]
    if found.state == ACTIVE:
        ends.append(MINUTE.floor(now - JUDGED_AFTER))
    return Span(min(span.start for span in spans), max(ends))
