"""The rolling-origin evaluation: the forecast of every past cutoff, from nothing but the history before it.

A cutoff is an index into the series: the history up to and including its close is known, everything after it is not.
The target is the close `horizon` steps later (Tashman, "Out-of-sample tests of forecasting accuracy", International
Journal of Forecasting 16, 2000). A step is one place of the series, a day here: the candidates are daily models.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from operator import attrgetter

import numpy as np
import pandas as pd
from statsmodels.tools.sm_exceptions import ModelWarning
from threadpoolctl import threadpool_limits

from crypto_predict.baked.schema import KNOTS, LOW, Band
from crypto_predict.forecasting.candidates import CANDIDATES
from crypto_predict.forecasting.candidates.candidate import WEEK
from crypto_predict.forecasting.candidates.combination import learn_weights
from crypto_predict.forecasting.distribution.days import DailyDistribution, learn
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, enclosing
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.models.calibration import half_widths
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

HORIZONS = (1, 7, 30, 90)  # steps, scored by default
FIRST_CUTOFF = 365  # steps of history before the first cutoff, or half of a history shorter than two such spans
LEAST_HISTORY = 120  # steps; a shorter history has no backtest
GAUSSIAN_STEPS = 365  # of returns behind persistence's Gaussian interval
_LEAST_RETURNS = 30

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One forecast and its outcome. Prices in the quote currency."""

    cutoff: date
    horizon_days: int
    target: date
    actual: float
    prediction: float
    low: float
    high: float
    persistence: float  # the close of the cutoff


@dataclass(frozen=True)
class ProphetReplay:
    """The forecasts of Prophet alone at every cutoff of a backtest; NaN where it could not be fitted.

    They are the fitted curve of trend and seasonalities, even where the curve is off the newest price.
    """

    horizons: tuple[int, ...]  # days ahead, ascending, `KNOTS` among them
    curve: FloatArray  # (m, horizons) log price
    errors: FloatArray  # (m, horizons) actual minus forecast log price; NaN where the outcome is not known
    half_widths: FloatArray  # (m, horizons, 3) of the central intervals, the widest first, from errors known by then

    @property
    def half_widths_80(self) -> FloatArray:
        """Those of the 80 % interval, (m, horizons)."""
        return np.asarray(self.half_widths[:, :, LEVELS.index(LOW)])

    def bands(self) -> tuple[Band, ...]:
        """Return the interval at the last cutoff, `KNOTS` days ahead; empty if no error is known to calibrate it."""
        last = self.half_widths_80[-1, np.searchsorted(self.horizons, KNOTS)]
        if not np.isfinite(self.errors).any() or not np.isfinite(last).all():
            return ()
        return tuple(Band(-half_width, half_width) for half_width in last.tolist())


@dataclass(frozen=True)
class Replay:
    """Every forecast that could be made over one history."""

    series: DailySeries
    cutoffs: IntArray  # (m,) indices into the series, ascending; the last one is the last step
    horizons: tuple[int, ...]  # steps, ascending
    predicted: FloatArray  # (m, candidates, horizons) increments of log price
    weights: FloatArray  # (m, candidates, horizons) of the combination
    quantiles: FloatArray  # (m, horizons, 7) at `LEVELS`, of the move of log price
    distribution: DailyDistribution  # at the last step, over `KNOTS` and the horizons
    prophet: ProphetReplay  # Prophet alone at the same cutoffs

    def forecasts(self, horizon: int) -> Forecasts:
        """Return the forecasts of one horizon. Neither cutoff nor target is a step without a candle."""
        column, due = self.horizons.index(horizon), np.isfinite(self.actual(horizon))
        cutoffs = self.cutoffs[due]
        centre = self.series.log_close[cutoffs]
        predicted = centre + np.sum(self.predicted[due, :, column] * self.weights[due, :, column], axis=1)
        return Forecasts(
            horizon,
            cutoffs,
            actual=self.series.log_close[cutoffs + horizon],
            predicted=predicted,
            persistence=centre,
            quantiles=enclosing(centre[:, None] + self.quantiles[due, column], predicted),
            deviation=self._gaussian[cutoffs] * np.sqrt(horizon),
        )

    @cached_property
    def _gaussian(self) -> FloatArray:
        """The deviations (n,) of persistence's distribution one step ahead of every close."""
        return gaussian_half_widths(self.series.log_close, 1) / GAUSSIAN

    def rows(self, horizons: Sequence[int] = HORIZONS) -> list[Row]:
        """Return the same forecasts in prices, sorted by cutoff, then by horizon."""
        rows = []
        for past in map(self.forecasts, horizons):
            for cutoff, prices in zip(past.cutoffs.tolist(), past.prices(), strict=True):
                target = self.series.day(cutoff + past.horizon)
                rows.append(Row(self.series.day(cutoff), past.horizon, target, *prices))
        return sorted(rows, key=attrgetter("cutoff", "horizon_days"))

    def actual(self, horizon: int) -> FloatArray:
        """Return (m,) the actual increments of log price; NaN where unknown, or where a step has no candle."""
        return self.series.increments(self.cutoffs, horizon)


def gaussian_half_widths(log_close: FloatArray, horizon: int) -> FloatArray:
    """Return (n,) half-widths of persistence's interval if log price is a Gaussian random walk: z sigma sqrt(h).

    Sigma is the standard deviation of the last 365 one-step returns; NaN before there are thirty of them.
    """
    returns = pd.Series(np.diff(log_close, prepend=np.nan))
    sigma = returns.rolling(GAUSSIAN_STEPS, min_periods=_LEAST_RETURNS).std().to_numpy()
    return np.asarray(GAUSSIAN * sigma * np.sqrt(horizon))


def splits(count: int, every: int) -> Iterator[int]:
    """Yield the cutoffs in a history of `count` steps, ascending: the last step, and each `every` steps before it.

    The first has `FIRST_CUTOFF` steps of history, or half of a history shorter than twice that.
    """
    first = max(0, min(FIRST_CUTOFF, count // 2) - 1)
    yield from range(first + (count - 1 - first) % every, count, every)


def replay(
    series: DailySeries, horizons: Iterable[int], every: int, longest: int, progress: Progress = bool
) -> Replay | None:
    """Repeat every forecast of the history; None if it is shorter than `LEAST_HISTORY`.

    Cutoffs are `every` steps apart, and each fit uses at most the `longest` steps of history before it. `progress` is
    called with the number of cutoffs finished since the last call.
    """
    if len(series) < LEAST_HISTORY:
        return None
    scored = tuple(sorted(set(horizons)))
    alone = tuple(sorted({*KNOTS, *scored}))
    cutoffs = np.array(list(splits(len(series), every)))
    increments, curve, noise = forecast_weekly(series, cutoffs, scored, alone, longest, progress)
    weights = [
        learn_weights(cutoffs, increments[:, :, column], series.increments(cutoffs, horizon), horizon)
        for column, horizon in enumerate(scored)
    ]
    distribution, quantiles = learn(series, alone)
    return Replay(
        series,
        cutoffs,
        scored,
        predicted=increments,
        weights=np.stack(weights, axis=2),
        quantiles=quantiles[cutoffs][:, np.searchsorted(alone, scored)],
        distribution=distribution,
        prophet=replay_prophet(series, cutoffs, alone, curve, noise),
    )


def replay_prophet(
    series: DailySeries, cutoffs: IntArray, horizons: Sequence[int], curve: FloatArray, noise: FloatArray
) -> ProphetReplay:
    """Return Prophet's forecasts with their intervals.

    `cutoffs` (m,) are ascending indices into the series, `curve` (m, horizons) is Prophet's forecast, and `noise` (m,)
    the standard deviation of the closes around it. `horizons` are as in the result.
    """
    increments = np.array([series.increments(cutoffs, horizon) for horizon in horizons]).T  # (m, horizons)
    errors = series.log_close[cutoffs, None] + increments - curve
    return ProphetReplay(tuple(horizons), curve, errors, half_widths(series, cutoffs, horizons, curve, noise))


def forecast_weekly(  # noqa: PLR0913, PLR0917 the last has a default
    series: DailySeries,
    cutoffs: IntArray,
    horizons: Sequence[int],
    alone: Sequence[int],
    longest: int,
    progress: Progress = bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the forecasts of all candidates at each cutoff, from nothing but the history up to it.

    These are the increments of log price since the close of the cutoff (m, candidates, horizons), the log price of
    Prophet's curve itself (m, k), and the standard deviation of the closes around it (m,). Where Prophet could not be
    fitted, its curve is NaN.

    `cutoffs` (m,) are ascending indices into the series, each with at least 30 days up to the estimation before it.
    `horizons` are the days ahead of the increments, and `alone` those of Prophet's curve itself. A fit sees at most
    `longest` days. A candidate that fails forecasts persistence: increments of zero. `progress` gets the number of
    cutoffs done.
    """
    increments = np.full((len(cutoffs), len(CANDIDATES), len(horizons)), np.nan)
    curve, noise = np.full((len(cutoffs), len(alone)), np.nan), np.full(len(cutoffs), np.nan)
    ahead, origins = np.array([*horizons, *alone]), np.maximum(cutoffs - series.days[cutoffs] % WEEK, 0)
    # The matrices are small: threads would only wait for one another. Optimisers warn on flat or short histories; those
    # forecasts are scored like any other.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        for origin in np.unique(origins).tolist():
            rows = np.flatnonzero(origins == origin)  # the cutoffs from this estimation to the next
            steps = cutoffs[rows] - origin
            past, later = series.until(origin, longest), series.until(int(cutoffs[rows[-1]]), int(steps[-1]))
            for column, candidate in enumerate(CANDIDATES.values()):
                # A history of a few exact repetitions does not identify the parameters.
                with suppress(np.linalg.LinAlgError):
                    forecast = candidate(past, later, steps, ahead)
                    increments[rows, column] = forecast.increments[:, : len(horizons)]
                    if forecast.curve is not None and forecast.noise is not None:
                        curve[rows], noise[rows] = forecast.curve[:, len(horizons) :], forecast.noise
            progress(len(rows))
    increments[~np.isfinite(increments).all(axis=2)] = 0.0
    return increments, curve, noise
