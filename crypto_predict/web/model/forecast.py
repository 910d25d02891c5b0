"""The price of a pair on each day of a span, or at each of the next 24 hours."""

import json
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from time import sleep
from typing import NamedTuple

from crypto_predict.baked import plain
from crypto_predict.errors import InvalidValue, OutOfRange
from crypto_predict.market import DAY, Interval
from crypto_predict.market.forecast import HOURS_AHEAD
from crypto_predict.web.http import queries, schemas
from crypto_predict.web.http.problems import BadParameter, Problem
from crypto_predict.web.http.response import PAIR, Rendered, file_headers, json_body, simulated_header, table
from crypto_predict.web.http.schemas import Parameter, Schema, parameter
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import HOUR, Answers, Provenance, Row, Series
from crypto_predict.web.model.endpoint import LEAST_LEVEL, MOST_LEVEL, MOST_LEVELS, PRICE
from crypto_predict.web.model.snapshots import Snapshot

DAILY, HOURLY = Interval.DAY_1.label, Interval.HOUR_1.label
DEFAULT_DAYS = 30  # of a forecast without an end
PREPARED_DAYS = 366  # at a time
PAUSE_SECONDS = 0.005  # between them

_ONLY_DAYS = "{name} is a day: interval=1h has the 24 hours after the newest price, without {name}"
_INTERVAL = """\
`1d` for days, or `1h` for the 24 hours after the newest price of the pair: of the forecast of hours, if the pair has
one, or else between the closes of days.
"""
_EXAMPLE_LEVELS = (0.05, 0.5, 0.95)
_LEVELS: Schema = schemas.listed({"type": "number", "minimum": LEAST_LEVEL, "maximum": MOST_LEVEL}) | {
    "minItems": 1,
    "maxItems": MOST_LEVELS,
    "uniqueItems": True,
}
_PRICES: Schema = {"date": schemas.MOMENT, "prediction": PRICE, "low": PRICE, "high": PRICE}
_ROW = schemas.record(_PRICES | schemas.schema_of(Provenance)["properties"])
_ROW["properties"]["quantiles"] = {"type": "object", "additionalProperties": PRICE}  # if they were asked for
_QUANTILES = f"""\
Levels of quantiles, from {LEAST_LEVEL} to {MOST_LEVEL}, at most {MOST_LEVELS}: each row
then has the member `quantiles`, with the price that is not exceeded with that probability. 0.1 and 0.9 are `low` and
`high`.
"""


class Forecast(NamedTuple):
    """The days from `start` to `end`, both included and in the range of `series`, or the next hours of it."""

    series: Series
    start: date
    end: date
    levels: tuple[float, ...] = ()  # of the quantiles of each day or hour, ascending
    hourly: bool = False  # for the hours, whatever the days

    @property
    def moments(self) -> list[date] | list[datetime]:
        """The days, or the ends of the hours."""
        if self.hourly:
            return [Interval.HOUR_1.floor(self.series.newest) + n * HOUR for n in range(1, HOURS_AHEAD + 1)]
        return [self.start + n * DAY for n in range((self.end - self.start).days + 1)]

    @property
    def rows(self) -> list[tuple[Row, list[float]]]:
        """Each moment with its quantiles, which are none if there are no levels."""
        series, levels = self.series, self.levels
        return [(series.row(moment), series.quantiles(moment, levels) if levels else []) for moment in self.moments]


def question(answers: Answers, pair: str, query: str) -> Forecast:
    """Return the days that are asked for, by default 30 after the last candle; outside the range raise a `Problem`."""
    named = endpoint.read_pair(pair, answers.names)
    values = queries.parameters(query, ("start", "end", "interval", "model", "quantiles", queries.FORMAT))
    if (interval := values.get("interval", DAILY)) not in {DAILY, HOURLY}:
        raise InvalidValue("interval", interval, f"{DAILY} or {HOURLY}")
    series = answers.of(named, values.get("model"))
    edges = {name: queries.day(name, text) for name, text in values.items() if name in {"start", "end"}}
    levels = endpoint.read_levels("quantiles", values["quantiles"]) if "quantiles" in values else ()
    first, last = series.first_day, series.last_day
    if interval == HOURLY and edges:
        raise BadParameter(*next((name, _ONLY_DAYS.format(name=name)) for name in edges))
    for name in ("start", "end"):
        if name in edges and not first <= edges[name] <= last:
            raise Problem(422, f"{name}: {OutOfRange(edges[name], first, last)}", name)
    start = edges.get("start", series.last_candle + DAY)
    end = edges.get("end", min(start + (DEFAULT_DAYS - 1) * DAY, last))
    if end < start:
        raise BadParameter("end", f"end {end} lies before start {start}")
    return Forecast(series, start, end, levels, interval == HOURLY)


def rendered(snapshot: Snapshot, forecast: Forecast) -> Rendered:
    """Return a JSON list of rows. Those of a default model are rendered at their first request, and then cached.

    The others are not, nor rows with quantiles: there are more of them than memory. Errors are those of `Series.row`.
    """
    series = forecast.series
    if forecast.levels or forecast.hourly or series not in snapshot.rows:
        rows = [_row(row, zip(forecast.levels, quantiles, strict=True)) for row, quantiles in forecast.rows]
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
    fitted = forecast.series.fitted
    quantiles = (f"quantile_{level!r}" for level in forecast.levels)
    columns = ["date", "prediction", "low", "high", *quantiles, *plain.encode(fitted)]
    rows = [
        (
            plain.encode(row.moment),
            row.price.price,
            row.price.low,
            row.price.high,
            *prices,
            *plain.encode(row.provenance).values(),
        )
        for row, prices in forecast.rows
    ]
    body = table(columns, rows)
    headers = [*file_headers(body, fitted.pair.slug, "forecast"), (PAIR, str(fitted.pair))]
    return Rendered(body, [*headers, *simulated_header(fitted.simulated)], fitted.pair)


def prepare(snapshot: Snapshot) -> None:
    """Render every day of the default models, the last ones first, so that the first request for a year is fast.

    It pauses often: threads that answer requests would otherwise wait for the interpreter.
    """
    for series in snapshot.rows:
        end = series.last_day
        while end >= series.first_day:
            start = max(series.first_day, end - PREPARED_DAYS * DAY)
            rendered(snapshot, Forecast(series, start, end))
            end = start - DAY
            sleep(PAUSE_SECONDS)


def answer(snapshot: Snapshot, now: datetime, query: str, pair: str) -> Rendered:
    """Answer as JSON or CSV."""
    pair, chosen = queries.file_format(pair, query)
    forecast = question(snapshot.answers, pair, query)
    return snapshot.until_change(tabulated(forecast) if chosen == "csv" else rendered(snapshot, forecast), now)


def _row(row: Row, quantiles: Iterable[tuple[float, float]] = ()) -> bytes:
    price, members = row.price, ", ".join(f'"{level!r}": {price!r}' for level, price in quantiles)
    moment = plain.encode(row.moment)
    prices = f'"date": "{moment}", "prediction": {price.price!r}, "low": {price.low!r}, "high": {price.high!r}'
    named = f'"quantiles": {{{members}}}, ' if members else ""
    return f"{{{prices}, {named}{_provenance_members(row.provenance)}".encode()


@lru_cache(maxsize=256)
def _provenance_members(provenance: Provenance) -> str:
    return json.dumps(plain.encode(provenance)).removeprefix("{")


def _parameters(snapshot: Snapshot) -> list[Parameter]:
    start, end = endpoint.series(snapshot).last_candle + DAY, endpoint.day(snapshot)
    lists = {"style": "form", "explode": False}  # 0.05,0.5,0.95
    return [
        schemas.pair_parameter(snapshot.answers.pairs[0]),
        parameter("start", "The first day; by default the day after the last candle.", schemas.DAY, f"{start}"),
        parameter("end", "The last day, included; by default 30 days from the start.", schemas.DAY, f"{end}"),
        parameter("interval", _INTERVAL, {**schemas.TEXT, "enum": [DAILY, HOURLY], "default": DAILY}, DAILY),
        endpoint.model(snapshot, snapshot.answers.pairs),
        parameter("quantiles", _QUANTILES, _LEVELS, list(_EXAMPLE_LEVELS)) | lists,
        schemas.FORMAT_PARAMETER,
    ]


def _examples(snapshot: Snapshot) -> list[Rendered]:
    series = endpoint.series(snapshot)
    start = series.last_candle + DAY
    example = Forecast(series, start, start + DAY, _EXAMPLE_LEVELS)
    return [rendered(snapshot, example), tabulated(example)]


OPERATION = endpoint.ModelOperation(
    rule="/forecast/<path:pair>",
    answer=answer,
    text=__doc__,
    tag="forecast",
    live=True,
    place=2,
    parameters=_parameters,
    schemas={"ForecastDay": schemas.listed(_ROW)},
    examples=_examples,
    failures=endpoint.failures,
)
