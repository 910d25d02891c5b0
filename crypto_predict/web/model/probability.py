"""How probable a price is, and what that is based on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.baked import plain
from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.schema import COVERAGE, Backtest, Confidence, ProphetScore, Score
from crypto_predict.errors import OutOfRange
from crypto_predict.market import Pair
from crypto_predict.web.model.answers import FORECAST, Answers, OutsideModel, Row
from crypto_predict.web.model.questions import ProbabilityQuestion
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
    kind: str  # from here to `simulated` as in `Provenance`
    as_of: datetime
    pair: Pair
    model: str
    simulated: bool
    based_on: Basis
    words: str


def answer(answers: Answers, question: ProbabilityQuestion) -> Probability:
    """Return the probability of a price, with what it is based on.

    Raises:
        OutsideModel: The model does not cover that time.
        NoProphetInterval: The time lies after the last candle, and Prophet alone has no interval.
    """
    series, moment = answers.series[question.pair, question.model], question.moment
    try:
        row, distribution = series.row(moment), series.distribution(moment)
    except OutOfRange as error:
        raise OutsideModel("date", error) from error
    card = answers.model.card
    held, provenance = card.pairs[question.pair], row.provenance
    horizon = series.horizon(moment) if provenance.kind == FORECAST else None
    probability = _between(distribution, question.above, question.below)
    basis = Basis(
        source=held.source,
        build=card.build,
        trained_at=card.trained_at,
        newest_candle=series.last_candle,
        horizon_days=horizon,
        extrapolated=not all(distribution.covers(limit) for limit in (question.above, question.below) if limit),
        calibration=None if horizon is None else _calibration(held.backtest, question.model, horizon),
    )
    return Probability(
        date=moment,
        above=question.above,
        below=question.below,
        probability=round(probability, _DECIMALS),
        prediction=row.price.price,
        low=row.price.low,
        high=row.price.high,
        kind=provenance.kind,
        as_of=provenance.as_of,
        pair=provenance.pair,
        model=provenance.model,
        simulated=provenance.simulated,
        based_on=basis,
        words=_in_words(question, row, probability, basis),
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


def _in_words(question: ProbabilityQuestion, row: Row, probability: float, basis: Basis) -> str:
    """Return the answer and what it is based on, in words."""
    limits = [
        f"{word} {limit:,.12g}" for word, limit in (("above", question.above), ("below", question.below)) if limit
    ]
    when = "at" if isinstance(question.moment, datetime) else "at the close of"
    price = f"{question.pair} {' and '.join(limits)} {when} {plain.encode(question.moment)}"
    sentences = [f"Probability {_share(probability)}: {price}."]
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
    held = f"Out of sample the {100 * calibration.nominal:.0f} % interval held {100 * calibration.coverage:.1f} %"
    nearest = "" if calibration.horizon_days == horizon else f"; nothing nearer to {horizon:.4g} days was measured"
    return f"{held} of {outcomes}{nearest}."


def _share(probability: float) -> str:
    if probability < 0.005:
        return "below 0.5 %"
    return "above 99.5 %" if probability > 0.995 else f"{100 * probability:.0f} %"
