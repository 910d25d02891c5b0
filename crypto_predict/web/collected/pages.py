"""Tables in pages: their parameters, and their rows as JSON or CSV with links to the neighbouring pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH, Interval, Pair
from crypto_predict.market.forecast import MINUTES_AHEAD
from crypto_predict.market.ports import CollectedSeries
from crypto_predict.settings import whole_number
from crypto_predict.web.collected.calls import CONTENT_TYPES, VARY
from crypto_predict.web.http.errors import BadParameter
from crypto_predict.web.http.queries import FORMAT, MOMENT_EXPECTED, file_format, moment, parameters
from crypto_predict.web.http.response import (
    CSV,
    PAIR,
    SERIES,
    Headers,
    Rendered,
    file_headers,
    simulated_header,
    table,
)

DEFAULT_LIMIT, MOST_ROWS = 1_000, 10_000  # in one answer
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # later instants are read as this one: the calendar ends soon after

_horizon = whole_number("horizon", 1, MINUTES_AHEAD)
_limit = whole_number("limit", 1, MOST_ROWS)

T = TypeVar("T")
Values = Sequence[object]


class Question(NamedTuple):
    """Path and parameters; what was not given is None."""

    pair: Pair
    interval: Interval | None = None
    start: datetime | None = None  # UTC, included
    end: datetime | None = None  # UTC, not included
    limit: int = DEFAULT_LIMIT
    source: str | None = None
    format: str | None = None  # that was asked for in the address
    horizon: int = MINUTES_AHEAD  # minutes


class Page(NamedTuple, Generic[T]):
    """Rows of one series, ascending."""

    collected: CollectedSeries  # that they were read from
    interval: Interval  # of the candles; a multiple of that of the series
    rows: Sequence[T]
    following: datetime | None  # the start of the next page, UTC; None if there is none
    preceding: datetime | None  # the end of the page before, UTC; None if there is none, or a start was asked for

    def mapped(self, values: Callable[[T], Values]) -> Page[Values]:
        """Return the page with the values of each row."""
        return Page(self.collected, self.interval, list(map(values, self.rows)), self.following, self.preceding)


class Table(NamedTuple):
    """What the pages of one address have in common."""

    path: str  # with {} in place of the pair
    name: str  # of the member with the rows
    columns: tuple[str, ...]
    links: tuple[str, ...] = ()  # the members of JSON that are also parameters of links


def question(pair: str, query: str, *names: str) -> Question:
    """Parse the path and the query, which may have the parameters `names` in addition to those of every table.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown, malformed or too large.
    """
    pair, chosen = file_format(pair, query)
    parsed = Pair.parse(pair)
    values = parameters(query, (*names, "start", "end", "limit", "source", FORMAT))
    start, end = (read_instant(name, values[name]) if name in values else None for name in ("start", "end"))
    if start is not None and end is not None and end < start:
        raise BadParameter("end", f"end {values['end']} lies before start {values['start']}")
    limit = _limit(values["limit"]) if "limit" in values else DEFAULT_LIMIT
    source, interval = values.get("source"), read_interval(values)
    return Question(parsed, interval, start, end, limit, source, chosen, read_horizon(values))


def read_interval(values: Mapping[str, str]) -> Interval | None:
    """Return the parameter ``interval``, if it was given.

    Raises:
        InvalidValue: No interval has that name.
    """
    return Interval.parse(values["interval"]) if "interval" in values else None


def read_horizon(values: Mapping[str, str]) -> int:
    """Return the parameter ``horizon``, in minutes, by default the longest.

    Raises:
        InvalidValue: It is not a number of minutes that are forecast.
    """
    return _horizon(values["horizon"]) if "horizon" in values else MINUTES_AHEAD


def read_instant(name: str, text: str) -> datetime:
    """Parse an instant, or a day for its beginning; those outside 1970 to 9998 are moved to these limits.

    Raises:
        InvalidValue: The text is neither.
    """
    instant = moment(name, text)
    if not isinstance(instant, datetime):
        instant = datetime.combine(instant, time(), UTC)
    if instant.tzinfo is not UTC:  # UTC places it outside the years 1 to 9999
        raise InvalidValue(name, text, MOMENT_EXPECTED)
    return min(max(instant, EPOCH), LATEST)


def cut(collected: CollectedSeries, rows: Sequence[T], asks: Question, time: Callable[[T], datetime]) -> Page[T]:
    """Return a page of minutes from its rows and a further one, if there is one; `time` is what pages are parted by."""
    if len(rows) <= asks.limit:
        return Page(collected, Interval.MINUTE_1, rows, None, None)
    if asks.start is None:
        return Page(collected, Interval.MINUTE_1, rows[1:], None, time(rows[1]))
    return Page(collected, Interval.MINUTE_1, rows[:-1], time(rows[-1]), None)


def render(
    of: Table, page: Page[Values], asks: Question, content_type: str, members: Mapping[str, object] | None = None
) -> Rendered:
    """Render a page as `JSON` or `CSV`, with links to the pages before and after it.

    `members` are those of JSON in addition to those of every table.
    """
    series, simulated = page.collected.series, page.collected.simulated
    if content_type == CSV:
        body = table(of.columns, page.rows)
    else:
        head = {"pair": str(series.pair), "source": series.source, **(members or {}), "simulated": simulated}
        start = json.dumps({**head, "columns": of.columns})[:-1]
        body = f'{start}, "{of.name}": {json.dumps(page.rows, separators=(",", ":"))}}}\n'.encode()
    headers: Headers = [
        ("Content-Type", CONTENT_TYPES[content_type]),
        ("Content-Length", str(len(body))),
        VARY,
        (PAIR, str(series.pair)),
        (SERIES[0], quote(series.source, safe=":/")),
        *simulated_header(simulated),
    ]
    if content_type == CSV and asks.format is not None:
        parts = [part for part in of.path.split("/") if part not in {"", "{}"}]
        headers = [*file_headers(body, series.pair.slug, *parts), *headers[2:]]
    if links := _links(of, page, asks, members or {}):
        headers.append(("Link", ", ".join(links)))
    return Rendered(body, headers)


def _links(of: Table, page: Page[Values], asks: Question, members: Mapping[str, object]) -> list[str]:
    neighbours: list[tuple[str, dict[str, datetime | None]]] = []
    if page.following is not None:
        neighbours.append(("next", {"start": page.following, "end": asks.end}))
    if page.preceding is not None:
        neighbours.append(("prev", {"end": page.preceding}))
    links = []
    for relation, edges in neighbours:
        span = {name: instant(at) for name, at in edges.items() if at is not None}
        names = {name: members[name] for name in of.links}
        query = {**names, **span, "limit": asks.limit, "source": page.collected.series.source}
        if asks.format is not None:
            query[FORMAT] = asks.format
        links.append(f'<{of.path.format(asks.pair.slug)}?{urlencode(query, safe=":")}>; rel="{relation}"')
    return links


def instant(at: datetime) -> str:
    """Format an instant in UTC: ``2024-06-01T12:00:00Z``, with microseconds if it has any."""
    return f"{at.isoformat()[:-6]}Z"
