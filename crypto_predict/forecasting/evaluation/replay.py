"""The rolling-origin evaluation: the forecast of every past cutoff, from nothing but the history before it.

A cutoff is an index into the series: the history up to and including its close is known, everything after it is not.
The target is the close `horizon` steps later (Tashman, "Out-of-sample tests of forecasting accuracy", International
Journal of Forecasting 16, 2000). A step is one place of the series, a day here: Prophet is a daily model.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from operator import attrgetter

import numpy as np
import pandas as pd

from crypto_predict.baked.schema import KNOTS, LOW, Band
from crypto_predict.forecasting.combined.combination import learn_weights
from crypto_predict.forecasting.combined.prophet import Progress, forecast_weekly
from crypto_predict.forecasting.distribution.days import DailyDistribution, learn
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, enclosing
from crypto_predict.forecasting.evaluation import touches
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.touches import LearnedTouches
from crypto_predict.forecasting.models.calibration import half_widths
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

HORIZONS = (1, 7, 30, 90)  # steps, scored by default
FIRST_CUTOFF = 365  # steps of history before the first cutoff, or half of a history shorter than two such spans
LEAST_HISTORY = 120  # steps; a shorter history has no backtest
GAUSSIAN_STEPS = 365  # of returns behind persistence's Gaussian interval
_LEAST_RETURNS = 30


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
    predicted: FloatArray  # (m, horizons) Prophet's increments of log price; 0 where it could not be fitted
    weights: FloatArray  # (m, horizons) of these in the combination
    quantiles: FloatArray  # (m, horizons, 7) at `LEVELS`, of the move of log price
    distribution: DailyDistribution  # at the last step, over `KNOTS` and the horizons
    prophet: ProphetReplay  # Prophet alone at the same cutoffs
    touches: tuple[LearnedTouches, ...] = ()  # by horizon, ascending

    def forecasts(self, horizon: int) -> Forecasts:
        """Return the forecasts of one horizon. Neither cutoff nor target is a step without a candle."""
        column, due = self.horizons.index(horizon), np.isfinite(self.actual(horizon))
        cutoffs = self.cutoffs[due]
        centre = self.series.log_close[cutoffs]
        predicted = centre + self.predicted[due, column] * self.weights[due, column]
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
    levels, noise = forecast_weekly(series, cutoffs, (0, *alone), longest, progress)
    curve, places = levels[:, 1:], np.searchsorted(alone, scored)
    increments = curve[:, places] - levels[:, :1]
    increments[~np.isfinite(increments).all(axis=1)] = 0.0
    weights = [
        learn_weights(cutoffs, increments[:, column], series.increments(cutoffs, horizon), horizon)
        for column, horizon in enumerate(scored)
    ]
    distribution, quantiles = learn(series, alone)
    ahead = {horizon: quantiles[:, alone.index(horizon)] for horizon in touches.HORIZONS}
    return Replay(
        series,
        cutoffs,
        scored,
        predicted=increments,
        weights=np.stack(weights, axis=1),
        quantiles=quantiles[cutoffs][:, places],
        distribution=distribution,
        prophet=replay_prophet(series, cutoffs, alone, curve, noise),
        touches=tuple(touches.learn_touches(series, ahead, cutoffs)),
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
