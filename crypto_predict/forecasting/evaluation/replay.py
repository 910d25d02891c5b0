"""The rolling-origin evaluation: the forecast of every past cutoff, from nothing but the history before it.

A cutoff is an index into the series: the history up to and including its close is known, everything after it is not.
The target is the close `horizon` steps later (Tashman, "Out-of-sample tests of forecasting accuracy", International
Journal of Forecasting 16, 2000). A step is one place of the series, a day here: the candidates are daily models.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from operator import attrgetter

import numpy as np
import pandas as pd

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.candidates.combination import learn_weights
from crypto_predict.forecasting.candidates.prophet_alone import ProphetReplay, replay_prophet
from crypto_predict.forecasting.candidates.weekly import Progress, forecast_weekly
from crypto_predict.forecasting.distribution.days import DailyDistribution, learn
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, enclosing
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

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
            columns = np.exp([past.actual, past.predicted, past.low, past.high, past.persistence])
            for cutoff, prices in zip(past.cutoffs.tolist(), columns.T.tolist(), strict=True):
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
