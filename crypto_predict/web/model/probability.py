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
from crypto_predict.baked.evaluation import PROPHET
from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import COVERAGE, Confidence, PairCard
from crypto_predict.market import Pair
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import Parameter, pair_parameter, parameter
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import FORECAST, KIND, MODEL, Answers, Provenance
from crypto_predict.web.model.endpoint import PRICE, PRICE_EXPECTED, read_price
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.wording import counted, days_listed

_DECIMALS = 6  # of a probability: what lies beyond is not known


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


def probability(answers: Answers, pair: str, query: str) -> Probability:
    """Return the probability that path and query ask for, with its basis. Errors are also those of `Series.row`."""
    named = endpoint.read_pair(pair, answers.names)
    values = parameters(query, ("date", "above", "below", "model"))
    moment = endpoint.read_date(values)
    above, below = _limits(values)
    series = answers.of(named, values.get("model"))
    row, distribution = series.row(moment), series.distribution(moment)
    card, provenance = answers.model.card, row.provenance
    facts = card.pairs[named]
    horizon = series.horizon(moment) if provenance.kind == FORECAST else None
    extrapolated = not all(distribution.covers(limit) for limit in (above, below) if limit)
    calibration = None if horizon is None else _calibration(facts, series.model, horizon)
    model = (facts.source, card.build, card.trained_at, series.last_candle)
    basis = Basis(*model, horizon, extrapolated, calibration)
    share = _between(distribution, above, below)
    words = " ".join([_in_words(named, moment, above, below, share), *_reasons(basis, provenance)])
    estimate = (moment, above, below, round(share, _DECIMALS), *row.price)
    rests_on = (provenance.kind, provenance.as_of, provenance.pair, provenance.model, provenance.simulated)
    return Probability(*estimate, *rests_on, basis, words)


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


def _calibration(facts: PairCard, model: str, horizon: float) -> Calibration | None:
    """Return how the interval of a model held at the horizon of the backtest that is nearest to this one, in days."""
    measured = _prophet(facts) if model == PROPHET else _tested(facts, model)
    return min(measured, key=lambda calibration: abs(calibration.horizon_days - horizon), default=None)


def _tested(facts: PairCard, model: str) -> list[Calibration]:
    """Return how the intervals of a model held at each horizon."""
    return [
        Calibration(
            score.horizon_days,
            score.forecasts,
            COVERAGE,
            score.coverage_80.value,
            _confidence(score.coverage_80),
            score.coverage_50.value,
            score.coverage_90.value,
        )
        for report in facts.models
        for score in report.scores
        if report.name == model
    ]


def _prophet(facts: PairCard) -> list[Calibration]:
    """Return how the interval of Prophet alone held at each horizon."""
    backtest = None if facts.backtest is None else facts.backtest.prophet
    return [
        Calibration(score.horizon_days, score.forecasts, COVERAGE, score.coverage, None, None, None)
        for score in (() if backtest is None else backtest.scores)
    ]


def _confidence(estimate: Estimate) -> Confidence | None:
    return None if estimate.low is None or estimate.high is None else Confidence(estimate.low, estimate.high)


def _in_words(pair: Pair, moment: date | datetime, above: float | None, below: float | None, probability: float) -> str:
    """Return the answer in words, which never promise certainty."""
    limits = [f"{word} {limit:,.12g}" for word, limit in (("above", above), ("below", below)) if limit]
    when = "at" if isinstance(moment, datetime) else "at the close of"
    share = "above 99.5 %" if probability > 0.995 else f"{100 * probability:.0f} %"
    share = "below 0.5 %" if probability < 0.005 else share
    return f"Probability {share}: {pair} {' and '.join(limits)} {when} {plain.encode(moment)}."


def _reasons(basis: Basis, provenance: Provenance) -> list[str]:
    """Return what the answer is based on, in words."""
    sentences = ["The prices are simulated."] if provenance.simulated else []
    calibration, horizon = basis.calibration, basis.horizon_days
    if horizon is None:
        sentences.append("That time has passed: this is the fitted distribution, not a forecast.")
    elif calibration is None:
        sentences.append("Nothing was measured out of sample, since the history is too short.")
    else:
        outcomes = f"{counted(calibration.forecasts, 'outcome')} after {days_listed([calibration.horizon_days])}"
        shares = f"{100 * calibration.nominal:.0f} % interval held {100 * calibration.coverage:.1f} %"
        nearest = "" if calibration.horizon_days == horizon else f"; nothing nearer to {horizon:.4g} days was measured"
        sentences.append(f"Out of sample the {shares} of {outcomes}{nearest}.")
    if basis.extrapolated:
        sentences.append("It rests on the assumed shape of a tail.")
    return sentences


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
        endpoint.moment(snapshot, required=True),
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
