"""Pages of candles: asking for the next one by time, and joining pages that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from crypto_predict.errors import SourceError
from crypto_predict.market import Candle, Interval, Span


def forwards(source: str, ask: Callable[[Span], Sequence[Candle]], span: Span, interval: Interval) -> Iterator[Candle]:
    """Yield every candle that opens in `span`, ascending, each opening once: the last copy wins.

    `ask` returns the first candles of a span, as many as fit into a page. The next page begins after the newest of
    them. A short page is not the last one, an empty page is.

    Raises:
        SourceError: A page has candles, but not one of the span that was asked for.
    """
    while span.start < span.end and (received := ask(span)):
        page = {candle.open_time: candle for candle in received if candle.open_time in span}
        if not page:
            asked = f"{span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M}"
            raise SourceError(source, f"it was asked for candles from {asked}, and sent others")
        openings = sorted(page)
        yield from (page[opening] for opening in openings)
        span = Span(openings[-1] + interval.length, span.end)


def in_order(pages: Iterable[Sequence[Candle]], hold: int) -> Iterator[Candle]:
    """Yield the candles of overlapping pages in ascending order, each opening once: the last copy wins.

    The newest `hold` candles are held back, because the next page may contain them again.
    """
    held: dict[datetime, Candle] = {}  # opening to candle
    given: datetime | None = None
    for page in pages:
        held.update((candle.open_time, candle) for candle in page if given is None or candle.open_time > given)
        for given in sorted(held)[:-hold]:
            yield held.pop(given)
    yield from (held[opening] for opening in sorted(held))
