"""The price of a pair on each day of a span."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from time import sleep
from typing import NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.errors import OutOfRange
from crypto_predict.market import DAY, Pair
from crypto_predict.web.http.errors import BadParameter
from crypto_predict.web.http.queries import FORMAT, day, file_format, parameters
from crypto_predict.web.http.response import PAIR, Rendered, file_headers, json_body, simulated_header, table
from crypto_predict.web.http.schemas import DAY as DAY_SCHEMA
from crypto_predict.web.http.schemas import (
    FORMAT_PARAMETER,
    Parameter,
    Schema,
    listed,
    pair_parameter,
    parameter,
    record,
    schema_of,
)
from crypto_predict.web.model import documented
from crypto_predict.web.model.answers import Answers, OutsideModel, Provenance, Row, Series
from crypto_predict.web.model.documented import ModelOperation
from crypto_predict.web.model.parameters import (
    LEAST_LEVEL,
    MODEL_PARAMETER,
    MOST_LEVEL,
    MOST_LEVELS,
    PRICE,
    read_levels,
    read_model,
    read_pair,
)
from crypto_predict.web.model.snapshots import Snapshot

DEFAULT_DAYS = 30  # of a forecast without an end
PREPARED_DAYS = 366  # at a time
PAUSE_SECONDS = 0.005  # between them

_EXAMPLE_LEVELS = (0.05, 0.5, 0.95)
_LEVELS: Schema = listed({"type": "number", "minimum": LEAST_LEVEL, "maximum": MOST_LEVEL}) | {
    "minItems": 1,
    "maxItems": MOST_LEVELS,
    "uniqueItems": True,
}
_PRICES: Schema = {"date": DAY_SCHEMA, "prediction": PRICE, "low": PRICE, "high": PRICE}
_ROW = record(_PRICES | schema_of(Provenance)["properties"])
_ROW["properties"]["quantiles"] = {"type": "object", "additionalProperties": PRICE}  # if they were asked for
_QUANTILES = f"""\
Levels of quantiles, from {LEAST_LEVEL} to {MOST_LEVEL}, at most {MOST_LEVELS}: each row
then has the member `quantiles`, with the price that is not exceeded with that probability. 0.1 and 0.9 are `low` and
`high`.
"""


class Question(NamedTuple):
    """Path and parameters; a day that was not given is None."""

    pair: Pair
    start: date | None = None  # included
    end: date | None = None  # included
    model: str = COMBINED
    levels: tuple[float, ...] = ()  # of the quantiles, ascending


class Forecast(NamedTuple):
    """The days from `start` to `end`, both included and in the range of `series`."""

    series: Series
    start: date
    end: date
    levels: tuple[float, ...] = ()  # of the quantiles of each day, ascending


def question(pair: str, query: str, names: Mapping[Pair, Pair]) -> Question:
    """Parse the path and the query, with the pairs of the model by all their `names`.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown or malformed.
        UnknownPair: The pair is not one of `names`.
    """
    named = read_pair(pair, names)
    values = parameters(query, ("start", "end", "model", "quantiles", FORMAT))
    model = read_model(values)
    days = {name: day(name, text) for name, text in values.items() if name in {"start", "end"}}
    levels = read_levels("quantiles", values["quantiles"]) if "quantiles" in values else ()
    return Question(named, days.get("start"), days.get("end"), model, levels)


def days(answers: Answers, asks: Question) -> Forecast:
    """Return the days of a forecast, by default 30 from the day after the last candle.

    Raises:
        BadParameter: The end lies before the start.
        OutsideModel: The model does not cover the start or the end.
    """
    series = answers.series[asks.pair, asks.model]
    first, last = series.first_day, series.last_day
    for name, edge in (("start", asks.start), ("end", asks.end)):
        if edge is not None and not first <= edge <= last:
            raise OutsideModel(name, OutOfRange(edge, first, last))
    start = asks.start or series.last_candle + DAY
    end = asks.end or min(start + (DEFAULT_DAYS - 1) * DAY, last)
    if end < start:
        raise BadParameter("end", f"end {end} lies before start {start}")
    return Forecast(series, start, end, asks.levels)


def rendered(snapshot: Snapshot, forecast: Forecast) -> Rendered:
    """Return a JSON list of rows, each of which is rendered at its first request, and then cached.

    Rows with quantiles are not: there are more levels than memory.

    Raises:
        NoProphetInterval: A day lies after the last candle, and Prophet alone has no interval.
    """
    series = forecast.series
    if forecast.levels:
        rows = [_row(series.row(day), _quantiles(forecast, day)) for day in _each(forecast)]
    else:
        cached, origin = snapshot.rows[series], series.first_day
        first, end = (forecast.start - origin).days, (forecast.end - origin).days + 1
        if not all(cached[first:end]):
            for n in range(first, end):
                cached[n] = cached[n] or _row(series.row(origin + n * DAY))
        rows = cached[first:end]
    body = b"[" + b", ".join(rows) + b"]\n"
    return json_body(body, simulated_header(series.fitted.simulated), series.fitted.pair)


def tabulated(forecast: Forecast) -> Rendered:
    """Return a forecast as CSV, with a column for each quantile. Errors are those of `rendered`."""
    series = forecast.series
    provenance = plain.encode(series.fitted)
    columns = ["date", "prediction", "low", "high", *(f"quantile_{level!r}" for level in forecast.levels), *provenance]
    rows = []
    for row in map(series.row, _each(forecast)):
        quantiles = series.quantiles(row.moment, forecast.levels) if forecast.levels else ()
        provenance = {**plain.encode(row.provenance), "simulated": str(row.provenance.simulated).lower()}
        rows.append([row.moment, row.price.price, row.price.low, row.price.high, *quantiles, *provenance.values()])
    body, pair = table(columns, rows), series.fitted.pair
    headers = [*file_headers(body, pair.slug, "forecast"), (PAIR, str(pair))]
    return Rendered(body, [*headers, *simulated_header(series.fitted.simulated)], pair)


def prepare(snapshot: Snapshot) -> None:
    """Render every day of the default model, the last ones first, so that the first request for a year is fast.

    It pauses often: threads that answer requests would otherwise wait for the interpreter.
    """
    for (_, model), series in snapshot.answers.series.items():
        end = series.last_day
        while model == COMBINED and end >= series.first_day:
            start = max(series.first_day, end - PREPARED_DAYS * DAY)
            rendered(snapshot, Forecast(series, start, end))
            end = start - DAY
            sleep(PAUSE_SECONDS)


def answer(snapshot: Snapshot, now: datetime, query: str, pair: str) -> Rendered:
    """Answer as JSON or CSV."""
    pair, chosen = file_format(pair, query)
    forecast = days(snapshot.answers, question(pair, query, snapshot.answers.names))
    return snapshot.until_change(tabulated(forecast) if chosen == "csv" else rendered(snapshot, forecast), now)


def _each(forecast: Forecast) -> list[date]:
    return [forecast.start + n * DAY for n in range((forecast.end - forecast.start).days + 1)]


def _quantiles(forecast: Forecast, day: date) -> str:
    prices = zip(forecast.levels, forecast.series.quantiles(day, forecast.levels), strict=True)
    members = ", ".join(f'"{level!r}": {price!r}' for level, price in prices)
    return f'"quantiles": {{{members}}}, '


def _row(row: Row, quantiles: str = "") -> bytes:
    price = row.price
    prices = f'"date": "{row.moment}", "prediction": {price.price!r}, "low": {price.low!r}, "high": {price.high!r}'
    return f"{{{prices}, {quantiles}{_provenance_members(row.provenance)}".encode()


@lru_cache(maxsize=256)
def _provenance_members(provenance: Provenance) -> str:
    return json.dumps(plain.encode(provenance)).removeprefix("{")


def _parameters(snapshot: Snapshot) -> list[Parameter]:
    start, end = documented.series(snapshot).last_candle + DAY, documented.day(snapshot)
    lists = {"style": "form", "explode": False}  # 0.05,0.5,0.95
    return [
        pair_parameter(snapshot.answers.pairs[0]),
        parameter("start", "The first day; by default the day after the last candle.", DAY_SCHEMA, start.isoformat()),
        parameter("end", "The last day, included; by default 30 days from the start.", DAY_SCHEMA, end.isoformat()),
        MODEL_PARAMETER,
        parameter("quantiles", _QUANTILES, _LEVELS, list(_EXAMPLE_LEVELS)) | lists,
        FORMAT_PARAMETER,
    ]


def _examples(snapshot: Snapshot) -> list[Rendered]:
    series = documented.series(snapshot)
    start = series.last_candle + DAY
    forecast = Forecast(series, start, start + DAY, _EXAMPLE_LEVELS)
    return [rendered(snapshot, forecast), tabulated(forecast)]


OPERATION = ModelOperation(
    rule="/forecast/<path:pair>",
    answer=answer,
    text=__doc__,
    tag="forecast",
    place=2,
    parameters=_parameters,
    schemas={"ForecastDay": listed(_ROW)},
    examples=_examples,
    failures=documented.failures,
)
