"""How probable is a price, on a day or at an instant?

How probable it is that the price is `above` one limit, `below` another one, or between both. `based_on` says what the
answer rests on: `calibration` is how often the model's 80 % interval held out of sample, at the horizon of the backtest
nearest to the question. A day that has passed is answered from the fitted distribution (`kind` is `fitted`): how
closes lay around the curve, not what happened. If `extrapolated` is true, a limit lies so far out that the shape of
the distribution there is an assumption.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.schema import COVERAGE, Backtest, Confidence, ProphetScore, Score
from crypto_predict.errors import OutOfRange
from crypto_predict.market import Pair
from crypto_predict.web.http.errors import BadParameter
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import Parameter, pair_parameter, parameter
from crypto_predict.web.model import documented
from crypto_predict.web.model.answers import FORECAST, KIND, Answers, OutsideModel, Row
from crypto_predict.web.model.documented import ModelOperation
from crypto_predict.web.model.parameters import (
    MODEL,
    MODEL_PARAMETER,
    PRICE,
    PRICE_EXPECTED,
    read_date,
    read_model,
    read_pair,
    read_price,
)
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.wording import counted, days_listed

_DECIMALS = 6  # of a probability: what lies beyond is not known


class Question(NamedTuple):
    """Path and parameters: the price above the one limit, below the other, or between both."""

    pair: Pair
    moment: date | datetime  # a day stands for its close; an instant is aware of its time zone
    above: float | None
    below: float | None  # more than `above`; not both are None
    model: str = COMBINED


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often the intervals of a model held out of sample, at the horizon of its backtest nearest to the question."""

    horizon_days: int
    forecasts: int
    nominal: float  # the share of outcomes that should be inside the 80 % interval
    coverage: float  # the share that was
    confidence: Confidence | None  # of `coverage`; None if there were too few forecasts, and for Prophet alone
    coverage_50: float | None  # the same share of the 50 % interval; None for Prophet alone
    coverage_90: float | None  # of the 90 % interval


@dataclass(frozen=True, slots=True)
class Basis:
    """What a probability is based on, in addition to the provenance of the price."""

    source: str
    build: str  # version and training time of the model
    trained_at: datetime
    newest_candle: date  # the last day whose candle the model has seen
    horizon_days: float | None  # from the last daily close to the time that was asked for; None for a fitted price
    extrapolated: bool  # whether a limit lies in an assumed tail, beyond the quantiles that the model holds
    calibration: Calibration | None  # None for a fitted price, or without a backtest


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


def question(pair: str, query: str, names: Mapping[Pair, Pair]) -> Question:
    """Parse the path and the query, with the pairs of the model by all their `names`.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is missing, repeated, unknown or malformed, or
            `below` is not more than `above`.
        UnknownPair: The pair is not one of `names`.
    """
    named = read_pair(pair, names)
    values = parameters(query, ("date", "above", "below", "model"))
    moment = read_date(values)
    above, below = (read_price(name, values[name]) if name in values else None for name in ("above", "below"))
    if above is None and below is None:
        raise BadParameter("above", f"above and below are missing: give one of them or both, each {PRICE_EXPECTED}")
    if above is not None and below is not None and below <= above:
        limits = f"below ({below:,.12g}) must be more than above ({above:,.12g})"
        raise BadParameter("below", f"{limits}: both together ask for a price between them")
    return Question(named, moment, above, below, read_model(values))


def probability(answers: Answers, asks: Question) -> Probability:
    """Return the probability of a price, with what it is based on.

    Raises:
        OutsideModel: The model does not cover that time.
        NoProphetInterval: The time lies after the last candle, and Prophet alone has no interval.
    """
    series, moment = answers.series[asks.pair, asks.model], asks.moment
    try:
        row, distribution = series.row(moment), series.distribution(moment)
    except OutOfRange as error:
        raise OutsideModel("date", error) from error
    card = answers.model.card
    facts, provenance = card.pairs[asks.pair], row.provenance
    horizon = series.horizon(moment) if provenance.kind == FORECAST else None
    share = _between(distribution, asks.above, asks.below)
    basis = Basis(
        source=facts.source,
        build=card.build,
        trained_at=card.trained_at,
        newest_candle=series.last_candle,
        horizon_days=horizon,
        extrapolated=not all(distribution.covers(limit) for limit in (asks.above, asks.below) if limit),
        calibration=None if horizon is None else _calibration(facts.backtest, asks.model, horizon),
    )
    return Probability(
        date=moment,
        above=asks.above,
        below=asks.below,
        probability=round(share, _DECIMALS),
        prediction=row.price.price,
        low=row.price.low,
        high=row.price.high,
        kind=provenance.kind,
        as_of=provenance.as_of,
        pair=provenance.pair,
        model=provenance.model,
        simulated=provenance.simulated,
        based_on=basis,
        words=_in_words(asks, row, share, basis),
    )


def _between(distribution: Distribution, above: float | None, below: float | None) -> float:
    """Return the probability of a price above the one limit and below the other, as far as they are given."""
    if above is None:
        return 1.0 if below is None else distribution.below(below)
    if below is None:
        return distribution.above(above)
    return max(distribution.above(above) - distribution.above(below), 0.0)


def _calibration(backtest: Backtest | None, model: str, horizon: float) -> Calibration | None:
    """Return how the interval of a model held at the horizon of the backtest that is nearest to this one, in days."""
    scores: Sequence[Score | ProphetScore] = ()
    if backtest is not None and model == COMBINED:
        scores = backtest.scores
    elif backtest is not None and backtest.prophet is not None:
        scores = backtest.prophet.scores
    if not scores:
        return None
    nearest = min(scores, key=lambda score: abs(score.horizon_days - horizon))
    measured = nearest.horizon_days, nearest.forecasts, COVERAGE, nearest.coverage
    if isinstance(nearest, ProphetScore):
        return Calibration(*measured, None, None, None)
    return Calibration(*measured, nearest.confidence.get("coverage"), nearest.coverage_50, nearest.coverage_90)


def _in_words(asks: Question, row: Row, share: float, basis: Basis) -> str:
    """Return the answer and what it is based on, in words."""
    limits = [f"{word} {limit:,.12g}" for word, limit in (("above", asks.above), ("below", asks.below)) if limit]
    when = "at" if isinstance(asks.moment, datetime) else "at the close of"
    price = f"{asks.pair} {' and '.join(limits)} {when} {plain.encode(asks.moment)}"
    sentences = [f"Probability {_share(share)}: {price}."]
    if row.provenance.simulated:
        sentences.append("The prices are simulated.")
    if basis.horizon_days is None:
        sentences.append("That time has passed: this is the fitted distribution, not a forecast.")
    elif basis.calibration is None:
        sentences.append("Nothing was measured out of sample, since the history is too short for a backtest.")
    else:
        sentences.append(_measured(basis.calibration, basis.horizon_days))
    if basis.extrapolated:
        sentences.append("It rests on the assumed shape of a tail.")
    return " ".join(sentences)


def _measured(calibration: Calibration, horizon: float) -> str:
    outcomes = f"{counted(calibration.forecasts, 'outcome')} after {days_listed([calibration.horizon_days])}"
    measured = f"Out of sample the {100 * calibration.nominal:.0f} % interval held {100 * calibration.coverage:.1f} %"
    nearest = "" if calibration.horizon_days == horizon else f"; nothing nearer to {horizon:.4g} days was measured"
    return f"{measured} of {outcomes}{nearest}."


def _share(probability: float) -> str:
    if probability < 0.005:
        return "below 0.5 %"
    return "above 99.5 %" if probability > 0.995 else f"{100 * probability:.0f} %"


def answer(snapshot: Snapshot, now: datetime, query: str, pair: str) -> Rendered:
    """Return the answer as JSON."""
    estimate = probability(snapshot.answers, question(pair, query, snapshot.answers.names))
    return snapshot.until_change(render(estimate, simulated=estimate.simulated, pair=estimate.pair), now)


def _parameters(snapshot: Snapshot) -> list[Parameter]:
    limit = documented.limit(snapshot)
    return [
        pair_parameter(snapshot.answers.pairs[0]),
        documented.moment(snapshot, required=True),
        parameter("above", "The lower limit of the price; or `below`, or both.", PRICE, limit),
        parameter("below", "The upper limit of the price, more than `above`.", PRICE),
        MODEL_PARAMETER,
    ]


def _example(snapshot: Snapshot) -> list[Probability]:
    asks = Question(snapshot.answers.pairs[0], documented.day(snapshot), documented.limit(snapshot), None)
    return [probability(snapshot.answers, asks)]


OPERATION = ModelOperation(
    rule="/probability/<path:pair>",
    answer=answer,
    text=__doc__,
    tag="forecast",
    place=3,
    parameters=_parameters,
    schemas={"Probability": Probability},
    examples=_example,
    failures=documented.failures,
)
