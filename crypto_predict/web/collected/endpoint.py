"""What the endpoints of a database share: parameters, how they are read and documented, a series to show, errors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

from crypto_predict.errors import DatabaseError, InvalidValue
from crypto_predict.market import DAY, EPOCH, Candle, Interval, Pair, SeriesKey
from crypto_predict.market.collected import ACTIVE, CollectedSeries
from crypto_predict.market.forecast import MINUTES_AHEAD
from crypto_predict.settings import whole_number
from crypto_predict.web.collected.calls import until_candle
from crypto_predict.web.collected.series import INTERVAL, NotCollected, SeriesState, state
from crypto_predict.web.http import queries, schemas
from crypto_predict.web.http.operation import Failure, Operation
from crypto_predict.web.http.problems import BadParameter, of_error
from crypto_predict.web.http.response import PAIR, SERIES, SIMULATED, Rendered
from crypto_predict.web.http.schemas import MOMENT, TEXT, Parameter, Schema
from crypto_predict.web.model.snapshots import Snapshot

DEFAULT_LIMIT, MOST_ROWS = 1_000, 10_000  # in one answer
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # later instants are read as this one: the calendar ends soon after
MINUTE = Interval.MINUTE_1

NUMBER: Schema = {"type": "number", "minimum": 0}
NULL: Schema = {"type": "null"}
INSTANT = schemas.schema_of(datetime)
QUANTILES = (67_012.55, 67_028.5, 67_063.1, 67_100.3, 67_136.9, 67_171.2, 67_187.6)  # of an example

_horizon = whole_number("horizon", 1, MINUTES_AHEAD)
_limit = whole_number("limit", 1, MOST_ROWS)


class Question(NamedTuple):
    """Path and parameters; what was not given is None."""

    pair: Pair
    interval: Interval | None = None
    start: datetime | None = None  # UTC, included
    end: datetime | None = None  # UTC, not included
    limit: int = DEFAULT_LIMIT
    source: str | None = None
    format: str | None = None  # that was asked for in the address
    horizon: int = MINUTES_AHEAD  # minutes


def question(pair: str, query: str, *names: str) -> Question:
    """Parse the path and the query, whose parameters are these, in the order in which an error lists them."""
    pair, chosen = queries.file_format(pair, query) if queries.FORMAT in names else (pair, None)
    parsed = Pair.parse(pair)
    values = queries.parameters(query, names)
    start, end = read_span(values)
    limit = _limit(values["limit"]) if "limit" in values else DEFAULT_LIMIT
    interval = Interval.parse(values["interval"]) if "interval" in values else None
    horizon = _horizon(values["horizon"]) if "horizon" in values else MINUTES_AHEAD
    return Question(parsed, interval, start, end, limit, values.get("source"), chosen, horizon)


def read_span(values: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """Parse the parameters `start` and `end`, as `read_instant` does; None for one that was not given."""
    start, end = (read_instant(name, values[name]) if name in values else None for name in ("start", "end"))
    if start is not None and end is not None and end < start:
        raise BadParameter("end", f"end {values['end']} lies before start {values['start']}")
    return start, end


def read_instant(name: str, text: str) -> datetime:
    """Parse an instant, or a day for its beginning; those outside 1970 to 9998 are moved to these limits."""
    instant = queries.moment(name, text)
    if not isinstance(instant, datetime):
        instant = datetime.combine(instant, time(), UTC)
    if instant.tzinfo is not UTC:  # UTC places it outside the years 1 to 9999
        raise InvalidValue(name, text, queries.MOMENT_EXPECTED)
    return min(max(instant, EPOCH), LATEST)


class Sample(NamedTuple):
    """What examples are made of: a model, and a series of the database as if it had two invented candles."""

    snapshot: Snapshot
    series: SeriesKey
    day: datetime  # UTC, the opening of the first candle

    @property
    def candles(self) -> tuple[Candle, Candle]:
        """The candles."""
        following = self.day + self.series.interval.length
        return (
            Candle(self.day, 67_000.0, 67_200.5, 66_900.0, 67_100.0, 12.5, 838_125.0, 1042, 6.25, 419_062.5),
            Candle(following, 67_100.0, 67_150.0, 67_050.0, 67_080.0, 7.5, 503_250.0, 604, 3.0, 201_300.0),
        )

    @property
    def end(self) -> datetime:
        """The newest close, UTC."""
        return self.day + 2 * self.series.interval.length

    @property
    def collected(self) -> CollectedSeries:
        """The series."""
        return CollectedSeries(self.series, False, ACTIVE, self.day, self.end, 0, 0, compared=1_440, mismatched=1)

    @property
    def states(self) -> list[SeriesState]:
        """The state of the series, as an answer shows it."""
        return [state(self.collected, self.end)]

    def parameters(self, *names: str) -> list[Parameter]:
        """Return the documented parameters of these names."""
        minutes: Schema = {"type": "integer", "minimum": 1, "maximum": MINUTES_AHEAD, "default": MINUTES_AHEAD}
        rows: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": DEFAULT_LIMIT}
        length = "The length of a candle; by default the shortest one that is stored."
        preferred = "By default a real source before a simulated one, then the one with the newest candle."
        texts: dict[str, tuple[str, Schema, object]] = {
            "interval": (length, INTERVAL, self.series.interval.label),
            "source": (preferred, TEXT, self.series.source),
            "start": ("An ISO 8601 date-time, included, or date, for its beginning.", MOMENT, instant(self.day)),
            "end": ("The same, not included; by default the newest close.", MOMENT, instant(self.day + DAY)),
            "limit": ("The number of rows at most.", rows, 100),
            "horizon": ("The number of minutes ahead.", minutes, 5),
        }
        described = {name: schemas.parameter(name, *texts[name]) for name in names if name in texts}
        described |= {"pair": schemas.pair_parameter(self.series.pair), queries.FORMAT: schemas.FORMAT_PARAMETER}
        return [described[name] for name in names]


def instant(at: datetime) -> str:
    """Format an instant in UTC: ``2024-06-01T12:00:00Z``, with microseconds if it has any."""
    return f"{at.isoformat()[:-6]}Z"


def table_headers(example: Rendered) -> dict[str, Any]:
    """Return the documented headers of a table."""
    values = dict([*until_candle(example.body, timedelta(seconds=42)), *example.headers])
    texts = {
        "ETag": ("Changes with the candles.", TEXT),
        "Cache-Control": ("Until a second after the next candle closes, for a minute at most.", TEXT),
        "Vary": ("The format depends on `Accept`.", TEXT),
        "Link": ("The next page, or the page before.", TEXT),
        PAIR: ("The pair of the rows.", schemas.PAIR),
        SERIES[0]: ("The source of the rows, percent-encoded.", TEXT),
        SERIES[1]: ("The interval of the candles.", INTERVAL),
    }
    return {SIMULATED: schemas.ref("headers", SIMULATED)} | {
        name: {"description": text, "schema": schema, "example": values[name]}
        for name, (text, schema) in texts.items()
        if name in values
    }


def unavailable(_: Sample) -> list[Failure]:
    """Return the error of every endpoint that reads the database."""
    text = "The database cannot be read now; forecasts are answered as usual."
    return [Failure("DatabaseUnavailable", text, of_error(DatabaseError("", "the server does not answer")))]


def not_collected(sample: Sample) -> Failure:
    """Return the error of a series that the database does not have."""
    text = "No such series is collected; `detail` lists those that are, `parameter` names what was not found."
    return Failure("NotCollected", text, NotCollected("pair", "XYZ/USD", [sample.collected]))


@dataclass(frozen=True, kw_only=True)
class DatabaseOperation(Operation[Sample]):
    """An endpoint of the database: ``answer(call, **path)``."""

    tag: str = "collected"
    headers: Callable[[Rendered], Mapping[str, Any]] = lambda _: table_headers(Rendered(b"", []))
    failures: Callable[[Sample], Sequence[Failure]] = unavailable
