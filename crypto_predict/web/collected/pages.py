"""Tables in pages: their parameters, and their rows as JSON or CSV with links to the neighbouring pages."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH, Interval, Pair
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.forecast import MINUTES_AHEAD
from crypto_predict.settings import whole_number
from crypto_predict.web.collected.calls import CONTENT_TYPES, VARY, Call
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.series import choose, of_pair
from crypto_predict.web.http.errors import BadParameter
from crypto_predict.web.http.queries import FORMAT, MOMENT_EXPECTED, file_format, moment, parameters
from crypto_predict.web.http.representations import accepts_gzip
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
PAGE = ("start", "end", "limit", "source", FORMAT)  # parameters of every table
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


@dataclass(frozen=True, kw_only=True)
class Table(Generic[T]):
    """Rows of one series over HTTP: what they are read from, and what their values are."""

    path: str  # with {} in place of the pair
    name: str  # of the member with the rows
    columns: tuple[str, ...]
    read: Callable[[Connection, CollectedSeries, Question, datetime], Page[T]]  # of a series, at an instant, UTC
    rows: Callable[[Page[T], Question, str], list[Values]]  # in `JSON` or `CSV`
    until_next: Callable[[Page[T], datetime], timedelta]  # from an instant until the rows may change
    interval: Interval | None = Interval.MINUTE_1  # of the series that are read; None: as it is asked for
    is_versioned: bool = False  # whether the rows depend on the version of the series alone
    parameters: tuple[str, ...] = ()  # in addition to those of every table
    members: Callable[[Page[T], Question], Mapping[str, object]] = (
        lambda *_: {}
    )  # of JSON, likewise; links have `parameters`

    def answer(self, call: Call, pair: str) -> Rendered:
        """Return a page. Errors are those of `question`, `Call` and `read`."""
        asks = question(pair, call.query, *self.parameters, *PAGE)
        content_type = call.content_type(asks.format)
        with call.reading() as reader:
            interval = asks.interval or self.interval
            collected, interval = choose(of_pair(reader, asks.pair, self.interval), interval, asks.source)
            asks = asks._replace(interval=interval)
            copy = (asks, content_type, accepts_gzip(call.encodings), collected.series, collected.version)
            etag = call.database.etags.get(copy) if self.is_versioned else None
            if etag is not None and call.has(etag):  # without reading the rows
                lasts = self.until_next(Page(collected, interval, (), None, None), call.now)
                return call.unchanged(etag, collected, lasts)
            page = self.read(reader, collected, asks, call.now)
        rendered = call.live(self.render(page, asks, content_type), self.until_next(page, call.now))
        if self.is_versioned:
            call.database.etags.add(copy, dict(rendered.headers)["ETag"])
        return rendered

    def render(self, page: Page[T], asks: Question, content_type: str) -> Rendered:
        """Render a page as `JSON` or `CSV`, with links to the pages before and after it."""
        series, simulated = page.collected.series, page.collected.simulated
        rows, members = self.rows(page, asks, content_type), self.members(page, asks)
        if content_type == CSV:
            body = table(self.columns, rows)
        else:
            head = {"pair": str(series.pair), "source": series.source, **members, "simulated": simulated}
            start = json.dumps({**head, "columns": self.columns})[:-1]
            body = f'{start}, "{self.name}": {json.dumps(rows, separators=(",", ":"))}}}\n'.encode()
        headers: Headers = [
            ("Content-Type", CONTENT_TYPES[content_type]),
            ("Content-Length", str(len(body))),
            VARY,
            (PAIR, str(series.pair)),
            (SERIES[0], quote(series.source, safe=":/")),
            *simulated_header(simulated),
        ]
        if content_type == CSV and asks.format is not None:
            parts = [part for part in self.path.split("/") if part not in {"", "{}"}]
            headers = [*file_headers(body, series.pair.slug, *parts), *headers[2:]]
        if links := self._links(page, asks, members):
            headers.append(("Link", ", ".join(links)))
        if "interval" in members:
            headers.append((SERIES[1], str(members["interval"])))
        return Rendered(body, headers)

    def _links(self, page: Page[T], asks: Question, members: Mapping[str, object]) -> list[str]:
        neighbours: list[tuple[str, dict[str, datetime | None]]] = []
        if page.following is not None:
            neighbours.append(("next", {"start": page.following, "end": asks.end}))
        if page.preceding is not None:
            neighbours.append(("prev", {"end": page.preceding}))
        links, own = [], {name: members[name] for name in self.parameters}
        for relation, edges in neighbours:
            span = {name: instant(at) for name, at in edges.items() if at is not None}
            query = {**own, **span, "limit": asks.limit, "source": page.collected.series.source}
            if asks.format is not None:
                query[FORMAT] = asks.format
            links.append(f'<{self.path.format(asks.pair.slug)}?{urlencode(query, safe=":")}>; rel="{relation}"')
        return links


def question(pair: str, query: str, *names: str) -> Question:
    """Parse the path and the query, whose parameters are these, in the order in which an error lists them.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown, malformed or too large.
    """
    pair, chosen = file_format(pair, query) if FORMAT in names else (pair, None)
    parsed = Pair.parse(pair)
    values = parameters(query, names)
    start, end = (read_instant(name, values[name]) if name in values else None for name in ("start", "end"))
    if start is not None and end is not None and end < start:
        raise BadParameter("end", f"end {values['end']} lies before start {values['start']}")
    limit = _limit(values["limit"]) if "limit" in values else DEFAULT_LIMIT
    interval = Interval.parse(values["interval"]) if "interval" in values else None
    horizon = _horizon(values["horizon"]) if "horizon" in values else MINUTES_AHEAD
    return Question(parsed, interval, start, end, limit, values.get("source"), chosen, horizon)


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


def instant(at: datetime) -> str:
    """Format an instant in UTC: ``2024-06-01T12:00:00Z``, with microseconds if it has any."""
    return f"{at.isoformat()[:-6]}Z"
