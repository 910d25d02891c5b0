"""What the documentation of several endpoints shares: a series to show, parameters, schemas, headers, errors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

from crypto_predict.errors import DatabaseError
from crypto_predict.market import DAY, Candle
from crypto_predict.market.collected import ACTIVE, CollectedSeries
from crypto_predict.market.forecast import MINUTES_AHEAD
from crypto_predict.web.collected.calls import CONTENT_TYPES, NotAcceptable, until_candle
from crypto_predict.web.collected.pages import DEFAULT_LIMIT, MOST_ROWS, PAGE, Page, Question, T, Table
from crypto_predict.web.collected.series import INTERVAL, Example, NotCollected, SeriesState, state
from crypto_predict.web.http.operation import Failure, Operation, failure
from crypto_predict.web.http.response import PAIR as PAIR_HEADER
from crypto_predict.web.http.response import SERIES, SIMULATED, Rendered
from crypto_predict.web.http.schemas import (
    BOOLEAN,
    FORMAT_PARAMETER,
    MOMENT,
    PAIR,
    TEXT,
    Parameter,
    Schema,
    listed,
    pair_parameter,
    parameter,
    record,
    ref,
    schema_of,
)
from crypto_predict.web.model.snapshots import Snapshot

NUMBER: Schema = {"type": "number", "minimum": 0}
NULL: Schema = {"type": "null"}
INSTANT = schema_of(datetime)
QUANTILES = (67_012.55, 67_028.5, 67_063.1, 67_100.3, 67_136.9, 67_171.2, 67_187.6)  # of an example


class Sample(NamedTuple):
    """What examples are made of: a model, and a series of the database as if it had two invented candles."""

    snapshot: Snapshot
    example: Example

    @property
    def candles(self) -> tuple[Candle, Candle]:
        """The candles."""
        opening = datetime.combine(self.example.day, time(), UTC)
        following = opening + self.example.series.interval.length
        return (
            Candle(opening, 67_000.0, 67_200.5, 66_900.0, 67_100.0, 12.5, 838_125.0, 1042, 6.25, 419_062.5),
            Candle(following, 67_100.0, 67_150.0, 67_050.0, 67_080.0, 7.5, 503_250.0, 604, 3.0, 201_300.0),
        )

    @property
    def end(self) -> datetime:
        """The newest close, UTC."""
        return self.candles[-1].open_time + self.example.series.interval.length

    @property
    def collected(self) -> CollectedSeries:
        """The series."""
        return CollectedSeries(
            self.example.series,
            simulated=False,
            state=ACTIVE,
            first_open=self.candles[0].open_time,
            newest_close=self.end,
            gaps=0,
            missing=0,
            compared=1_440,
            mismatched=1,
        )

    @property
    def states(self) -> list[SeriesState]:
        """The state of the series, as an answer shows it."""
        return [state(self.collected, self.end)]

    def parameters(self, *names: str) -> list[Parameter]:
        """Return the documented parameters of these names."""
        series, day = self.example.series, self.example.day
        minutes: Schema = {"type": "integer", "minimum": 1, "maximum": MINUTES_AHEAD, "default": MINUTES_AHEAD}
        rows: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": DEFAULT_LIMIT}
        texts: dict[str, tuple[str, Schema, object]] = {
            "interval": (
                "The length of a candle; by default the shortest one that is stored.",
                INTERVAL,
                series.interval.label,
            ),
            "source": (
                "By default a real source before a simulated one, then the one with the newest candle.",
                TEXT,
                series.source,
            ),
            "start": ("An ISO 8601 date-time, included, or date, for its beginning.", MOMENT, f"{day}T00:00:00Z"),
            "end": ("The same, not included; by default the newest close.", MOMENT, f"{day + DAY}T00:00:00Z"),
            "limit": ("The number of rows at most.", rows, 100),
            "horizon": ("The number of minutes ahead.", minutes, 5),
        }
        whole = {"pair": pair_parameter(series.pair), "format": FORMAT_PARAMETER}
        return [whole[name] if name in whole else parameter(name, *texts[name]) for name in names]


def page_headers(example: Rendered) -> dict[str, Any]:
    """Return the documented headers of a table."""
    values = dict([*until_candle(example.body, timedelta(seconds=42)), *example.headers])
    texts = {
        "ETag": ("Changes with the candles.", TEXT),
        "Cache-Control": ("Until a second after the next candle closes, for a minute at most.", TEXT),
        "Vary": ("The format depends on `Accept`.", TEXT),
        "Link": ("The next page, or the page before.", TEXT),
        PAIR_HEADER: ("The pair of the rows.", PAIR),
        SERIES[0]: ("The source of the rows, percent-encoded.", TEXT),
        SERIES[1]: ("The interval of the candles.", INTERVAL),
    }
    return {SIMULATED: ref("headers", SIMULATED)} | {
        name: {"description": text, "schema": schema, "example": values[name]}
        for name, (text, schema) in texts.items()
        if name in values
    }


def headers(_: Rendered) -> dict[str, Any]:
    """Return the documented headers of an answer that is not a table."""
    return page_headers(Rendered(b"", []))


def unavailable(_: Sample) -> list[Failure]:
    """Return the error of every endpoint that reads the database."""
    text = "The database cannot be read now; forecasts are answered as usual."
    return [failure("DatabaseUnavailable", text, DatabaseError("", "the server does not answer"))]


def not_collected(sample: Sample) -> Failure:
    """Return the error of a series that the database does not have."""
    text = "No such series is collected; `detail` lists those that are, `parameter` names what was not found."
    return failure("NotCollected", text, NotCollected("pair", "XYZ/USD", [sample.collected]))


def page_failures(sample: Sample) -> list[Failure]:
    """Return the errors of a table."""
    acceptable = failure("NotAcceptable", "`Accept` allows neither JSON nor CSV.", NotAcceptable())
    return [not_collected(sample), acceptable, *unavailable(sample)]


@dataclass(frozen=True, kw_only=True)
class DatabaseOperation(Operation[Sample]):
    """An endpoint of the database: ``answer(call, **path)``."""

    tag: str = "collected"
    headers: Callable[[Rendered], Mapping[str, Any]] = headers
    failures: Callable[[Sample], Sequence[Failure]] = unavailable


def table_operation(
    table: Table[T], text: str, place: int, schemas: Mapping[str, Schema], example: Callable[[Sample], Sequence[T]]
) -> DatabaseOperation:
    """Return the endpoint of a table, with rows as an example."""

    def examples(sample: Sample) -> list[Rendered]:
        series = sample.example.series
        page = Page(sample.collected, series.interval, example(sample), sample.end, None)
        return [table.render(page, Question(series.pair), content_type) for content_type in CONTENT_TYPES]

    return DatabaseOperation(
        rule=table.path.replace("{}", "<path:pair>"),
        answer=table.answer,
        is_file=not table.path.endswith("{}"),
        text=text,
        place=place,
        parameters=lambda sample: sample.parameters("pair", *table.parameters, *PAGE),
        schemas=schemas,
        examples=examples,
        headers=page_headers,
        failures=page_failures,
    )


def page_schema(table: Table[T], values: Sequence[Schema], remark: str = "", **members: Schema) -> Schema:
    """Return the schema of a page; each value of a row is one of `values`, and `remark` follows their names."""
    row: Schema = {
        **listed({"anyOf": values}),
        "minItems": len(table.columns),
        "maxItems": len(table.columns),
        "description": f"The values of {', '.join(table.columns)}.{remark}",
    }
    head = {"pair": PAIR, "source": TEXT, **members, "simulated": BOOLEAN}
    return record({**head, "columns": {"const": list(table.columns)}, table.name: listed(row)})
