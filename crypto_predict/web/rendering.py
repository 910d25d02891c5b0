"""Answers as JSON bodies and headers.

A day is rendered at its first request and then cached, so memory is bounded by the range of the model.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.web.answers import Answers, Forecast, Provenance, Row, Series

Headers = list[tuple[str, str]]

KIND = "Crypto-Predict-Kind"
AS_OF = "Crypto-Predict-As-Of"
PAIR = "Crypto-Predict-Pair"
MODEL = "Crypto-Predict-Model"
SIMULATED = "Crypto-Predict-Simulated"
PROVENANCE = (KIND, AS_OF, PAIR, MODEL, SIMULATED)  # header names

# The headers of every answer.
COMMON: Headers = [
    ("Access-Control-Allow-Origin", "*"),
    # Pages of other origins may read only these in addition to a few standard headers.
    ("Access-Control-Expose-Headers", ", ".join([*PROVENANCE, "ETag"])),
    ("X-Content-Type-Options", "nosniff"),
]


class Rendered(NamedTuple):
    """The body of an answer with status 200, and the headers that describe it."""

    body: bytes
    headers: Headers  # shared between answers: do not change


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
        self._rows: dict[Series, list[bytes]] = {  # without their ends; b"" before the first request
            series: [b""] * ((series.last_day - series.first_day).days + 1) for series in answers.series.values()
        }

    def forecast(self, forecast: Forecast) -> Rendered:
        """Return a JSON list of rows.

        Raises:
            NoProphetInterval: A day lies after the last candle, and Prophet alone has no interval.
        """
        series = forecast.series
        rows, origin = self._rows[series], series.first_day
        first, end = (forecast.start - origin).days, (forecast.end - origin).days + 1
        for index in range(first, end):
            if not rows[index]:
                rows[index] = _prices(series.row(origin + timedelta(days=index)))
        border = min(max((series.last_candle - origin).days + 1, first), end)  # the first row of the future
        # The rest of a row is the same for all rows of a kind, and is added here to save memory.
        fitted, future = (f", {_members(basis)}}}, ".encode() for basis in (series.fitted, series.forecast))
        parts = [fitted.join([*rows[first:border], b""]), future.join([*rows[border:end], b""])]
        return _rendered(b"[" + b"".join(parts).removesuffix(b", ") + b"]\n", simulated_header(series.fitted.simulated))

    def prepare(self) -> None:
        """Render every day of the default model, so that the first request for a year is as fast as the next one."""
        for (_, model), series in self._answers.series.items():
            if model == COMBINED:
                self.forecast(Forecast(series, series.first_day, series.last_day))


def render(value: Any, *, simulated: bool) -> Rendered:
    """Render a value (see `plain.encode`) as JSON."""
    return _rendered(f"{json.dumps(plain.encode(value))}\n".encode(), simulated_header(simulated))


def bitcoin(row: Row) -> Rendered:
    """Render a price of Bitcoin under the four keys that existing callers expect."""
    moment, price = row.moment, row.price
    shown = moment if isinstance(moment, datetime) else datetime.combine(moment, time(), UTC)
    keys = {
        "date": format_datetime(shown, usegmt=True),
        "prediction": price.price,
        "prediction low": price.low,
        "prediction_high": price.high,
    }
    return _rendered(f"{json.dumps(keys)}\n".encode(), provenance_headers(row.provenance))


def simulated_header(simulated: bool) -> Headers:
    """Return the header that marks invented prices, if they are."""
    return [(SIMULATED, "true")] if simulated else []


def provenance_headers(provenance: Provenance) -> Headers:
    """Return the provenance of a price as headers."""
    return [
        (KIND, provenance.kind),
        (AS_OF, plain.encode(provenance.as_of)),
        (PAIR, str(provenance.pair)),
        (MODEL, provenance.model),
        *simulated_header(provenance.simulated),
    ]


def _rendered(body: bytes, headers: Headers) -> Rendered:
    return Rendered(body, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers])


def _prices(row: Row) -> bytes:
    """Return the first members of a JSON object, without its end."""
    price = row.price
    members = {"date": row.moment.isoformat(), "prediction": price.price, "low": price.low, "high": price.high}
    return json.dumps(members)[:-1].encode()


def _members(provenance: Provenance) -> str:
    """Return the provenance as the last members of a JSON object."""
    return json.dumps(plain.encode(provenance))[1:-1]
