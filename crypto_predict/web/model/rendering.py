"""Answers as JSON bodies and headers.

A day is rendered at its first request and then cached, so memory is bounded by the range of the model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time
from email.utils import format_datetime
from functools import lru_cache
from time import sleep

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.market import DAY
from crypto_predict.web.http.response import (
    PAIR,
    PROVENANCE,
    Headers,
    Rendered,
    file_headers,
    json_body,
    render,
    simulated_header,
    table,
)
from crypto_predict.web.model.answers import Answers, Forecast, Provenance, Row, Series

PREPARED_DAYS = 366  # at a time
PAUSE_SECONDS = 0.005  # between them


class Rendering:
    """The rendered answers of one model. Safe to share between threads: equal questions render equal bytes."""

    def __init__(self, answers: Answers) -> None:
        card, scorecard = answers.model.card, answers.model.scorecard
        self._answers = answers
        self.pairs = render(answers.pairs(), simulated=card.simulated)
        self.model = render(card, simulated=card.simulated)
        # The member `simulated` of the scorecard is the record of invented prices.
        self.scorecard = render(scorecard, simulated=card.simulated or bool(scorecard.simulated))
        self.version = render(answers.version, simulated=card.simulated)
        self._rows: dict[Series, list[bytes]] = {  # b"" before the first request
            series: [b""] * ((series.last_day - series.first_day).days + 1) for series in answers.series.values()
        }

    def forecast(self, forecast: Forecast) -> Rendered:
        """Return a JSON list of rows.

        Raises:
            NoProphetInterval: A day lies after the last candle, and Prophet alone has no interval.
        """
        if forecast.levels:
            return self._with_quantiles(forecast)
        rows, origin = self._rows[forecast.series], forecast.series.first_day
        first, end = (forecast.start - origin).days, (forecast.end - origin).days + 1
        if not all(rows[first:end]):
            for n in range(first, end):
                rows[n] = rows[n] or _row(forecast.series.row(origin + n * DAY))
        return _listed(forecast, rows[first:end])

    def _with_quantiles(self, forecast: Forecast) -> Rendered:
        """Return the rows with quantiles, which are not cached: there are more levels than memory."""
        series, names = forecast.series, [repr(level) for level in forecast.levels]
        rows = []
        for n in range((forecast.end - forecast.start).days + 1):
            day = forecast.start + n * DAY
            quantiles = zip(names, series.quantiles(day, forecast.levels), strict=True)
            members = ", ".join(f'"{name}": {price!r}' for name, price in quantiles)
            rows.append(_row(series.row(day), f'"quantiles": {{{members}}}, '))
        return _listed(forecast, rows)

    def prepare(self) -> None:
        """Render every day of the default model, the last ones first, so that the first request for a year is fast.

        It pauses often: threads that answer requests would otherwise wait for the interpreter.
        """
        for (_, model), series in self._answers.series.items():
            end = series.last_day
            while model == COMBINED and end >= series.first_day:
                start = max(series.first_day, end - PREPARED_DAYS * DAY)
                self.forecast(Forecast(series, start, end))
                end = start - DAY
                sleep(PAUSE_SECONDS)


def bitcoin(row: Row) -> Rendered:
    """Render a price of Bitcoin under the four keys that existing callers expect."""
    moment, price = row.moment, row.price
    day, clock = (moment.date(), moment.isoformat()[11:19]) if isinstance(moment, datetime) else (moment, "00:00:00")
    body = (
        f'{{"date": "{_http_day(day)} {clock} GMT", "prediction": {price.price!r}, '
        f'"prediction low": {price.low!r}, "prediction_high": {price.high!r}}}\n'
    )
    return json_body(body.encode(), provenance_headers(row.provenance), row.provenance.pair)


def forecast_table(forecast: Forecast) -> Rendered:
    """Render a forecast as CSV, with a column for each quantile. Errors are those of `Rendering.forecast`."""
    series, known = forecast.series, plain.encode(forecast.series.fitted)
    columns = ["date", "prediction", "low", "high", *(f"quantile_{level!r}" for level in forecast.levels), *known]
    rows = []
    for n in range((forecast.end - forecast.start).days + 1):
        row = series.row(forecast.start + n * DAY)
        quantiles = series.quantiles(row.moment, forecast.levels) if forecast.levels else ()
        provenance = {**plain.encode(row.provenance), "simulated": str(row.provenance.simulated).lower()}
        rows.append([row.moment, row.price.price, row.price.low, row.price.high, *quantiles, *provenance.values()])
    body, pair = table(columns, rows), series.fitted.pair
    headers = [*file_headers(body, pair.slug, "forecast"), (PAIR, str(pair))]
    return Rendered(body, [*headers, *simulated_header(series.fitted.simulated)], pair)


@lru_cache(maxsize=256)
def provenance_headers(provenance: Provenance) -> Headers:
    """Return the provenance of a price as headers."""
    values = (provenance.kind, plain.encode(provenance.as_of), str(provenance.pair), provenance.model)
    return [*zip(PROVENANCE, values, strict=False), *simulated_header(provenance.simulated)]


@lru_cache(maxsize=10_000)
def _http_day(day: date) -> str:
    """Format a day as ``Sat, 01 Jun 2024``."""
    return format_datetime(datetime.combine(day, time()))[:16]


def _listed(forecast: Forecast, rows: Sequence[bytes]) -> Rendered:
    body = b"[" + b", ".join(rows) + b"]\n"
    return json_body(body, simulated_header(forecast.series.fitted.simulated), forecast.series.fitted.pair)


def _row(row: Row, quantiles: str = "") -> bytes:
    price = row.price
    prices = f'"date": "{row.moment}", "prediction": {price.price!r}, "low": {price.low!r}, "high": {price.high!r}'
    return f"{{{prices}, {quantiles}{_provenance_members(row.provenance)}".encode()


@lru_cache(maxsize=256)
def _provenance_members(provenance: Provenance) -> str:
    return json.dumps(plain.encode(provenance)).removeprefix("{")
