"""Pages of candles: asking for the next one by time."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from crypto_predict.errors import SourceError
from crypto_predict.market import Candle, Interval, Span
from crypto_predict.sources.network.session import answered

# After its close a candle may still change for a while, `history.SETTLE`. A Date may be a second old.
FINISHED = timedelta(seconds=4)


def forwards(source: str, ask: Callable[[Span], Sequence[Candle]], span: Span, interval: Interval) -> Iterator[Candle]:
    """Yield every candle that opens in `span`, ascending, each opening once: the last copy wins.

    `ask` returns the first candles of a span, as many as fit into a page. The next page begins after the newest of
    them. A short page is not the last one, an empty page is. A page without any candle of its span is an error.
    """
    while span.start < span.end and (received := ask(span)):
        page = {candle.open_time: candle for candle in received if candle.open_time in span}
        if not page:
            period = f"{span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M}"
            raise SourceError(source, f"it was asked for candles from {period}, and sent others")
        openings = sorted(page)
        yield from (page[opening] for opening in openings)
        span = Span(openings[-1] + interval.length, span.end)


def in_windows(ask: Callable[[Span], Sequence[Candle]], interval: Interval, span: Span, page: int) -> Iterator[Candle]:
    """Yield every candle that opens in `span`, ascending, from windows of at most `page` candles, one answer.

    An answer may be short at either end. What lies before its first and after its last candle is asked for again until
    nothing more comes.
    """
    start = span.start
    while start < span.end:
        window = Span(start, min(start + page * interval.length, span.end))
        candles_of_window: dict[datetime, Candle] = {}
        unknown = [window]
        while unknown:
            part = unknown.pop()
            if interval.ceil(part.start) >= part.end:  # no candle opens there
                continue
            candles = {candle.open_time: candle for candle in ask(part) if candle.open_time in part}
            candles_of_window |= candles
            if candles:
                after = interval.floor(max(candles)) + interval.length
                unknown += [Span(part.start, min(candles)), Span(after, part.end)]
        yield from (candles_of_window[opening] for opening in sorted(candles_of_window))
        start = window.end


def closed(candles: Sequence[Candle], interval: Interval, end: datetime) -> list[Candle]:
    """Return the candles of the answer that has just come, without those that were open when it was sent.

    The exchange's own clock decides, by the ``Date`` of its answer: that of this machine may be wrong. Without a
    ``Date`` all are returned, and so are always those that close after `end` (UTC), that of the span asked for.
    """
    date = answered()
    if date is None:
        return list(candles)
    latest, finished = end - interval.length, interval.length + FINISHED
    return [candle for candle in candles if candle.open_time > latest or date - candle.open_time >= finished]
