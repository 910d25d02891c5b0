"""What the documentation of several endpoints of the model shares: their examples, headers and errors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.errors import OutOfRange, UnknownPair
from crypto_predict.market import DAY
from crypto_predict.web.http.operation import Failure, failure
from crypto_predict.web.http.queries import MOMENT_PATTERN
from crypto_predict.web.http.response import SIMULATED, STALE, Rendered
from crypto_predict.web.http.schemas import TEXT, Parameter, Schema, parameter, refs
from crypto_predict.web.model.answers import FITTED, FORECAST, OutsideModel, Series
from crypto_predict.web.model.snapshots import Snapshot

KIND: Schema = {**TEXT, "enum": [FITTED, FORECAST]}
VALIDATED = ("ETag", "Last-Modified", "Cache-Control", SIMULATED, STALE[0])


def headers(_: Rendered) -> dict[str, Any]:
    """Return the headers of every answer of the model."""
    return refs("headers", VALIDATED)


def series(snapshot: Snapshot) -> Series:
    """Return the combined forecast of the first pair."""
    return snapshot.answers.series[snapshot.answers.pairs[0], COMBINED]


def day(snapshot: Snapshot) -> date:
    """Return a day that lies a month ahead of the model."""
    return series(snapshot).last_candle + timedelta(days=30)


def limit(snapshot: Snapshot) -> float:
    """Return a round price near the forecast of that day."""
    return float(f"{series(snapshot).row(day(snapshot)).price.price:.2g}")


def moment(snapshot: Snapshot, *, required: bool) -> Parameter:
    """Return the parameter ``date``; an optional one is the present day by default."""
    ahead = day(snapshot)
    examples = {
        "day": {"summary": "The close of a day", "value": ahead.isoformat()},
        "instant": {"summary": "An instant", "value": f"{ahead}T12:30:00Z"},
        "offset": {"summary": "An instant in another time zone", "value": f"{ahead}T12:30+02:00"},
    }
    text = "An ISO 8601 date, for the closing price of that UTC day, or date-time, for that instant."
    described = parameter("date", text if required else f"{text} By default today.", {**TEXT, "pattern": MOMENT_PATTERN})
    return described | {"required": required, "examples": examples}


def failures(snapshot: Snapshot) -> Sequence[Failure]:
    """Return the errors of the endpoints that take a pair and a time."""
    forecast = series(snapshot)
    outside = OutOfRange(forecast.last_day + DAY, forecast.first_day, forecast.last_day)
    return (
        failure(
            "UnknownPair",
            "The model holds no forecast for this pair; `detail` lists those it holds.",
            UnknownPair("XYZ/USD", list(map(str, snapshot.answers.model.forecasts))),
        ),
        failure(
            "OutsideModel",
            "The model has no answer for this time, see `detail`; `parameter` is the time, or the model.",
            OutsideModel("date", outside),
        ),
    )


