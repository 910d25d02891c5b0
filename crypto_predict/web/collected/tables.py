"""Tables in pages: rows as JSON or CSV with links to the neighbouring pages, and their part of the OpenAPI document."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from crypto_predict.market import Interval
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.web.collected import endpoint
from crypto_predict.web.collected.calls import Call, cache_control
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import MINUTE, DatabaseOperation, Question, Sample, instant
from crypto_predict.web.collected.series import choose, of_pair
from crypto_predict.web.http import representations, response, schemas, sending
from crypto_predict.web.http.operation import Failure
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.queries import FORMAT
from crypto_predict.web.http.response import CSV, JSON, PAIR, SERIES, Headers, Rendered, simulated_header
from crypto_predict.web.http.schemas import BOOLEAN, TEXT, Schema

PAGE = ("start", "end", "limit", "source", FORMAT)  # parameters of every table
CONTENT_TYPES = {JSON: JSON, CSV: response.CSV_TYPE}
VARY = ("Vary", "Accept")

T = TypeVar("T")
Values = Sequence[object]


class Page(NamedTuple, Generic[T]):
    """Rows of one series, ascending."""

    collected: CollectedSeries  # that they were read from
    rows: Sequence[T]
    following: datetime | None = None  # the start of the next page, UTC; None if there is none
    preceding: datetime | None = None  # the end of the page before, UTC; None if a start was asked for, too


@dataclass(frozen=True, kw_only=True)
class Table(Generic[T]):
    """Rows of one series over HTTP: what they are read from, and what their values are."""

    path: str  # with {} in place of the pair
    name: str  # of the member with the rows
    columns: tuple[str, ...]
    kinds: Sequence[Schema]  # of a value
    remark: str = ""  # about them, after their names
    read: Callable[[Connection, CollectedSeries, Question, datetime], Page[T]]  # of a series, at an instant, UTC
    values: Callable[[T, Question], Values]  # of a row
    until_next: Callable[[Page[T], Question, datetime], timedelta]  # from an instant until the rows may change
    interval: Interval | None = MINUTE  # of the series that are read; None: as it is asked for
    is_versioned: bool = False  # whether the rows depend on the version of the series alone
    parameters: tuple[str, ...] = ()  # in addition to those of every table
    # Of JSON, likewise; links have `parameters`.
    members: Callable[[Page[T], Question], Mapping[str, object]] = lambda *_: {}

    def answer(self, call: Call, pair: str) -> Rendered:
        """Return a page. Errors are those of `question`, `Call` and `read`."""
        asks = endpoint.question(pair, call.query, *self.parameters, *PAGE)
        content_type = _content_type(call, asks)
        with call.reading() as reader:
            interval = asks.interval or self.interval
            collected, interval = choose(of_pair(reader, asks.pair, self.interval), interval, asks.source)
            asks = asks._replace(interval=interval)
            is_small = "gzip" in representations.accepted_codings(call.encodings)
            copy = (asks, content_type, is_small, collected.series, collected.version)
            etag = call.database.etags.get(copy) if self.is_versioned else None
            if etag is not None and sending.evaluate(call.request.environ, etag, None) is HTTPStatus.NOT_MODIFIED:
                # Without reading the rows; the application makes it a 304.
                lasts = cache_control(self.until_next(Page(collected, ()), asks, call.now))
                headers = [("Vary", f"{VARY[1]}, {representations.VARY[1]}"), *simulated_header(collected.simulated)]
                return Rendered(b"", [*headers, lasts, ("ETag", etag), *response.COMMON])
            page = self.read(reader, collected, asks, call.now)
        rendered = call.live(self.render(page, asks, content_type), self.until_next(page, asks, call.now))
        if self.is_versioned:
            call.database.etags.add(copy, dict(rendered.headers)["ETag"])
        return rendered

    def render(self, page: Page[T], asks: Question, content_type: str) -> Rendered:
        """Render a page as `JSON` or `CSV`, with links to the pages before and after it."""
        series, simulated = page.collected.series, page.collected.simulated
        rows, members = [self.values(row, asks) for row in page.rows], self.members(page, asks)
        if content_type == CSV:
            body = response.table(self.columns, rows)
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
            headers = [*response.file_headers(body, series.pair.slug, *parts), *headers[2:]]
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

    def operation(
        self, text: str, place: int, name: str, example: Callable[[Sample], Sequence[T]], **members: Schema
    ) -> DatabaseOperation:
        """Return the endpoint, with rows as an example; its answer has the schema `name` with further `members`."""
        row: Schema = {
            **schemas.listed({"anyOf": self.kinds}),
            "minItems": len(self.columns),
            "maxItems": len(self.columns),
            "description": f"The values of {', '.join(self.columns)}.{self.remark}",
        }
        head = {"pair": schemas.PAIR, "source": TEXT, **members, "simulated": BOOLEAN}
        rows = {"columns": {"const": list(self.columns)}, self.name: schemas.listed(row)}
        unacceptable = Failure("NotAcceptable", "`Accept` allows neither JSON nor CSV.", _not_acceptable())

        def examples(sample: Sample) -> list[Rendered]:
            page = Page(sample.collected, example(sample), sample.end)
            asks = Question(sample.series.pair, sample.series.interval)
            return [self.render(page, asks, content_type) for content_type in CONTENT_TYPES]

        return DatabaseOperation(
            rule=self.path.replace("{}", "<path:pair>"),
            answer=self.answer,
            is_file=not self.path.endswith("{}"),
            text=text,
            place=place,
            parameters=lambda sample: sample.parameters("pair", *self.parameters, *PAGE),
            schemas={name: schemas.record({**head, **rows})},
            examples=examples,
            headers=endpoint.table_headers,
            failures=lambda sample: [endpoint.not_collected(sample), unacceptable, *endpoint.unavailable(sample)],
        )


def _content_type(call: Call, asks: Question) -> str:
    """Return the content type that the address asks for, or else the one that the client prefers."""
    if asks.format is not None:
        return CSV if asks.format == "csv" else JSON
    accepted = call.request.accept_mimetypes
    preferred = accepted.best_match(CONTENT_TYPES) if accepted else JSON
    if preferred is None:
        raise _not_acceptable()
    return preferred


def _not_acceptable() -> Problem:
    detail = f"this is served as {' or '.join(CONTENT_TYPES)}, and Accept allows neither"
    return Problem(406, detail, headers=[VARY])


def cut(collected: CollectedSeries, rows: Sequence[T], asks: Question, time: Callable[[T], datetime]) -> Page[T]:
    """Return a page of minutes from its rows and a further one, if there is one; `time` is what pages are parted by."""
    if len(rows) <= asks.limit:
        return Page(collected, rows)
    if asks.start is None:
        return Page(collected, rows[1:], preceding=time(rows[1]))
    return Page(collected, rows[:-1], following=time(rows[-1]))
