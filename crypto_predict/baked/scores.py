"""The scores in a model file: the backtest, which is part of the model card, and the live record of past releases.

Releases follow each other within hours and each forecasts thirty days, so one day is forecast many times, and the
errors of overlapping forecasts are correlated. The number of different days beside the number of forecasts shows how
much evidence the scores of the live record rest on.
"""

from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.market import Pair


@dataclass(frozen=True, slots=True)
class Score:
    """The out-of-sample scores of one horizon, compared with persistence ("the price stays as it is").

    Errors are of log price unless named price. `forecasting.evaluation.metrics` has the formulas and their sources. A
    figure is None if there were too few forecasts to compute it.
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
    relative_mae: float | None  # to persistence, below 1 is better; None if persistence has no error
    skill: float | None  # 1 - relative_mae
    relative_winkler: float | None  # to persistence with a Gaussian interval (of the past year); below 1 is better
    direction: float | None  # the share of forecast moves in the right direction; None without such moves
    direction_low: float | None  # its 95 % confidence interval
    direction_high: float | None
    p_value: float | None  # Diebold-Mariano with the Harvey correction, two-sided, against persistence
    words: str  # the result in words: "no better than persistence at 7 days, p = 0.41"


@dataclass(frozen=True, slots=True)
class YearScore:
    """A summary of the cutoffs of one calendar year."""

    year: int
    horizon_days: int
    forecasts: int
    relative_mae: float | None
    coverage: float
    relative_winkler: float | None


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """The score of one candidate alone at the same cutoffs, and its weight in the forecast."""

    candidate: str
    horizon_days: int
    relative_mae: float | None  # to persistence, below 1 is better
    weight: float  # of its increment in the baked forecast


@dataclass(frozen=True, slots=True)
class ProphetScore:
    """The scores of Prophet alone, with its own interval, for one horizon at the same cutoffs."""

    horizon_days: int
    forecasts: int
    relative_mae: float | None  # to persistence, below 1 is better
    coverage: float  # the share of outcomes inside its own 80 % interval
    relative_winkler: float | None  # to persistence with a Gaussian interval (of the past year); below 1 is better


@dataclass(frozen=True, slots=True)
class ProphetBacktest:
    """The backtest of Prophet alone."""

    scores: tuple[ProphetScore, ...]  # by horizon, ascending
    words: str  # "Prophet alone: error 4.88 and 2.18 times persistence's at 1 and 7 days; its interval held ..."


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one forecast of the backtest. Kept for one cutoff a week, to compare a model with its successor."""

    cutoff: date
    horizon_days: int
    error: float  # absolute, in log price
    winkler: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """The rolling-origin evaluation of one pair: each forecast uses only data up to its cutoff."""

    first_cutoff: date  # the day at whose close the first forecast was made
    last_cutoff: date
    cutoffs: int
    scores: tuple[Score, ...]  # by horizon, ascending
    years: tuple[YearScore, ...]
    candidates: tuple[CandidateScore, ...]
    prophet: ProphetBacktest | None  # None if no forecast of Prophet alone has come due
    losses: tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class LiveForecast:
    """One published forecast and the actual price. Prices are in the pair's quote currency."""

    made_at: datetime  # the training time of its model
    build: str  # of that model
    target: date  # the day whose close is forecast
    horizon_days: int  # from the last close known when it was made to the target; 1 is the next daily close
    prediction: float
    low: float  # of the central 80 % interval
    high: float
    persistence: float  # the newest price at that time, at which the forecast starts
    actual: float  # the close of the target as it was first recorded


@dataclass(frozen=True, slots=True)
class LiveScore:
    """The scores of published forecasts for one horizon."""

    horizon_days: int
    due: int  # forecasts whose outcome is known
    days: int  # different targets among them
    mae: float  # log price
    relative_mae: float | None  # to persistence, below 1 is better; None if persistence has no error
    skill: float | None  # 1 - relative_mae
    coverage: float  # the share of outcomes inside the interval


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """The published forecasts of one pair and their scores. A figure is None if no forecast has come due."""

    since: datetime  # when the first of them was made
    releases: int  # whose forecasts are in the ledger
    due: int  # forecasts whose outcome is known
    days: int  # different targets among them
    hindsight: int  # of those due, made after the close of the target, from a history that was cut off before it
    pending: int  # forecasts without an outcome so far
    overdue: int  # of those pending: the history is past the target and lacks its candle
    mae: float | None  # log price
    relative_mae: float | None  # to persistence, below 1 is better
    skill: float | None  # 1 - relative_mae
    coverage: float | None  # the share of outcomes inside the interval
    by_horizon: tuple[LiveScore, ...]  # ascending; without horizons that have no forecast due
    latest: tuple[LiveForecast, ...]  # one for each of the newest 30 target days, newest first
    words: str  # the scores in words


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The live records of all pairs in the ledger. Served at ``/scorecard``.

    Forecasts of simulated prices are separate: they are compared with the simulated market.
    """

    entries: int  # of the ledger
    head: str  # the SHA-256 of its last entry, which identifies the whole chain; 64 zeros if it is empty
    pairs: dict[Pair, LiveRecord]
    simulated: dict[Pair, LiveRecord]
