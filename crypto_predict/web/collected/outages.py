"""The outages of exchanges and of the collector, the newest first: the register.

`cause` says what was away:

- `exchange`: the exchange, which had answered that it is not available; `reason` has its answer.
- `connection`: the connection ended, became silent or could not be made; `reason` says how.
- `collector`: nothing was recorded, since the collector did not run, or did not follow these pairs.

`minutes` counts, for all `pairs`, those in which a stream was not connected throughout: `filled` have a candle
nevertheless, `awaited` are still to be asked for, `lost` are those that the source does not have, and `rejected` those
of which it has what cannot be a candle. `end` is null while the outage goes on.

`start` and `end` select outages that overlap the time between them. With `id` the answer is that outage alone, or the
one that it turned out to be a part of: a link to it stays. A header `Link` leads to the next page.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from crypto_predict.baked import plain
from crypto_predict.market import DAY, EPOCH, Pair, Span
from crypto_predict.market.downtime import OutageReport, report
from crypto_predict.market.register import Cause, Fate, OutageKey, RegisteredOutage
from crypto_predict.settings import whole_number
from crypto_predict.web.collected import endpoint
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import LATEST, DatabaseOperation, Sample, read_span
from crypto_predict.web.collected.series import NotCollected
from crypto_predict.web.http import queries
from crypto_predict.web.http.operation import Failure
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import Headers, Rendered, json_body
from crypto_predict.web.http.schemas import MOMENT, PAIR_TEXT, TEXT, Parameter, listed, parameter, record, schema_of
from crypto_predict.web.model.endpoint import live_headers

LASTS = timedelta(seconds=15)  # that an answer may be cached: the register is brought up to date once a minute
DEFAULT_LIMIT, MOST_OUTAGES = 100, 1_000  # in one answer
NAMES = ("source", "pair", "start", "end", "limit", "id")

_limit = whole_number("limit", 1, MOST_OUTAGES)


class Question(NamedTuple):
    """What is asked for."""

    span: Span
    source: str | None = None
    pair: Pair | None = None
    limit: int = DEFAULT_LIMIT
    key: OutageKey | None = None


class NoSuchOutage(Problem):
    """The register has no outage of this name."""

    def __init__(self, key: OutageKey) -> None:
        super().__init__(404, f"id: the register has no outage {key}; /outages lists those that it has", "id")


def question(query: str) -> Question:
    """Parse the query."""
    values = queries.parameters(query, NAMES)
    start, end = read_span(values)
    return Question(
        Span(start or EPOCH, end or LATEST),
        values.get("source"),
        Pair.parse(values["pair"]) if "pair" in values else None,
        _limit(values["limit"]) if "limit" in values else DEFAULT_LIMIT,
        OutageKey.parse(values["id"]) if "id" in values else None,
    )


def answer(call: Call) -> Rendered:
    """Return a page of the register, or one outage."""
    asks = question(call.query)
    with call.reading() as reader:
        page = read(reader, asks, call.now)
    return call.live(rendered(page, asks), LASTS)


def read(reader: Connection, asks: Question, now: datetime) -> Sequence[RegisteredOutage]:
    """Return the outages that are asked for; raise `NotCollected` or `NoSuchOutage`."""
    check_stored(reader, asks.source, asks.pair)
    if asks.key is None:
        return reader.outages(asks.span, asks.limit, now, source=asks.source, pair=asks.pair)
    outage = reader.outage(asks.key, now)
    if outage is None:
        raise NoSuchOutage(asks.key)
    return [outage]


def check_stored(reader: Connection, source: str | None, pair: Pair | None) -> None:
    """Raise `NotCollected` for a source or a pair that the database does not have."""
    if pair is not None and not reader.collected(pair):
        raise NotCollected("pair", str(pair), reader.collected())
    if source is not None and not reader.differences(source):
        raise NotCollected("source", source, reader.collected())


def rendered(page: Sequence[RegisteredOutage], asks: Question) -> Rendered:
    """Render a page, with a link to the next one."""
    texts: dict[int, str] = {}  # of pairs, by the identity of their tuple, which most outages of a source share
    rows = []
    for outage in page:
        pairs = outage.pairs
        if id(pairs) not in texts:
            texts[id(pairs)] = json.dumps(list(map(str, pairs)))
        shown = json.dumps(plain.encode(replace(report(outage), pairs=())))
        # a quotation mark in a text is escaped, so that no text is taken for this member
        rows.append(shown.replace('"pairs": []', f'"pairs": {texts[id(pairs)]}', 1))
    body = f'{{"outages": [{", ".join(rows)}]}}\n'.encode()
    headers: Headers = []
    if asks.key is None and len(page) >= asks.limit:
        following = asks._replace(span=Span(asks.span.start, page[-1].span.start))
        headers.append(("Link", f'<{_address(following)}>; rel="next"'))
    return json_body(body, headers)


def _address(asks: Question) -> str:
    """Return the address of a page, relative to that of the register."""
    values = {
        "source": asks.source,
        "pair": None if asks.pair is None else asks.pair.slug,
        "start": None if asks.span.start == EPOCH else endpoint.instant(asks.span.start),
        "end": endpoint.instant(asks.span.end),
        "limit": str(asks.limit),
    }
    return f"outages?{urlencode({name: value for name, value in values.items() if value is not None})}"


def parameters(sample: Sample, *names: str) -> list[Parameter]:
    """Return the documented parameters of these names."""
    rows = {"type": "integer", "minimum": 1, "maximum": MOST_OUTAGES, "default": DEFAULT_LIMIT}
    until = endpoint.instant(sample.day + DAY)
    described = {
        "source": parameter("source", "By default every source.", TEXT, sample.series.source),
        "pair": parameter("pair", "By default every pair.", {**TEXT, "pattern": PAIR_TEXT}, sample.series.pair.slug),
        "start": parameter(
            "start", "An ISO 8601 date-time, or date, for its beginning.", MOMENT, endpoint.instant(sample.day)
        ),
        "end": parameter("end", "The same, not included; by default the present.", MOMENT, until),
        "limit": parameter(
            "limit", "The number of outages at most, but for those that began at one instant.", rows, 10
        ),
        "id": parameter("id", "The name of an outage.", {**TEXT, "pattern": "^.+-[0-9]{8}T[0-9]{6}Z$"}),
    }
    return [described[name] for name in names]


def _example(sample: Sample) -> RegisteredOutage:
    span = Span(sample.day + timedelta(minutes=5, seconds=2), sample.day + timedelta(minutes=11, seconds=40))
    reason = "stream.example.org answered 503 Service Unavailable to the handshake"
    minutes = {Fate.FILLED: 2, Fate.LOST: 5}
    return RegisteredOutage(sample.series.source, Cause.EXCHANGE, reason, span, True, (sample.series.pair,), minutes)


def _failures(sample: Sample) -> list[Failure]:
    absent = "The database does not have this source, this pair, or an outage of this name; `parameter` says which."
    key = _example(sample).key
    return [*endpoint.unavailable(sample), Failure("NoSuchOutage", absent, NoSuchOutage(key))]


OPERATION = DatabaseOperation(
    rule="/outages",
    answer=answer,
    text=__doc__,
    place=7,
    parameters=lambda sample: parameters(sample, *NAMES),
    schemas={"Outages": record({"outages": listed(schema_of(OutageReport))})},
    examples=lambda sample: [rendered([_example(sample)], Question(Span(EPOCH, LATEST)))],
    headers=live_headers,
    failures=_failures,
)
