"""What an answer is based on: the model, its newest candle, and how often its intervals held out of sample."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET
from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import COVERAGE, Confidence, PairCard
from crypto_predict.market import DAY
from crypto_predict.web.model.answers import CLOCK, FORECAST, HOUR, Answers, Row, Series
from crypto_predict.wording import counted, lasted


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often the intervals of a model held out of sample, at the horizon of its backtest nearest to the question."""

    horizon_days: int | None  # of the backtest of days
    horizon_hours: int | None  # of that of hours
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
    clock: Annotated[str | None, CLOCK]  # the forecast that answers; None for a fitted price
    cutoff: datetime | None  # the newest close that this forecast was made from, UTC
    live: bool  # whether it was read from the database, and is newer than the model
    newest_price_hours: int | None  # whole hours since the newest price, of an instant at most a day after it
    horizon_days: float | None  # from the last daily close to the time that was asked for; None for a fitted price
    horizon_hours: float | None  # from the newest price to it, if the forecast of hours answers
    no_hours: str | None  # why an instant within 24 hours of the newest price is answered by days
    extrapolated: bool  # whether a limit or a figure lies in an assumed tail, beyond the quantiles of the model
    calibration: Calibration | None  # None for a fitted price, or without a backtest


def basis_of(answers: Answers, series: Series, row: Row, now: datetime | None, *, extrapolated: bool) -> Basis:
    """Return what an answer about a row of this series is based on; without `now` (UTC) no price is old."""
    card, pair = answers.model.card, row.provenance.pair
    facts, is_forecast = card.pairs[pair], row.provenance.kind == FORECAST
    horizon = series.horizon(row.moment) if is_forecast else None
    clock = series.clock(row.moment) if is_forecast else None
    hours = series.hours(row.moment)
    measured = _of_hours(facts) if hours else _of_days(facts, series.model)
    is_near = horizon is not None and isinstance(row.moment, datetime) and row.moment - series.newest <= DAY
    return Basis(
        source=facts.source,
        build=card.build,
        trained_at=card.trained_at,
        newest_candle=series.last_candle,
        clock=None if clock is None else clock.name,
        cutoff=None if clock is None else clock.cutoff,
        live=clock is not None and clock.live,
        newest_price_hours=age_in_hours(series.newest, now or series.newest) if is_near else None,
        horizon_days=horizon,
        horizon_hours=hours,
        no_hours=facts.no_hours if is_near and hours is None and series.model == COMBINED else None,
        extrapolated=extrapolated,
        calibration=None if horizon is None else _nearest(measured, hours or horizon),
    )


def newest_of(basis: Basis, as_of: datetime) -> datetime | None:
    """Return the instant of the newest price (UTC) if the answer says how old that is."""
    return None if basis.newest_price_hours is None else as_of


def age_in_hours(newest: datetime, now: datetime) -> int:
    """Return the whole hours since the newest price."""
    return max(now - newest, timedelta()) // HOUR


def reasons(basis: Basis, *, simulated: bool, measured: Sequence[str] = ()) -> list[str]:
    """Return what the answer is based on, in words; what was `measured` of such answers in place of intervals."""
    sentences = ["The prices are simulated."] if simulated else []
    calibration, horizon = basis.calibration, basis.horizon_days
    if measured:
        sentences += measured
    elif horizon is None:
        sentences.append("That time has passed: this is the fitted distribution, not a forecast.")
    elif calibration is None:
        sentences.append("Nothing was measured out of sample, since the history is too short.")
    else:
        nearest_horizon, unit = _horizon(calibration)
        asked = basis.horizon_hours or horizon
        outcomes = f"{counted(calibration.forecasts, 'outcome')} after {counted(nearest_horizon, unit)}"
        shares = f"{100 * calibration.nominal:.0f} % interval held {100 * calibration.coverage:.1f} %"
        nearest = "" if nearest_horizon == asked else f"; nothing nearer to {asked:.4g} {unit}s was measured"
        sentences.append(f"Out of sample the {shares} of {outcomes}{nearest}.")
    if basis.live and basis.cutoff is not None:
        sentences.append(f"It is answered by a live forecast of {basis.clock}, made at {plain.encode(basis.cutoff)}.")
    if basis.newest_price_hours:
        age = lasted(basis.newest_price_hours)
        since = f": it is that of {basis.horizon_hours:.4g} hours from then" if basis.horizon_hours else ""
        sentences.append(f"The newest price is {age} old, and the forecast starts there{since}.")
    if basis.no_hours:
        sentences.append(f"The time lies between the closes of days, without a forecast of hours: {basis.no_hours}.")
    return sentences


def _nearest(measured: Iterable[Calibration], horizon: float) -> Calibration | None:
    """Return how intervals held at the horizon that is nearest to this one, in the same unit."""
    return min(measured, key=lambda calibration: abs(_horizon(calibration)[0] - horizon), default=None)


def _horizon(calibration: Calibration) -> tuple[int, str]:
    """Return a horizon with its unit."""
    if calibration.horizon_hours is not None:
        return calibration.horizon_hours, "hour"
    return calibration.horizon_days or 0, "day"


def _of_hours(facts: PairCard) -> list[Calibration]:
    """Return how the intervals of the hours held at each horizon."""
    return [
        Calibration(
            *(None, score.horizon_hours, score.forecasts, COVERAGE),
            *(score.coverage, None, score.coverage_50, score.coverage_90),
        )
        for score in facts.hours
    ]


def _of_days(facts: PairCard, model: str) -> list[Calibration]:
    """Return how the intervals of a model of days held at each horizon."""
    return _prophet(facts) if model == PROPHET else _tested(facts, model)


def _tested(facts: PairCard, model: str) -> list[Calibration]:
    """Return how the intervals of a model held at each horizon."""
    return [
        Calibration(
            score.horizon_days,
            None,
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
        Calibration(score.horizon_days, None, score.forecasts, COVERAGE, score.coverage, None, None, None)
        for score in (() if backtest is None else backtest.scores)
    ]


def _confidence(estimate: Estimate) -> Confidence | None:
    return None if estimate.low is None or estimate.high is None else Confidence(estimate.low, estimate.high)
