"""What a model file says of how its forecasts did out of sample: the backtest part of the model card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Score:
    """How forecasts over one horizon did out of sample, beside persistence ("the price stays what it is").

    Errors are of log price unless they say price. `forecasting.evaluation.metrics` has the formulas and their sources.
    A figure is None if there were too few forecasts to compute it.
    """

    horizon_days: int
    forecasts: int
    mae: float
    rmse: float
    mae_price: float
    rmse_price: float
    mape: float  # a share: 0.05 is 5 %
    mase: float | None  # MAE in units of the in-sample one-day MAE of persistence
    rmsse: float | None
    pinball: float  # mean over the interval's two ends
    crps: float  # of the Gaussian with this median and this 80 % interval
    winkler: float  # of the 80 % interval
    coverage: float  # the share of outcomes inside the interval
    relative_mae: float | None  # to persistence, below 1 is better; None where persistence was never wrong
    skill: float | None  # 1 - relative_mae
    relative_winkler: float | None  # to persistence with a Gaussian interval (of the past year); below 1 is better
    direction: float | None  # the share of forecast moves that went the right way; None where none was forecast
    direction_low: float | None  # its 95 % confidence interval
    direction_high: float | None
    p_value: float | None  # Diebold-Mariano with the Harvey correction, two-sided: is the error persistence's?
    words: str  # what it amounts to: "no better than persistence at 7 days, p = 0.41"


@dataclass(frozen=True, slots=True)
class YearScore:
    """The same in short, of the cutoffs of one calendar year."""

    year: int
    horizon_days: int
    forecasts: int
    relative_mae: float | None
    coverage: float
    relative_winkler: float | None


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """How one candidate alone did at the same cutoffs, and how much of it the forecast takes."""

    candidate: str
    horizon_days: int
    relative_mae: float | None  # to persistence, below 1 is better
    weight: float  # of its increment, in the forecast that is baked; 0 where it has not earned any


@dataclass(frozen=True, slots=True)
class ProphetScore:
    """How Prophet alone, its curve and its own interval, did over one horizon at the same cutoffs."""

    horizon_days: int
    forecasts: int
    relative_mae: float | None  # to persistence, below 1 is better
    coverage: float  # the share of outcomes inside its own 80 % interval
    relative_winkler: float | None  # to persistence with a Gaussian interval (of the past year); below 1 is better


@dataclass(frozen=True, slots=True)
class ProphetBacktest:
    """What one gets who asks for Prophet alone."""

    scores: tuple[ProphetScore, ...]  # by horizon, ascending
    words: str  # "Prophet alone: error 4.88 and 2.18 times persistence's at 1 and 7 days; its interval held ..."


@dataclass(frozen=True, slots=True)
class Loss:
    """What one forecast of the backtest cost. Kept of one cutoff a week, to compare a model with its successor."""

    cutoff: date
    horizon_days: int
    error: float  # absolute, in log price
    winkler: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """The rolling-origin evaluation of one pair: every forecast made with nothing but what lay before its cutoff."""

    first_cutoff: date  # the day at whose close the first forecast was made
    last_cutoff: date
    cutoffs: int
    scores: tuple[Score, ...]  # by horizon, ascending
    years: tuple[YearScore, ...]
    candidates: tuple[CandidateScore, ...]
    prophet: ProphetBacktest | None  # None where no forecast of Prophet alone has come due
    losses: tuple[Loss, ...]
