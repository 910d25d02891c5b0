"""The content of a model file as frozen dataclasses of plain values: forecasts, model card, and scores.

Times are UTC. Prices are in the pair's quote currency; curves, corrections and bands are natural logarithms of it. A
day stands for the close of that UTC day, as it does for Prophet: its candle opens at midnight and closes 24 h later.

The scores are those of the backtest, which is part of the card, and the live record of past releases. Errors of
overlapping forecasts are correlated: the number of different days shows on how much evidence a live record rests.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum

from crypto_predict.baked.models import (
    NAME,
    Estimate,
    Hindcast,
    ModelReport,
    ModelScore,
    PairwiseScore,
    Quantiles,
    hindcast_faults,
    quantile_faults,
)
from crypto_predict.baked.touches import TouchCurve, TouchScore, curve_faults
from crypto_predict.market import DAY, Gap, Pair
from crypto_predict.market.forecast import HOURS_AHEAD, LEVELS

VERSION = 9  # of the schema; raised whenever an older program could misread the file
HORIZON_DAYS = 365  # the range of a model after its last candle
COVERAGE = 0.8  # nominal share of outcomes inside the central interval
LOW, HIGH = 0.1, 0.9  # levels of its ends, among `LEVELS`
MOST_PAIRS = 36  # a server holds all of them in memory
MOST_DAYS = 250_000  # in the ranges of all pairs together
SIGNIFICANCE = 0.05  # two-sided; the p value below which a difference is more than chance
LEAST_DIFFERENCE = 0.0005  # of an error relative to another: less reads as 0.0 %, however significant
KNOTS = (1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365)  # days ahead at which an interval is calibrated

_LOW, _HIGH = LEVELS.index(LOW), LEVELS.index(HIGH)
_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,100}")  # of headers, metrics and image tags
SHA256 = re.compile("[0-9a-f]{64}")


def not_positive(name: str, value: float) -> Iterator[str]:
    """Yield the fault of a value that must be positive, if it is not."""
    if value <= 0:
        yield f"{name} must be positive, not {value}"


def _not_printable(name: str, *texts: str) -> Iterator[str]:
    yield from (f"{name} {text!r:.80} is not printable" for text in texts if not text.isprintable())


def _not_around(name: str, unit: str, rows: Quantiles) -> Iterator[str]:
    """Yield the fault of the first row that is not of quantiles around 0."""
    for horizon, row in enumerate(rows, start=1):
        if len(row) != len(LEVELS) or not row[_LOW] <= 0 <= row[_HIGH] or list(row) != sorted(row):
            yield f"{name} {horizon} {unit} ahead are not {len(LEVELS)} that ascend around 0: {row}"
            break


@dataclass(frozen=True, slots=True)
class Trend:
    """Prophet's piecewise linear growth (Taylor and Letham, "Forecasting at Scale", 2018, section 3.1.2).

    Scaled time t is 0 on day `start` and 1 on `days` later. The slope is `growth` before the first changepoint and
    changes by `deltas[j]` at t = `changepoints[j]`, where the line stays continuous.
    """

    start: date
    days: int
    growth: float
    offset: float
    changepoints: tuple[float, ...]  # (C,) ascending, scaled time
    deltas: tuple[float, ...]  # (C,)

    def faults(self) -> Iterator[str]:
        yield from not_positive("days", self.days)
        if len(self.changepoints) != len(self.deltas):
            yield f"{len(self.changepoints)} changepoints but {len(self.deltas)} deltas"
        if list(self.changepoints) != sorted(self.changepoints):
            yield "changepoints must ascend"


@dataclass(frozen=True, slots=True)
class Seasonality:
    """A Fourier series over t, days since 1970-01-01 (the same paper, section 3.2).

    The sum of ``a[n] sin(2 pi n t / period) + b[n] cos(2 pi n t / period)`` for n = 1 to N.
    """

    name: str
    period: float  # days
    coefficients: tuple[float, ...]  # (2 N,): a[1], b[1], a[2], b[2], ...

    def faults(self) -> Iterator[str]:
        yield from not_positive("period", self.period)
        if len(self.coefficients) % 2:
            yield f"coefficients come in pairs, not {len(self.coefficients)}"


@dataclass(frozen=True, slots=True)
class Band:
    """The central 80 % interval around the curve, as distances in log price; `low` <= 0 <= `high`."""

    low: float
    high: float

    def faults(self) -> Iterator[str]:
        if not self.low <= 0 <= self.high:
            yield f"{self.low} and {self.high} do not enclose the curve"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest price, at which the forecast starts."""

    at: datetime  # the close of the last closed hourly candle, or of the last daily one if that is newer
    price: float

    def faults(self) -> Iterator[str]:
        yield from not_positive("price", self.price)


@dataclass(frozen=True, slots=True)
class PairForecast:
    """Everything that predictions for one pair need, from its first candle to 365 days past its last.

    The forecast starts at the anchor. It adds the move of Prophet's curve from there, times `prophet_weights`; with
    zeros only, the forecast is persistence. The quantiles are logarithms of prices minus that of the forecast. Those at
    10 and 90 % are the ends of the central interval, which holds the forecast; the median need not be the forecast.

    The forecast of Prophet alone is the curve itself, with the interval `prophet_bands` around it; without a backtest
    this interval is not calibrated, and there are no bands.
    """

    first: date  # the first candle's day
    last: date  # the last candle's day
    last_close: float
    closes: tuple[float | None, ...]  # (days,) of each day from `first` to `last`; None: the day has no candle
    highs: tuple[float | None, ...]  # (days,) the same, at least the close
    lows: tuple[float | None, ...]  # (days,) the same, at most the close
    anchor: Anchor  # at or after the last candle's close, and before the next one's
    scale: float  # log price per unit of trend and seasonalities
    trend: Trend
    seasonalities: tuple[Seasonality, ...]
    level_correction: float  # log anchor price minus the curve at the anchor
    prophet_weights: tuple[float, ...]  # (365,) 1, 2, ... days after `last`
    fitted_band: Band  # days up to `last`
    forecast_quantiles: tuple[tuple[float, ...], ...]  # (365, 7) at `LEVELS`, 1, 2, ... days after `last`
    prophet_bands: tuple[Band, ...]  # (11,) around the curve, `KNOTS` days after `last`; or none
    models: dict[str, Quantiles]  # (365, 7) log prices at `LEVELS`, 1, 2, ... days after `last`, of each other model
    hindcasts: dict[str, Hindcast]  # of each model that was tested, the combined forecast included
    hours: Quantiles  # (24, 7) log prices at `LEVELS`, 1, 2, ... hours after the anchor, minus its log; or none
    touches: tuple[TouchCurve, ...]  # by horizon, ascending; none without a backtest

    @property
    def last_close_time(self) -> datetime:
        """The instant at which the last candle closed."""
        return datetime.combine(self.last, time.min, UTC) + DAY

    @property
    def end(self) -> date:
        """The last day of the range."""
        return self.last + timedelta(days=HORIZON_DAYS)

    def faults(self) -> Iterator[str]:
        if self.last < self.first:
            yield f"last day {self.last} lies before first day {self.first}"
        if self.last > date.max - timedelta(days=HORIZON_DAYS):
            yield f"last day {self.last} leaves no room for {HORIZON_DAYS} days of forecast in the calendar"
        elif not self.last_close_time <= self.anchor.at < self.last_close_time + DAY:
            yield f"the anchor of {self.anchor.at} is not within a day after the close of {self.last}"
        yield from not_positive("last_close", self.last_close)
        if len(self.closes) != (days := (self.last - self.first).days + 1):
            yield f"{len(self.closes)} closes, not {days}"
        elif self.closes[0] is None or self.closes[-1] != self.last_close:
            yield f"closes do not begin with a price and end with last_close, {self.last_close}"
        elif any(close is not None and close <= 0 for close in self.closes):
            yield "closes must be positive"
        else:
            yield from self._range_faults()
        for name in ("prophet_weights", "forecast_quantiles"):
            if (count := len(getattr(self, name))) != HORIZON_DAYS:
                yield f"{count} {name}, not {HORIZON_DAYS}"
        yield from _not_around("forecast_quantiles", "days", self.forecast_quantiles)
        if len(self.prophet_bands) not in {0, len(KNOTS)}:
            yield f"{len(self.prophet_bands)} prophet_bands, not {len(KNOTS)} or none"
        yield from quantile_faults(self.models, HORIZON_DAYS)
        if len(self.hours) not in {0, HOURS_AHEAD}:
            yield f"{len(self.hours)} hours, not {HOURS_AHEAD} or none"
        yield from _not_around("hours", "hours", self.hours)
        yield from hindcast_faults(self.hindcasts, days)
        yield from curve_faults(self.touches)

    def _range_faults(self) -> Iterator[str]:
        """Yield the faults of highs and lows beside closes that have none."""
        for name, sign in (("highs", 1), ("lows", -1)):
            prices = getattr(self, name)
            if len(prices) != len(self.closes):
                yield f"{len(prices)} {name}, not {len(self.closes)}"
            elif any((price is None) != (close is None) for price, close in zip(prices, self.closes, strict=True)):
                yield f"{name} are not of the days of the closes"
            elif any(
                price <= 0 or sign * price < sign * close
                for price, close in zip(prices, self.closes, strict=True)
                if price is not None and close is not None
            ):
                yield f"{name} must be positive, and no close beyond them"


@dataclass(frozen=True, slots=True)
class Confidence:
    """The 95 % confidence interval of a figure, by block bootstrap (`forecasting.significance`)."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QuantileScore:
    """The scores of one quantile of the forecast distributions."""

    level: float
    below: float  # the share of outcomes at or below the quantile; the level if it is calibrated
    pinball: float
    relative_pinball: float | None  # to that of persistence with a Gaussian distribution; below 1 is better
    confidence: dict[str, Confidence]  # of below, pinball and relative_pinball


@dataclass(frozen=True, slots=True)
class Score:
    """The out-of-sample scores of one horizon, compared with persistence ("the price stays as it is").

    Errors are of log price unless named price; `forecasting.evaluation.metrics` has the formulas. A figure is None, and
    has no confidence interval, if there were too few forecasts to compute it.
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
    pinball: float  # mean over the quantiles
    crps: float  # of the distribution through the quantiles
    winkler: float  # of the 80 % interval
    coverage: float  # the share of outcomes inside the 80 % interval
    coverage_50: float  # inside the interval between the quantiles of 25 and 75 %
    coverage_90: float  # between those of 5 and 95 %
    relative_mae: float | None  # to persistence, below 1 is better; None if persistence has no error
    skill: float | None  # 1 - relative_mae
    relative_crps: float | None  # to persistence with a Gaussian distribution of the past year's volatility
    relative_winkler: float | None  # to persistence with a Gaussian interval (of the past year); below 1 is better
    quantiles: tuple[QuantileScore, ...]  # (7,) by level, ascending
    pit: tuple[float, ...]  # (10,) the shares of outcomes in each tenth of their distribution; 0.1 each is calibrated
    pit_p_value: float | None  # chi-squared test that they are, on non-overlapping forecasts; None with fewer than ten
    confidence: dict[str, Confidence]  # by the figure: mae, pinball, crps, winkler, coverage..., relative_...
    direction: float | None  # the share of forecast moves in the right direction; None without such moves
    direction_low: float | None  # its 95 % confidence interval
    direction_high: float | None
    p_value: float | None  # Diebold-Mariano with the Harvey correction, two-sided, against persistence
    words: str  # the result in words: "no better than persistence at 7 days, p = 0.41"


class Verdict(Enum):
    """The result of a comparison of errors with persistence."""

    BETTER = "better than persistence"
    WORSE = "worse than persistence"
    SAME = "no better than persistence"
    PERSISTENCE = "it is persistence, Prophet has not earned a weight"
    UNKNOWN = "not comparable with persistence (too few forecasts, or a price that never moved)"


def verdict(relative_mae: float | None, p_value: float | None) -> Verdict:
    """Judge whether an error relative to persistence's differs from 1 significantly."""
    if relative_mae is None or p_value is None:
        return Verdict.UNKNOWN
    if p_value < SIGNIFICANCE and abs(1 - relative_mae) >= LEAST_DIFFERENCE:
        return Verdict.BETTER if relative_mae < 1 else Verdict.WORSE
    return Verdict.PERSISTENCE if relative_mae == 1 and p_value == 1 else Verdict.SAME


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
class ProphetScore:
    """The scores of Prophet alone, with its own interval, for one horizon at the same cutoffs."""

    horizon_days: int
    forecasts: int
    relative_mae: float | None  # to persistence, below 1 is better
    coverage: float  # the share of outcomes inside its own 80 % interval
    relative_winkler: float | None  # to persistence with a Gaussian interval (of the past year); below 1 is better
    weight: float  # of its moves in the combined forecast


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
    prophet: ProphetBacktest | None  # None if no forecast of Prophet alone has come due
    losses: tuple[Loss, ...]  # of the model that answers by default


@dataclass(frozen=True, slots=True)
class HourScore:
    """How the forecasts of one horizon in hours did, out of sample, in the second half of the hours.

    Errors are of log price; ratios are to persistence with a Gaussian band, below 1 is better. They are None where
    persistence is never wrong, and shares where there is no forecast.
    """

    horizon_hours: int
    forecasts: int
    mape: float  # mean absolute percentage error of the price, as a share
    relative_mae: float | None
    relative_winkler: float | None  # of the 80 % interval; the band has the volatility of 30 days
    relative_winkler_day: float | None  # the same, with the volatility of the last 24 hours
    relative_crps: float | None  # with that of 30 days
    coverage_50: float  # share of outcomes inside the central interval
    coverage: float  # of 80 %
    coverage_90: float
    by_volatility: tuple[float | None, ...]  # coverage of 80 % by quarter of the last day's volatility, calmest first
    by_hours: tuple[float | None, ...]  # of cutoffs in each six hours of the UTC day


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

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        yield from not_positive("prediction", self.prediction)


@dataclass(frozen=True, slots=True)
class LiveDistribution:
    """The scores of published quantiles, which older releases do not have, with the fields of `Score`."""

    due: int  # forecasts with quantiles whose outcome is known
    crps: float
    coverage_50: float
    coverage_90: float
    relative_crps: float | None
    relative_winkler: float | None
    pit: tuple[float, ...]  # (10,)


@dataclass(frozen=True, slots=True)
class BrierScore:
    """The mean squared difference of probabilities and what came, 1 or 0: 0 is perfect, less is better.

    It is ``reliability - resolution + uncertainty``, with the uncertainty of `LiveProbabilities`.
    """

    brier: float
    reliability: float  # mean squared difference of what was said and what came, by tenths of what was said; 0 is best
    resolution: float  # discrimination: how far apart they set what came and what did not; at most the uncertainty


@dataclass(frozen=True, slots=True)
class SaidAndCame:
    """The questions whose answer was a probability within one tenth of [0, 1]."""

    said: float  # the mean probability
    came: float  # the share that came about
    questions: int


@dataclass(frozen=True, slots=True)
class LiveProbabilities:
    """The probabilities that published forecasts gave to a close above each round price near them, and what came.

    Round is a multiple of 1, 2 or 5 times a power of ten, so that at most nine lie in the range of 98 %.
    """

    questions: int
    days: int  # different targets among them
    uncertainty: float  # p (1 - p), where p is the share that came about
    ours: BrierScore
    persistence: BrierScore  # with a Gaussian distribution of the past year's volatility
    relative_brier: Estimate | None  # of ours to that; below 1 is better
    tenths: tuple[SaidAndCame, ...]  # of ours, ascending; without tenths that were never said


@dataclass(frozen=True, slots=True)
class LiveMonth:
    """How often the 80 % interval held in one calendar month, for one horizon."""

    month: date  # its first day; a forecast belongs to the month of its target
    horizon_days: int | None  # either this
    horizon_hours: int | None  # or this
    due: int  # forecasts whose outcome is known
    days: int  # different targets among them
    coverage: Estimate

    @property
    def horizon(self) -> tuple[int, str]:
        """The horizon with its unit."""
        return (self.horizon_hours, "hour") if self.horizon_hours is not None else (self.horizon_days or 0, "day")


@dataclass(frozen=True, slots=True)
class CoverageTest:
    """Whether the 80 % interval has lately held as often as it should, for one horizon: its newest 365 target days."""

    horizon_days: int
    since: date  # the first target among them
    due: int
    days: int
    coverage: Estimate
    p_value: float | None  # of a difference that is chance, two-sided; None with too few days


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
    coverage_confidence: Confidence | None  # None with too few days, or if it is 0 or 1
    winkler: float  # of the interval
    distribution: LiveDistribution | None  # None if no forecast with quantiles has come due
    probabilities: LiveProbabilities | None  # the same

    @property
    def horizon(self) -> tuple[int, str]:
        """The horizon with its unit."""
        return self.horizon_days, "day"


@dataclass(frozen=True, slots=True)
class LiveHourScore:
    """The scores of published forecasts some hours after the newest price, with the fields of `Score`.

    The point is the median. Each hour counts once: of the releases from the same newest price the first is scored.
    """

    horizon_hours: int
    due: int  # forecasts whose outcome is known
    mae: float  # log price
    relative_mae: float | None  # to persistence, below 1 is better
    crps: float
    relative_crps: float | None  # to persistence with a Gaussian distribution of the past year's volatility
    winkler: float
    relative_winkler: float | None
    coverage: float  # the share of outcomes inside the 80 % interval
    coverage_50: float
    coverage_90: float
    days: int  # different days of the targets
    coverage_confidence: Confidence | None  # None with too few days, or if it is 0 or 1
    probabilities: LiveProbabilities | None  # None without a question

    @property
    def horizon(self) -> tuple[int, str]:
        """The horizon with its unit."""
        return self.horizon_hours, "hour"


@dataclass(frozen=True, slots=True)
class LiveModel:
    """The published forecasts of one model, and their scores. It stays as it is once the model is no longer released.

    Of the releases after the same close the first is scored, so that as many days as forecasts are behind a figure.
    """

    name: str
    since: datetime  # when the first release with it was made
    newest: datetime  # when the newest was
    releases: int  # with its forecasts
    pending: int  # forecasts to be scored that have no outcome so far
    scores: tuple[ModelScore, ...]  # 1, 7, 30 and 90 days ahead; without horizons that have no forecast due


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
    coverage_confidence: Confidence | None  # None with too few days, or if it is 0 or 1
    winkler: float | None  # of the interval
    distribution: LiveDistribution | None  # None if no forecast with quantiles has come due
    probabilities: LiveProbabilities | None  # the same
    by_horizon: tuple[LiveScore, ...]  # ascending; without horizons that have no forecast due
    months: tuple[LiveMonth, ...]  # the newest 24, newest first, and in each the horizons of `hours` and `by_horizon`
    lately: tuple[CoverageTest, ...]  # by horizon, as `by_horizon`
    latest: tuple[LiveForecast, ...]  # one for each of the newest 30 target days, newest first
    words: str  # the scores in words
    models: tuple[LiveModel, ...]  # the combined forecast first, the others by name; the 16 that were released last
    pairwise: tuple[PairwiseScore, ...]  # of every two of them at each horizon, over the releases that had both
    hours: tuple[LiveHourScore, ...]  # 1, 6 and 24 hours ahead; without those that have no forecast due
    touches: tuple[TouchScore, ...]  # within 1, 6 and 24 hours, and 1, 7 and 30 days of the newest price; the same


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The live records of all pairs in the ledger. Served at ``/scorecard``.

    Forecasts of simulated prices are separate: they are compared with the simulated market.
    """

    entries: int  # of the ledger
    head: str  # the SHA-256 of its last entry, which identifies the whole chain; 64 zeros if it is empty
    pairs: dict[Pair, LiveRecord]
    simulated: dict[Pair, LiveRecord]


@dataclass(frozen=True, slots=True)
class Standing:
    """A prediction in the model card, some days after the last candle. Prices, not logarithms."""

    horizon_days: int
    day: date
    prediction: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict of the release gate."""

    passed: bool
    enforced: bool  # False after --no-gate, which writes the model in spite of the reasons
    reasons: tuple[str, ...]  # why it must not ship; empty if it passed
    thresholds: dict[str, float]


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """The last close of a history at a second exchange."""

    source: str  # the second exchange
    traded: Pair  # the pair there
    day: date  # of the close
    close: float  # there
    difference: float  # from the last close of the history, as a share of it: 0.001 is 0.1 % more

    def faults(self) -> Iterator[str]:
        yield from _not_printable("source", self.source)


@dataclass(frozen=True, slots=True)
class PairCard:
    """The facts of one pair: its history, forecast and backtest."""

    source: str
    traded: Pair  # whose prices these are: BTC/USDT for BTC/USD at an exchange without dollars
    passed_over: tuple[str, ...]  # why each preferred source was not used
    cross_check: CrossCheck | None  # None if no second exchange was named, or none answered
    simulated: bool
    first: datetime  # opening of the first candle
    last: datetime  # opening of the last candle
    candles: int
    warm_up: int  # candles before `first`, used by the backtest and the interval only
    gaps: tuple[Gap, ...]
    quarantined: int  # candles of the source that are impossible in a market
    history_sha256: str  # of every candle, the warm-up included
    last_close: float
    volatility: float  # standard deviation of the past year's daily returns of log price: persistence's Gaussian
    anchor: Anchor
    forecast: tuple[Standing, ...]  # of the model that answers by default
    backtest: Backtest | None  # None if the history is too short
    models: tuple[ModelReport, ...]  # all that were tested, the combined forecast first; none without a backtest
    pairwise: tuple[PairwiseScore, ...]  # of every two of them at each horizon
    served: str  # the model that answers unless another is asked for
    not_served: str | None  # why it is not the one of `SERVE`; None if it is
    hours: tuple[HourScore, ...]  # 1, 3, 6, 12 and 24 hours ahead; none if the forecast has no hours
    no_hours: str | None  # why it has none
    touches: tuple[TouchScore, ...]  # 1, 6 and 24 hours and 1, 7 and 30 days ahead, of ours, as far as any has come due
    corridors: tuple[TouchScore, ...]  # the same, of staying between two prices

    def faults(self) -> Iterator[str]:
        yield from _not_printable("source", self.source)
        yield from _not_printable("reason", *self.passed_over)
        if not SHA256.fullmatch(self.history_sha256):
            yield "history_sha256 is not 64 hexadecimal digits"
        if not NAME.fullmatch(self.served):
            yield f"served {self.served!r:.40} is not the name of a model"
        yield from _not_printable("reason", self.not_served or "", self.no_hours or "")


@dataclass(frozen=True, slots=True)
class Card:
    """The model card: the facts by which a reader can judge the model. Served at ``/model``."""

    version: str  # semantic version of the release
    build: str  # version and training time: 0.3.1-20240518121047
    git_revision: str | None
    trained_at: datetime
    python: str
    packages: dict[str, str]  # name to version, of those that determine the numbers
    days: int  # longest history asked for
    seed: int
    coverage: float  # the interval's nominal share
    simulated: bool  # True when any pair's prices were invented
    pairs: dict[Pair, PairCard]
    gate: Gate

    def faults(self) -> Iterator[str]:
        labels = {name: getattr(self, name) for name in ("version", "build", "python", "git_revision")} | self.packages
        for name, label in labels.items():
            if label is not None and not _LABEL.fullmatch(label):
                yield f"{name} {label!r:.80} is not a label of ASCII letters, digits and . _ + -"
        yield from (f"package {name!r:.80} is not a name" for name in self.packages if not _LABEL.fullmatch(name))
        yield from _not_printable("reason", *self.gate.reasons)


@dataclass(frozen=True, slots=True)
class Model:
    """A whole model file."""

    card: Card
    forecasts: dict[Pair, PairForecast]
    scorecard: Scorecard

    def live_record(self, pair: Pair) -> LiveRecord | None:
        """Return the record of the published forecasts of a pair; of invented prices if the model has such."""
        simulated = self.card.pairs[pair].simulated
        return (self.scorecard.simulated if simulated else self.scorecard.pairs).get(pair)

    def faults(self) -> Iterator[str]:
        if not self.forecasts:
            yield "it has no pairs"
        if list(self.card.pairs) != list(self.forecasts):
            yield "card and forecasts name different pairs"
        yield from size_faults(
            {pair: (forecast.end - forecast.first).days for pair, forecast in self.forecasts.items()}
        )


def size_faults(days: Mapping[Pair, int]) -> Iterator[str]:
    """Yield the limits of a model file that are exceeded by these pairs, each with the days of its range."""
    if len(days) > MOST_PAIRS:
        yield f"{len(days)} pairs are more than a model can hold ({MOST_PAIRS})"
    if (total := sum(days.values())) > MOST_DAYS:
        yield f"{total:,} days of all pairs are more than a model can hold ({MOST_DAYS:,})"
