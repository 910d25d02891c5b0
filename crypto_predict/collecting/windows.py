"""Which spans of a series are asked for, and in which windows."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from crypto_predict.market import EPOCH, Interval, Span, StoredGap
from crypto_predict.market.collected import MOST_ATTEMPTS

# Candles in a window, which is asked for, judged and stored at once: whole pages of 500 or 1,000, and less than one of
# 10,000. So no request is spent on a part of a page.
WINDOW = 9_000

REVISED = 5  # candles before the newest one that are asked for again: exchanges change them for some minutes

TAIL = 1_000  # candles: the newest end of a series, which is asked for before anything else
NEAR = 60  # candles between two spans that are one question

# When a gap is asked for again by `--once` and by the live collector: so long after it was found, for each attempt
# after the first one.
PATIENCE = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))

# They ask again only for gaps that were younger than this when they were found: an exchange that was down delivers
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
    """Return when a gap is asked for again; None if the gap is final, or was old when it was found."""
    if is_final(gap) or gap.found_at - gap.end > YOUNG:
        return None
    return gap.found_at + PATIENCE[gap.attempts - 1]


def is_due(gap: StoredGap, now: datetime) -> bool:
    """Return whether a gap is asked for again at `now` (UTC)."""
    due = due_at(gap)
    return due is not None and due <= now


def asked_again(gaps: Sequence[StoredGap], wanted: Span, interval: Interval) -> Iterator[Span]:
    """Yield one span for all of these gaps that lie in the same window, cut to `wanted`: one question for all."""
    questions: list[Span] = []
    for gap in gaps:
        for window in windows(Span(max(gap.start, wanted.start), min(gap.end, wanted.end)), interval):
            joined = Span(questions[-1].start, window.end) if questions else window
            if questions and len(list(windows(joined, interval))) == 1:
                questions[-1] = joined
            else:
                questions.append(window)
    yield from questions


def newest_pieces(
    wanted: Span, covered: Iterable[Span], newest_close: datetime | None, interval: Interval
) -> Iterator[tuple[Span, datetime]]:
    """Yield what is asked for at the newest end of a series, ascending: what `wanted` lacks, and the newest few.

    Each span comes with the instant before which it is covered already. Spans that are near are one question.
    """
    pieces = [(part, part.start) for part in uncovered(wanted, covered)]
    if newest_close is not None:
        end = min(newest_close, wanted.end)
        again = Span(max(wanted.start, end - REVISED * interval.length), end)
        pieces += [(again, again.end)] if again.start < again.end else []
    questions: list[tuple[Span, datetime]] = []
    for span, asked_before in sorted(pieces, key=lambda piece: piece[0].start):
        if questions and span.start - questions[-1][0].end <= NEAR * interval.length:
            before, before_asked = questions.pop()
            span = Span(before.start, max(before.end, span.end))  # noqa: PLW2901 joined
            asked_before = min(before_asked, asked_before)  # noqa: PLW2901 joined
        questions.append((span, asked_before))
    yield from questions


def due_pieces(gaps: Sequence[StoredGap], wanted: Span, interval: Interval, now: datetime) -> Iterator[Span]:
    """Yield the spans of the gaps that are due. A gap between two of them that is not due is not asked for."""
    for due, run in groupby(gaps, lambda gap: is_due(gap, now)):
        if due:
            yield from asked_again(list(run), wanted, interval)
