"""How probable is a price, on a day or at an instant?

How probable it is that the price is `above` one limit, `below` another one, or between both. `based_on` says what the
answer rests on: `calibration` is how often the model's 80 % interval held out of sample, at the horizon of the backtest
nearest to the question. A day that has passed is answered from the fitted distribution (`kind` is `fitted`): how
closes lay around the curve, not what happened. If `extrapolated` is true, a limit lies so far out that the shape of
the distribution there is an assumption.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from crypto_predict.baked import plain
from crypto_predict.baked.distribution import Distribution
from crypto_predict.market import Pair
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import Parameter, pair_parameter, parameter
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import KIND, MODEL, Answers
from crypto_predict.web.model.basis import Basis, basis_of, reasons
from crypto_predict.web.model.endpoint import PRICE, PRICE_EXPECTED, read_price
from crypto_predict.web.model.snapshots import Snapshot

_DECIMALS = 6  # of a probability: what lies beyond is not known


@dataclass(frozen=True, slots=True)
class Probability:
    """The probability that a price is above the one limit and below the other."""

    date: date | datetime  # a day stands for its close; an instant is in UTC
    above: float | None
    below: float | None
    probability: float
    prediction: float
    low: float  # of the central 80 % interval
    high: float
    kind: Annotated[str, KIND]  # from here to `simulated` as in `Provenance`
    as_of: datetime
    pair: Pair
    model: Annotated[str, MODEL]
    simulated: bool
    based_on: Basis
    words: str


def probability(answers: Answers, pair: str, query: str) -> Probability:
    """Return the probability that path and query ask for, with its basis. Errors are also those of `Series.row`."""
    named = endpoint.read_pair(pair, answers.names)
    values = parameters(query, ("date", "above", "below", "model"))
    moment = endpoint.read_date(values)
    above, below = _limits(values)
    series = answers.of(named, values.get("model"))
    row, distribution = series.row(moment), series.distribution(moment)
    provenance = row.provenance
    extrapolated = not all(distribution.covers(limit) for limit in (above, below) if limit)
    basis = basis_of(answers, series, row, extrapolated=extrapolated)
    share = _between(distribution, above, below)
    tail = ["It rests on the assumed shape of a tail."] if extrapolated else []
    sentences = [_in_words(named, moment, above, below, share), *reasons(basis, simulated=provenance.simulated), *tail]
    estimate = (moment, above, below, round(share, _DECIMALS), *row.price)
    rests_on = (provenance.kind, provenance.as_of, provenance.pair, provenance.model, provenance.simulated)
    return Probability(*estimate, *rests_on, basis, " ".join(sentences))


def _limits(values: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Return the limits of the price; at least one of them is given, and `below` is more than `above`."""
    above, below = (read_price(name, values[name]) if name in values else None for name in ("above", "below"))
    if above is None and below is None:
        raise BadParameter("above", f"above and below are missing: give one of them or both, each {PRICE_EXPECTED}")
    if above is not None and below is not None and below <= above:
        limits = f"below ({below:,.12g}) must be more than above ({above:,.12g})"
        raise BadParameter("below", f"{limits}: both together ask for a price between them")
    return above, below


def _between(distribution: Distribution, above: float | None, below: float | None) -> float:
    """Return the probability of a price above the one limit and below the other, as far as they are given."""
    if above is not None and below is not None:
        return max(distribution.above(above) - distribution.above(below), 0.0)
    if above is not None:
        return distribution.above(above)
    return 1.0 if below is None else distribution.below(below)


def _in_words(pair: Pair, moment: date | datetime, above: float | None, below: float | None, probability: float) -> str:
    """Return the answer in words, which never promise certainty."""
    limits = [f"{word} {limit:,.12g}" for word, limit in (("above", above), ("below", below)) if limit]
    when = "at" if isinstance(moment, datetime) else "at the close of"
    share = "above 99.5 %" if probability > 0.995 else f"{100 * probability:.0f} %"
    share = "below 0.5 %" if probability < 0.005 else share
    return f"Probability {share}: {pair} {' and '.join(limits)} {when} {plain.encode(moment)}."


def answer(snapshot: Snapshot, now: datetime, query: str, pair: str) -> Rendered:
    """Return the answer as JSON."""
    estimate = probability(snapshot.answers, pair, query)
    return snapshot.until_change(render(estimate, simulated=estimate.simulated, pair=estimate.pair), now)


def _limit(snapshot: Snapshot) -> float:
    """Return a round price near the forecast of the day of the example."""
    return float(f"{endpoint.series(snapshot).row(endpoint.day(snapshot)).price.price:.2g}")


def _parameters(snapshot: Snapshot) -> list[Parameter]:
    return [
        pair_parameter(snapshot.answers.pairs[0]),
        endpoint.moment(snapshot),
        parameter("above", "The lower limit of the price; or `below`, or both.", PRICE, _limit(snapshot)),
        parameter("below", "The upper limit of the price, more than `above`.", PRICE),
        endpoint.model(snapshot, snapshot.answers.pairs),
    ]


def _example(snapshot: Snapshot) -> list[Probability]:
    query = f"date={endpoint.day(snapshot)}&above={_limit(snapshot)!r}"
    return [probability(snapshot.answers, snapshot.answers.pairs[0].slug, query)]


OPERATION = endpoint.ModelOperation(
    rule="/probability/<path:pair>",
    answer=answer,
    text=__doc__,
    tag="forecast",
    place=3,
    parameters=_parameters,
    schemas={"Probability": Probability},
    examples=_example,
    failures=endpoint.failures,
)
