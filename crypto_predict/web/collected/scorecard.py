"""``/scorecard`` with the record of the minute forecasts."""

import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Scorecard
from crypto_predict.errors import DatabaseError
from crypto_predict.market import Pair
from crypto_predict.market.forecast import MinuteScores
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.database import Connection, Overloaded
from crypto_predict.web.collected.endpoint import DatabaseOperation, Sample
from crypto_predict.web.collected.series import rank
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import SIMULATED, Rendered, json_body, simulated_header
from crypto_predict.web.http.schemas import cut, or_null, record, schema_of
from crypto_predict.web.model import scorecard
from crypto_predict.web.model.endpoint import live_headers

_OF_MINUTES = """
`minutes` is the record of the minute forecasts, by pair and horizon; null while the database cannot be read. Losses are
of log price, and relative to persistence with a Gaussian distribution of the last day's volatility. `coverage_80` is
the share of outcomes inside the central 80 % interval.
"""


@dataclass(frozen=True, slots=True)
class MinuteScore:
    """The forecasts of one horizon whose outcome is known; relative to persistence, or None if its loss is zero."""

    horizon_minutes: int
    forecasts: int
    relative_mae: float | None
    relative_winkler: float | None  # of the central 80 % interval
    relative_crps: float | None
    coverage_50: float  # the share of outcomes inside the central 50 % interval
    coverage_80: float
    coverage_90: float


@dataclass(frozen=True, slots=True)
class MinutesRecord:
    """The live record of the minute forecasts of one pair from one source."""

    pair: Pair
    source: str
    simulated: bool
    since: datetime  # UTC, the first outcome
    until: datetime  # UTC, the newest one
    by_horizon: tuple[MinuteScore, ...]


def answer(call: Call) -> Rendered:
    """Return the scorecard of the model with the record; if the database cannot be read, with null in its place."""
    parameters(call.query)
    baked = call.lists.scorecard()
    try:
        return call.until_close(lambda reader: merged(baked, records(reader)), baked)
    except (DatabaseError, Overloaded):
        return call.live(merged(baked, None))


def records(reader: Connection) -> list[MinutesRecord]:
    """Return the live record of every series that has one, sorted by pair and source."""
    stored = reader.minute_records()
    recorded = [collected for collected in reader.collected() if collected.series in stored] if stored else []
    recorded.sort(key=rank)
    records = []
    for collected in recorded:
        series, record = collected.series, stored[collected.series]
        facts = (series.pair, series.source, collected.simulated, record.since, record.until)
        records.append(MinutesRecord(*facts, tuple(map(_score, record.scores))))
    return records


def merged(baked: Rendered, minutes: list[MinutesRecord] | None) -> Rendered:
    """Add the record of the minute forecasts to the scorecard of the model."""
    body = baked.body.rstrip()[:-1] + f', "minutes": {json.dumps(plain.encode(minutes))}}}\n'.encode()
    simulated = dict(baked.headers).get(SIMULATED) == "true" or any(record.simulated for record in minutes or ())
    return json_body(body, simulated_header(simulated))


def _score(sums: MinuteScores) -> MinuteScore:
    losses = ((sums.error, sums.persistence_error), (sums.winkler, sums.persistence_winkler))
    mae, winkler, crps = (_ratio(*loss) for loss in (*losses, (sums.crps, sums.persistence_crps)))
    coverages = [inside / sums.forecasts for inside in (sums.inside_50, sums.inside_80, sums.inside_90)]
    return MinuteScore(sums.horizon_minutes, sums.forecasts, mae, winkler, crps, *coverages)


def _ratio(loss: float, of_persistence: float) -> float | None:
    ratio = loss / of_persistence if of_persistence else math.inf
    return ratio if math.isfinite(ratio) else None  # JSON has no infinity


def _example(sample: Sample) -> list[object]:
    series, since = sample.series, sample.day + timedelta(minutes=1)
    score = MinuteScore(1, 1_439, 1.0002, 0.82, 0.88, 0.507, 0.803, 0.898)
    until = since + timedelta(minutes=1_438)
    of_pair = MinutesRecord(series.pair, series.source, False, since, until, (score,))
    return [cut(sample.snapshot.answers.model.scorecard) | {"minutes": [plain.encode(of_pair)]}]


_MINUTES = {"minutes": or_null(schema_of(list[MinutesRecord]))}
OPERATION = DatabaseOperation(
    rule="/scorecard",
    answer=answer,
    text=f"{scorecard.__doc__}{_OF_MINUTES}",
    tag="model",
    place=2,
    schemas={"Scorecard": record(schema_of(Scorecard)["properties"] | _MINUTES)},
    examples=_example,
    headers=live_headers,
    failures=lambda _: (),
)
