"""Which spans of a series are asked for, and in which windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from crypto_predict.market import EPOCH, Interval, Span
from crypto_predict.market.ports import MOST_ATTEMPTS, StoredGap

# Candles in a window, which is asked for, judged and stored at once. That is less than a page of Alpaca's, so that one
# question is enough. Windows of minutes begin and end at midnight, like the sessions of a VWAP.
WINDOW = 8_640

REVISED = 5  # candles before the newest one that are asked for again: exchanges change them for some minutes

# When `--once` asks for a gap again: so long after it was found, for each attempt after the first one.
PATIENCE = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))

# `--once` asks again only for gaps that were younger than this when they were found: an exchange that was down delivers
# within days. In the years of a thin market there are gaps everywhere, and asking for them means to read it all again.
YOUNG = timedelta(days=2)


def uncovered(wanted: Span, covered: Iterable[Span]) -> Iterator[Span]:
    """Yield the parts of `wanted` that lie in none of `covered`, which are ascending and apart."""
    start = wanted.start
    for span in covered:
        if start < min(span.start, wanted.end):
            yield Span(start, min(span.start, wanted.end))
        start = max(start, span.end)
    if start < wanted.end:
        yield Span(start, wanted.end)


def windows(span: Span, interval: Interval) -> Iterator[Span]:
    """Divide a span into windows of at most `WINDOW` candles, cut at multiples of that length since 1970."""
    length = WINDOW * interval.length
    start = span.start
    while start < span.end:
        end = min(span.end, start + length - (start - EPOCH) % length)
        yield Span(start, end)
        start = end


def is_final(gap: StoredGap) -> bool:
    """Return whether the source has been asked often enough."""
    return gap.attempts >= MOST_ATTEMPTS


def due_at(gap: StoredGap) -> datetime | None:
    """Return when `--once` asks for a gap again; None if the gap is final, or was old when it was found."""
    if is_final(gap) or gap.found_at - gap.gap.end > YOUNG:
        return None
    return gap.found_at + PATIENCE[gap.attempts - 1]


def asked_again(gaps: Sequence[StoredGap], wanted: Span, interval: Interval) -> Iterator[Span]:
    """Yield one span for all of these gaps that lie in the same window, cut to `wanted`: one question for all."""
    first: Span | None = None
    for gap in gaps:
        part = Span(max(gap.gap.start, wanted.start), min(gap.gap.end, wanted.end))
        for window in windows(part, interval):
            joined = Span(window.start if first is None else first.start, window.end)
            if first is not None and len(list(windows(joined, interval))) > 1:
                yield first
                joined = window
            first = joined
    if first is not None:
        yield first
