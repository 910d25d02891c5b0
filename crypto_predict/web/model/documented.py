"""What several endpoints of the model share: their examples, headers and errors, and answers without parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.errors import OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web.http.operation import Failure, Operation, failure
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import SIMULATED, STALE, Rendered
from crypto_predict.web.http.schemas import MOMENT, Parameter, parameter, refs
from crypto_predict.web.model.answers import OutsideModel, Series
from crypto_predict.web.model.snapshots import Snapshot

T = TypeVar("T")
VALIDATED = ("ETag", "Last-Modified", "Cache-Control", SIMULATED, STALE[0])


def headers(_: Rendered) -> dict[str, Any]:
    """Return the headers of every answer of the model."""
    return refs("headers", VALIDATED)


@dataclass(frozen=True, kw_only=True)
class ModelOperation(Operation[Snapshot]):
    """An endpoint of the model: ``answer(snapshot, now, query, **path)``."""

    tag: str = "model"
    headers: Callable[[Rendered], Mapping[str, Any]] = headers


def constant(render: Callable[[Snapshot], Rendered]) -> Callable[[Snapshot, datetime, str], Rendered]:
    """Return what answers with the same bytes until the next change, and takes no parameters."""

    def answer(snapshot: Snapshot, now: datetime, query: str) -> Rendered:
        parameters(query)
        return snapshot.until_change(snapshot.once(render), now)

    return answer


def live_headers(_: Rendered) -> dict[str, Any]:
    """Return the headers of such an answer that the database is part of."""
    return refs("headers", [name for name in VALIDATED if name != "Last-Modified"])


def first(table: Mapping[Pair, T]) -> dict[Pair, T]:
    """Return the first pair with its value, if there is one."""
    return dict(list(table.items())[:1])


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
    described = parameter("date", text if required else f"{text} By default today.", MOMENT)
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
