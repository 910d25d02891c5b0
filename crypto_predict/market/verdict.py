"""The verdict on each candle of a series, and on each that is missing: did nobody trade, or did nobody listen?"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from itertools import groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

from crypto_predict.market.candle import StoredCandle
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.market.interval import Interval, Span

NO_STREAM = "no live stream was recorded"


class Verdict(Enum):
    """What was going on in the interval of a candle."""

    TRADED = "traded"  # its candle has a volume, or trades
    QUIET = "quiet"  # its candle has neither, or is missing although the stream was connected throughout
    DISCONNECTED = "disconnected"  # its candle is missing, and the stream was not connected throughout
    EXCHANGE_DOWN = "exchange down"  # its candle is missing, and the exchange had answered that it is not available


class Judged(NamedTuple):
    """One opening of a series, with its verdict."""

    open_time: datetime  # UTC
    verdict: Verdict
    is_asked: bool  # whether the source has answered for it; a candle missing then is one that the source does not have
    reason: str  # why the stream was not connected; empty otherwise
    stored: StoredCandle | None


# Openings without a candle that share a verdict, which is never `TRADED`, and a reason as that of `Judged`.
Silence = tuple[Span, Verdict, str]


def judge(
    span: Span,
    interval: Interval,
    candles: Iterable[StoredCandle],
    streams: Sequence[StreamSpan],
    covered: Sequence[Span],
) -> Iterator[Judged]:
    """Yield every opening of `span`, which begins and ends on the grid of `interval`, ascending.

    `candles` are those of the span; `streams` and `covered` are ascending and apart, as the ports return them.
    """
    stored = {row.candle.open_time: row for row in candles}
    for silent, verdict, reason in silences(span, interval, streams):
        opening = silent.start
        while opening < silent.end:
            closing = opening + interval.length
            if (row := stored.get(opening)) is not None:
                is_traded = row.candle.volume > 0 or row.candle.trades
                yield Judged(opening, Verdict.TRADED if is_traded else Verdict.QUIET, True, "", row)
            else:
                before = bisect_right(covered, opening, key=lambda part: part.start)
                is_covered = before > 0 and closing <= covered[before - 1].end
                yield Judged(opening, verdict, is_covered, reason, None)
            opening = closing


def silences(span: Span, interval: Interval, streams: Sequence[StreamSpan]) -> Iterator[Silence]:
    """Yield the verdicts on the openings of `span` if their candles are missing: the longest parts that share one.

    `span` begins and ends on the grid of `interval`. `streams` are ascending and apart. The time that this takes
    depends on the number of those that overlap the span, not on its length.
    """
    first = bisect_right(streams, span.start, key=lambda stream: stream.span.end)
    streams = streams[first : bisect_left(streams, span.end, key=lambda stream: stream.span.start)]
    starts, ends = [stream.span.start for stream in streams], [stream.span.end for stream in streams]
    parts = []
    for start, end in pairwise(_cuts(span, interval, streams)):
        # No stream begins or ends between two cuts, so all openings between them have the verdict of the first one.
        opened = Span(start, start + interval.length)
        overlapping = streams[bisect_right(ends, start) : bisect_left(starts, opened.end)]
        parts.append((Span(start, end), _of_missing(opened, overlapping)))
    for (verdict, reason), group in groupby(parts, key=itemgetter(1)):
        spans = [part for part, _ in group]
        yield Span(spans[0].start, spans[-1].end), verdict, reason


def _cuts(span: Span, interval: Interval, streams: Iterable[StreamSpan]) -> list[datetime]:
    """Return the ends of `span`, and the openings in it at which a state can begin or have ended, ascending."""
    times = {span.start, span.end}
    for stream in streams:
        for edge in (stream.span.start, stream.span.end):
            times |= {interval.floor(edge), interval.ceil(edge)}
    return sorted(cut for cut in times if span.start <= cut <= span.end)


def _of_missing(opened: Span, overlapping: Sequence[StreamSpan]) -> tuple[Verdict, str]:
    """Return the verdict on one interval without a candle, and its reason."""
    down = [stream for stream in overlapping if stream.state is StreamState.EXCHANGE_DOWN]
    if down:
        return Verdict.EXCHANGE_DOWN, down[0].reason
    reached = opened.start  # from the opening on, up to where it was connected throughout
    for stream in overlapping:
        if stream.state is StreamState.CONNECTED and stream.span.start <= reached:
            reached = stream.span.end
    reasons = [stream.reason for stream in overlapping if stream.state is StreamState.DISCONNECTED]
    if reached >= opened.end and not reasons:
        return Verdict.QUIET, ""
    return Verdict.DISCONNECTED, next(filter(None, reasons), NO_STREAM)
