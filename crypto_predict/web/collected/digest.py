"""The SHA-256 of a day's candles, to compare two collectors.

The SHA-256 of UTF-8 text: one line with the interval in seconds, then one line a candle,
`2024-05-17T00:00:00Z,open,high,low,close,volume` with numbers as Python's `repr` writes them. A line feed ends each.
Compare days that are `complete` only: the source was asked for all of such a day.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated

from crypto_predict.errors import InvalidValue
from crypto_predict.market import DAY, EPOCH, Interval, Pair, Span, StoredCandle, aggregate
from crypto_predict.market import digest as digest_of
from crypto_predict.web.collected import endpoint
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.candles import complete
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import LATEST, Question, Sample
from crypto_predict.web.collected.series import INTERVAL, choose, of_pair
from crypto_predict.web.http import queries, schemas
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.web.http.response import Rendered, render


@dataclass(frozen=True, slots=True)
class DayDigest:
    """The digest of the candles of one UTC day."""

    pair: Pair
    source: str
    interval: Annotated[str, INTERVAL]
    day: date
    candles: int
    complete: bool  # whether the source was asked for the whole day
    sha256: str
    simulated: bool


def digest(reader: Connection, asks: Question, day: date) -> DayDigest:
    """Return the digest of one day; if the database does not hold such candles, raise `NotCollected`."""
    start = datetime.combine(day, time(), UTC)
    collected, interval = choose(of_pair(reader, asks.pair), asks.interval, asks.source)
    whole, base = Span(start, start + DAY), collected.series.interval
    stored = reader.candles(collected.series, whole, DAY // base.length)
    if interval is not base:  # here and not in the database, whose sums may differ in their last bits
        made = aggregate((row.candle for row in stored), interval)
        rows_of_day = (StoredCandle(candle, None) for candle in made if not candle.faults())
        stored = complete(rows_of_day, reader.covered(collected.series, interval))
    rows = [row.candle for row in stored]
    is_complete = any(span.start <= start and whole.end <= span.end for span in reader.coverage(collected.series))
    facts = (interval.label, day, len(rows), is_complete, digest_of(rows, interval), collected.simulated)
    return DayDigest(asks.pair, collected.series.source, *facts)


def answer(call: Call, pair: str) -> Rendered:
    """Return the digest as JSON."""
    names = ("day", "interval", "source")
    asks = endpoint.question(pair, call.query, *names)
    if asks.interval is not None and asks.interval.length > DAY:
        lengths = [interval.label for interval in Interval if interval.length <= DAY]
        raise InvalidValue("interval", asks.interval.label, f"one of {', '.join(lengths)}: the digest is that of a day")
    text = queries.parameters(call.query, names).get("day")
    if text is None:
        raise BadParameter("day", "day is missing: it must be an ISO date such as 2024-06-01")
    day = queries.day("day", text)
    if not EPOCH.date() <= day < LATEST.date():
        raise InvalidValue("day", text, f"a day from {EPOCH:%Y-%m-%d} to the end of 9998")
    with call.reading() as reader:
        of_day = digest(reader, asks, day)
    return call.live(render(of_day, simulated=of_day.simulated))


def _parameters(sample: Sample) -> list[schemas.Parameter]:
    pair, *others = sample.parameters("pair", "interval", "source")
    day = schemas.parameter("day", "A UTC day.", schemas.DAY, f"{sample.day:%Y-%m-%d}")
    return [pair, day | {"required": True}, *others]


def _example(sample: Sample) -> list[DayDigest]:
    series, rows = sample.series, sample.candles
    facts = (series.interval.label, sample.day.date(), len(rows), True, digest_of(rows, series.interval), False)
    return [DayDigest(series.pair, series.source, *facts)]


OPERATION = endpoint.DatabaseOperation(
    rule="/digest/<path:pair>",
    answer=answer,
    text=__doc__,
    place=6,
    parameters=_parameters,
    schemas={"DayDigest": DayDigest},
    examples=_example,
    failures=lambda sample: [endpoint.not_collected(sample), *endpoint.unavailable(sample)],
)
