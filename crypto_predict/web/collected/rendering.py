"""The answers of a database as JSON and CSV, with the headers that describe them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote, urlencode

from crypto_predict.baked import plain
from crypto_predict.market import Candle, Interval, Pair, Quote, StoredCandle
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.collected.answers import Page, T
from crypto_predict.web.collected.forecasts import MinutesAhead, MinutesRecord, PastMinute, prices
from crypto_predict.web.collected.live_answers import Minute
from crypto_predict.web.collected.questions import PageQuestion, PastQuestion
from crypto_predict.web.collected.series import SeriesState
from crypto_predict.web.http.errors import WebError
from crypto_predict.web.http.response import (
    CSV,
    CSV_TYPE,
    JSON,
    PAIR,
    SERIES,
    SIMULATED,
    Headers,
    Rendered,
    file_headers,
    render,
    simulated_header,
)
from crypto_predict.web.http.response import table as table_of
from crypto_predict.web.model.answers import PairRange
from crypto_predict.web.model.questions import FORMAT

CONTENT_TYPES = {JSON: JSON, CSV: CSV_TYPE}

# Of every row. The values that a source does not have are null in JSON and empty in CSV.
COLUMNS = ("time", *Candle._fields[1:], "vwap")
MINUTE_COLUMNS = (
    *("time", "verdict", "asked", "reason", *COLUMNS[1:]),
    *("built_open", "built_high", "built_low", "built_close", "built_volume", "ticks", "late", "partial"),
)
_QUANTILES = tuple(f"quantile_{level}" for level in LEVELS)
AHEAD_COLUMNS = ("time", "minutes", "cutoff", "price", "prediction", "low", "high", *_QUANTILES)
PAST_COLUMNS = ("time", "close", "cutoff", "price", "prediction", *_QUANTILES)
QUOTE_COLUMNS = ("time", "bid", "bid_size", "ask", "ask_size")

VARY = ("Vary", "Accept")

_Values = Sequence[object]
_WITHOUT_CANDLE, _NOT_BUILT = [None] * 10, [None] * 8  # the columns of a minute that describe a candle


class NotAcceptable(WebError):
    """The client accepts neither JSON nor CSV."""

    status = HTTPStatus.NOT_ACCEPTABLE

    def __init__(self) -> None:
        super().__init__(f"this is served as {' or '.join(CONTENT_TYPES)}, and Accept allows neither")

    @property
    def headers(self) -> Headers:
        """On what the answer depends."""
        return [VARY]


class Table(NamedTuple):
    """The rows of a page, and what its answer says about them beside the pair, the source and simulated prices."""

    path: str  # with {} in place of the pair
    name: str  # of the member with the rows
    members: Mapping[str, object]
    columns: Sequence[str]
    rows: Iterable[_Values]


def candles(page: Page[StoredCandle], question: PageQuestion, content_type: str) -> Rendered:
    """Render a page of candles as `JSON` or `CSV`, with links to the pages beside it."""
    interval = page.interval.label
    stored = page.found.series.interval
    members = {"interval": interval, "resampled_from": None if stored is page.interval else stored.label}
    table = Table("/candles/{}", "candles", members, COLUMNS, map(_candle, page.rows))
    rendered = _render(table, page, question, content_type, {"interval": interval})
    return Rendered(rendered.body, [*rendered.headers, (SERIES[1], interval)])


def minutes(page: Page[Minute], question: PageQuestion, content_type: str) -> Rendered:
    """Render a page of minutes in the same way."""
    flags: _Values = ("false", "true") if content_type == CSV else (False, True)
    rows = (_minute(one, flags) for one in page.rows)
    return _render(Table("/minutes/{}", "minutes", {}, MINUTE_COLUMNS, rows), page, question, content_type, {})


def quotes(page: Page[Quote], question: PageQuestion, content_type: str) -> Rendered:
    """Render a page of quotes in the same way."""
    rows = ([_instant(one.time), one.bid, one.bid_size, one.ask, one.ask_size] for one in page.rows)
    return _render(Table("/top-of-book/{}", "quotes", {}, QUOTE_COLUMNS, rows), page, question, content_type, {})


def past_minutes(page: Page[PastMinute], question: PastQuestion, content_type: str) -> Rendered:
    """Render a page of past forecasts in the same way."""
    horizon = question.horizon
    rows = (_past(one, horizon) for one in page.rows)
    table = Table("/forecast/{}/minutes/past", "forecasts", {"horizon": horizon}, PAST_COLUMNS, rows)
    return _render(table, page, question.page, content_type, {"horizon": str(horizon)})


def minutes_ahead(ahead: MinutesAhead, file_format: str | None) -> Rendered:
    """Render the newest minute forecast as JSON, or as CSV with a column for each quantile."""
    if file_format != "csv":
        return render(ahead, simulated=ahead.simulated)
    made = (_instant(ahead.cutoff), ahead.price)
    rows = (
        [_instant(one.time), one.minutes, *made, one.prediction, one.low, one.high, *one.quantiles.values()]
        for one in ahead.forecast
    )
    body = table_of(AHEAD_COLUMNS, rows)
    source = (SERIES[0], quote(ahead.source, safe=":/"))
    headers = [*file_headers(body, ahead.pair.slug, "forecast", "minutes"), (PAIR, str(ahead.pair)), source]
    return Rendered(body, [*headers, *simulated_header(ahead.simulated)])


def series(states: list[SeriesState]) -> Rendered:
    """Render the state of every series."""
    return render(states, simulated=any(state.simulated for state in states))


def pairs(ranges: list[PairRange], states: list[SeriesState] | None) -> Rendered:
    """Render the pairs of the model, each with its series in the database; null if that cannot be read.

    Pairs follow that are only collected. Nothing is forecast about them, so these members are null.
    """
    found: dict[Pair, list[SeriesState]] = {one.pair: [] for one in ranges}
    for state in states or ():
        found.setdefault(state.pair, []).append(state)
    rows = [
        {**plain.encode(one), "collected": None if states is None else plain.encode(found.pop(one.pair))}
        for one in ranges
    ]
    rows += [_only_collected(pair, of_pair) for pair, of_pair in found.items() if of_pair]
    is_simulated = any(one.simulated for one in ranges) or any(one.simulated for one in states or ())
    return render(rows, simulated=is_simulated)


def scorecard(baked: Rendered, records: list[MinutesRecord] | None) -> Rendered:
    """Add the record of the minute forecasts to the scorecard of the model; null if the database cannot be read."""
    minutes = json.dumps(plain.encode(records))
    body = baked.body.rstrip()[:-1] + f', "minutes": {minutes}}}\n'.encode()
    invented = dict(baked.headers).get(SIMULATED) == "true" or any(one.simulated for one in records or ())
    return Rendered(body, [("Content-Type", JSON), ("Content-Length", str(len(body))), *simulated_header(invented)])


def _only_collected(pair: Pair, states: list[SeriesState]) -> dict[str, object]:
    """Return the members of a pair that the model does not have."""
    unknown = dict.fromkeys(field.name for field in fields(PairRange))
    simulated = any(one.simulated for one in states)
    return {**unknown, "pair": str(pair), "simulated": simulated, "collected": plain.encode(states)}


def _render(
    table: Table, page: Page[T], question: PageQuestion, content_type: str, names: Mapping[str, str]
) -> Rendered:
    """Render a table; `names` are parameters of the links in addition to the usual ones."""
    body = table_of(table.columns, table.rows) if content_type == CSV else _json(table, page)
    series = page.found.series
    headers: Headers = [
        ("Content-Type", CONTENT_TYPES[content_type]),
        ("Content-Length", str(len(body))),
        VARY,
        (PAIR, str(series.pair)),
        (SERIES[0], quote(series.source, safe=":/")),
        *simulated_header(page.found.simulated),
    ]
    if content_type == CSV and question.format is not None:
        parts = [part for part in table.path.split("/") if part not in {"", "{}"}]
        headers = [*file_headers(body, series.pair.slug, *parts), *headers[2:]]
    if links := _links(table, page, question, names):
        headers.append(("Link", ", ".join(links)))
    return Rendered(body, headers)


def _links(table: Table, page: Page[T], question: PageQuestion, names: Mapping[str, str]) -> list[str]:
    neighbours: list[tuple[str, dict[str, datetime | None]]] = []
    if page.following is not None:
        neighbours.append(("next", {"start": page.following, "end": question.end}))
    if page.preceding is not None:
        neighbours.append(("prev", {"end": page.preceding}))
    links = []
    for relation, edges in neighbours:
        span = {name: _instant(at) for name, at in edges.items() if at is not None}
        query = {**names, **span, "limit": question.limit, "source": page.found.series.source}
        if question.format is not None:
            query[FORMAT] = question.format
        links.append(f'<{table.path.format(question.pair.slug)}?{urlencode(query, safe=":")}>; rel="{relation}"')
    return links


def _json(table: Table, page: Page[T]) -> bytes:
    series = page.found.series
    head = {
        "pair": str(series.pair),
        "source": series.source,
        **table.members,
        "simulated": page.found.simulated,
        "columns": table.columns,
    }
    rows = json.dumps(list(table.rows), separators=(",", ":"))
    return f'{json.dumps(head)[:-1]}, "{table.name}": {rows}}}\n'.encode()


def _candle(stored: StoredCandle) -> _Values:
    candle, vwap = stored
    return [_instant(candle.open_time), *candle[1:], vwap]


def _minute(minute: Minute, flags: _Values) -> _Values:
    """Return the values of a minute; `flags` are what stands for false and true."""
    judged, built = minute
    candle: _Values = _WITHOUT_CANDLE
    if judged.stored is not None:
        candle = [*judged.stored.candle[1:], judged.stored.vwap]
    ticks: _Values = _NOT_BUILT
    if built is not None:
        ticks = [built.open, built.high, built.low, built.close, built.volume]
        ticks += [built.ticks, built.late, flags[built.partial]]
    return [_instant(judged.open_time), judged.verdict.value, flags[judged.asked], judged.reason, *candle, *ticks]


def _past(one: PastMinute, horizon: int) -> _Values:
    made = one.made
    close = made.cutoff + horizon * Interval.MINUTE_1.length
    return [_instant(close), one.close, _instant(made.cutoff), made.price, *prices(made, horizon)]


def _instant(at: datetime) -> str:
    """Format an instant in UTC: ``2024-06-01T12:00:00Z``, with microseconds if it has any."""
    return f"{at.isoformat()[:-6]}Z"
