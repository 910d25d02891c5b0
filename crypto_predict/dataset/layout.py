"""Months, and the paths of their files, which DuckDB, polars and pandas read as columns of a table."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH, SeriesKey, Span

PARQUET, CSV = "parquet", "csv"
KINDS = (PARQUET, CSV)
MANIFEST = "manifest.json"

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")  # what needs no escape in a path, on any system


def month_of(instant: datetime) -> Span:
    """Return the month (UTC) that contains an instant."""
    start = datetime(instant.year, instant.month, 1, tzinfo=UTC)
    return Span(start, _first_of_month(start + timedelta(days=31)))


def months(span: Span) -> Iterator[Span]:
    """Yield the months that overlap a span, whole and ascending."""
    month = month_of(span.start)
    while month.start < span.end:
        yield month
        month = month_of(month.end)


def whole_months(span: Span) -> Span:
    """Return the shortest span of whole months that contains another."""
    end = month_of(span.end)
    return Span(month_of(span.start).start, span.end if span.end == end.start else end.end)


def path_of(series: SeriesKey, opening: datetime, kind: str) -> str:
    """Return the path in the folder of the file with the candle that opens at `opening`: ``source=binance/...``.

    Raise `InvalidValue` if the source has a name that cannot be part of a path.
    """
    if not _SOURCE.fullmatch(series.source):
        raise InvalidValue("source", series.source, "a name of letters, digits, - and _, which a path can have")
    place = f"source={series.source}/pair={series.pair.slug}/interval={series.interval.label}"
    return f"{place}/{opening:%Y-%m}.{kind}"


def most_rows(series: SeriesKey) -> int:
    """Return how many openings a month can have at most."""
    return timedelta(days=31) // series.interval.length + 1


def beyond(span: Span, *, before: bool, after: bool) -> Span:
    """Return a span that also reaches back to 1970, or on to the end of 9998."""
    return Span(EPOCH if before else span.start, datetime(9999, 1, 1, tzinfo=UTC) if after else span.end)


def within(spans: Iterable[Span], bounds: Span) -> list[Span]:
    """Return the parts of spans that lie within others."""
    parts = [Span(max(span.start, bounds.start), min(span.end, bounds.end)) for span in spans]
    return [part for part in parts if part.start < part.end]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same instants as spans that are ascending and apart."""
    parts: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if parts and span.start <= parts[-1].end:
            parts[-1] = Span(parts[-1].start, max(parts[-1].end, span.end))
        else:
            parts.append(span)
    return parts


def _first_of_month(instant: datetime) -> datetime:
    return datetime(instant.year, instant.month, 1, tzinfo=UTC)
