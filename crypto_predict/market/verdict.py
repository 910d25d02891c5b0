"""The verdict on each candle of a series, and on each that is missing: did nobody trade, or did nobody listen?"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from crypto_predict.market.candle import Candle, StoredCandle
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
    asked: bool  # whether the source has answered for it; a candle missing then is one that the source does not have
    reason: str  # why the stream was not connected; empty otherwise
    stored: StoredCandle | None


@dataclass(frozen=True, slots=True)
class Silence:
    """Openings without a candle that share a verdict."""

    span: Span
    verdict: Verdict  # never `TRADED`
    reason: str  # why the stream was not connected; empty if it was


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
    stored = {stored_candle.candle.open_time: stored_candle for stored_candle in candles}
    for silence in silences(span, interval, streams):
        opening = silence.span.start
        while opening < silence.span.end:
            closing = opening + interval.length
            candle = stored.get(opening)
            if candle is not None:
                yield Judged(opening, of_candle(candle.candle), True, "", candle)
            else:
                is_covered = _is_covered(Span(opening, closing), covered)
                yield Judged(opening, silence.verdict, is_covered, silence.reason, None)
            opening = closing


def of_candle(candle: Candle) -> Verdict:
    """Return the verdict on an interval whose candle exists."""
    return Verdict.TRADED if candle.volume > 0 or candle.trades else Verdict.QUIET


def silences(span: Span, interval: Interval, streams: Sequence[StreamSpan]) -> Iterator[Silence]:
    """Yield the verdicts on the openings of `span` if their candles are missing: the longest parts that share one.

    `span` begins and ends on the grid of `interval`. `streams` are ascending and apart. The time that this takes
    depends on the number of those that overlap the span, not on its length.
    """
    first = bisect_right(streams, span.start, key=lambda stream: stream.span.end)
    streams = streams[first : bisect_left(streams, span.end, key=lambda stream: stream.span.start)]
    ends = [stream.span.end for stream in streams]
    begun: Silence | None = None
    for start, end in pairwise(_cuts(span, interval, streams)):
        # No stream begins or ends between two cuts, so all openings between them have the verdict of the first one.
        verdict, reason = _of_missing(Span(start, start + interval.length), streams, bisect_right(ends, start))
        if begun is not None and (begun.verdict, begun.reason) == (verdict, reason):
            begun = Silence(Span(begun.span.start, end), verdict, reason)
            continue
        if begun is not None:
            yield begun
        begun = Silence(Span(start, end), verdict, reason)
    if begun is not None:
        yield begun


def _cuts(span: Span, interval: Interval, streams: Iterable[StreamSpan]) -> list[datetime]:
    """Return the ends of `span`, and the openings in it at which a state can begin or have ended, ascending."""
    times = {span.start, span.end}
    for stream in streams:
        for edge in (stream.span.start, stream.span.end):
            times |= {interval.floor(edge), interval.ceil(edge)}
    return sorted(cut for cut in times if span.start <= cut <= span.end)


def _of_missing(opened: Span, streams: Sequence[StreamSpan], first: int) -> tuple[Verdict, str]:
    """Return the verdict on one interval without a candle, and its reason; no stream before `first` overlaps it."""
    overlapping = []
    while first < len(streams) and streams[first].span.start < opened.end:
        overlapping.append(streams[first])
        first += 1
    down = [stream for stream in overlapping if stream.state is StreamState.EXCHANGE_DOWN]
    if down:
        return Verdict.EXCHANGE_DOWN, down[0].reason
    if _is_connected_throughout(opened, overlapping):
        return Verdict.QUIET, ""
    reasons = [stream.reason for stream in overlapping if stream.state is StreamState.DISCONNECTED and stream.reason]
    return Verdict.DISCONNECTED, reasons[0] if reasons else NO_STREAM


def _is_connected_throughout(opened: Span, overlapping: Sequence[StreamSpan]) -> bool:
    if not all(part.state is StreamState.CONNECTED for part in overlapping):
        return False
    reached = opened.start
    for one in overlapping:
        if one.span.start > reached:
            return False
        reached = one.span.end
    return reached >= opened.end


def _is_covered(opened: Span, covered: Sequence[Span]) -> bool:
    """Return whether one of the spans, which are ascending and apart, contains all of `opened`."""
    index = bisect_right(covered, opened.start, key=lambda part: part.start) - 1
    return index >= 0 and opened.end <= covered[index].end
