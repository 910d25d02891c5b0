"""What an answer is based on: the model, its newest candle, and how often its intervals held out of sample."""

from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.baked.evaluation import PROPHET
from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import COVERAGE, Confidence, PairCard
from crypto_predict.web.model.answers import FORECAST, Answers, Row, Series
from crypto_predict.wording import counted, days_listed


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
    """What an answer is based on, in addition to the provenance of the price."""

    source: str
    build: str  # version and training time of the model
    trained_at: datetime
    newest_candle: date  # the last day whose candle the model has seen
    horizon_days: float | None  # from the last daily close to the time that was asked for; None for a fitted price
    extrapolated: bool  # whether a limit or a figure lies in an assumed tail, beyond the quantiles of the model
    calibration: Calibration | None  # None for a fitted price, or without a backtest


def basis_of(answers: Answers, series: Series, row: Row, *, extrapolated: bool) -> Basis:
    """Return what an answer about a row of this series is based on."""
    card, pair = answers.model.card, row.provenance.pair
    facts = card.pairs[pair]
    horizon = series.horizon(row.moment) if row.provenance.kind == FORECAST else None
    calibration = None if horizon is None else _calibration(facts, series.model, horizon)
    model = (facts.source, card.build, card.trained_at, series.last_candle)
    return Basis(*model, horizon, extrapolated, calibration)


def reasons(basis: Basis, *, simulated: bool) -> list[str]:
    """Return what the answer is based on, in words."""
    sentences = ["The prices are simulated."] if simulated else []
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
    return sentences


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
