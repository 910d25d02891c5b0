"""The answers of a database as JSON and CSV, with the headers that describe them."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from urllib.parse import quote, urlencode

from crypto_predict.baked import plain
from crypto_predict.errors import CryptoPredictError
from crypto_predict.market import Candle, StoredCandle
from crypto_predict.web.answers import PairRange
from crypto_predict.web.collected.answers import Page, SeriesState
from crypto_predict.web.collected.questions import CandlesQuestion
from crypto_predict.web.rendering import PAIR, SERIES, Headers, Rendered, render, simulated_header

JSON, CSV = "application/json", "text/csv"
CONTENT_TYPES = {JSON: JSON, CSV: "text/csv; charset=utf-8; header=present"}

# Of every row. The values that a source does not have are null in JSON and empty in CSV.
COLUMNS = ("time", *Candle._fields[1:], "vwap")


class NotAcceptable(CryptoPredictError):
    """The client accepts neither JSON nor CSV."""

    def __init__(self) -> None:
        super().__init__(f"candles are served as {' or '.join(CONTENT_TYPES)}, and Accept allows neither")


def candles(page: Page, question: CandlesQuestion, content_type: str) -> Rendered:
    """Render a page as `JSON` or `CSV`, with links to the pages beside it."""
    body = _csv(page) if content_type == CSV else _json(page)
    series = page.found.series
    values = (quote(series.source, safe=":/"), page.interval.label)
    headers: Headers = [
        ("Content-Type", CONTENT_TYPES[content_type]),
        ("Content-Length", str(len(body))),
        ("Vary", "Accept"),
        (PAIR, str(series.pair)),
        *zip(SERIES, values, strict=True),
        *simulated_header(page.found.simulated),
    ]
    if links := _links(page, question):
        headers.append(("Link", ", ".join(links)))
    return Rendered(body, headers)


def series(states: list[SeriesState]) -> Rendered:
    """Render the state of every series."""
    return render(states, simulated=any(state.simulated for state in states))


def pairs(ranges: list[PairRange], states: list[SeriesState] | None) -> Rendered:
    """Render the pairs of the model, each with its series in the database; null if that cannot be read."""
    rows = [
        {**plain.encode(one), "collected": plain.encode(states and [s for s in states if s.pair == one.pair])}
        for one in ranges
    ]
    return render(rows, simulated=any(one.simulated for one in [*ranges, *(states or ())]))


def _json(page: Page) -> bytes:
    head = {
        "pair": str(page.found.series.pair),
        "source": page.found.series.source,
        "interval": page.interval.label,
        "resampled_from": None if page.found.series.interval is page.interval else page.found.series.interval.label,
        "simulated": page.found.simulated,
        "columns": COLUMNS,
    }
    rows = json.dumps([_row(stored) for stored in page.candles], separators=(",", ":"))
    return f'{json.dumps(head)[:-1]}, "candles": {rows}}}\n'.encode()


def _csv(page: Page) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_row(stored) for stored in page.candles)
    return text.getvalue().encode()


def _row(stored: StoredCandle) -> list[object]:
    candle, vwap = stored
    return [_instant(candle.open_time), *candle[1:], vwap]


def _links(page: Page, question: CandlesQuestion) -> list[str]:
    links = []
    if page.following is not None:
        links.append(f'<{_address(page, question, page.following, question.end)}>; rel="next"')
    if page.preceding is not None:
        links.append(f'<{_address(page, question, None, page.preceding)}>; rel="prev"')
    return links


def _address(page: Page, question: CandlesQuestion, start: datetime | None, end: datetime | None) -> str:
    """Return the address of another page of the same series."""
    span = {name: _instant(at) for name, at in (("start", start), ("end", end)) if at is not None}
    query = {"interval": page.interval.label, **span, "limit": question.limit, "source": page.found.series.source}
    return f"/candles/{question.pair.slug}?{urlencode(query, safe=':')}"


def _instant(at: datetime) -> str:
    """Format whole seconds in UTC: ``2024-06-01T12:00:00Z``."""
    return f"{at.isoformat()[:19]}Z"
