"""An exact fit of Prophet's model in milliseconds.

Prophet fits by maximum a posteriori: a line with Laplace-distributed changes of slope, Fourier seasonalities and
Gaussian noise (Taylor and Letham, "Forecasting at Scale", The American Statistician 72, 2018). Its general-purpose
optimiser takes most of a second and stops short of the maximum. Given the noise and, for each change of slope, a
Gaussian bound on its Laplace prior (|d| <= (d^2 / |d0| + |d0|) / 2, with equality at d = d0: Hunter and Lange, "A
Tutorial on MM Algorithms", The American Statistician 58, 2004), the maximum is the solution of one linear system, and
repeating that converges to it. A backtest of a thousand fits then takes seconds, and Prophet itself, started there,
has nothing left to do.

The constants are Prophet's defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crypto_predict.history.columns import FloatArray, IntArray

CHANGEPOINTS = 25  # at most
CHANGEPOINT_RANGE = 0.8  # of the history, from its start
SLOPE_SCALE = 0.05  # of the Laplace prior of a change of slope
LINE_SCALE = 5.0  # of the normal priors of slope and offset
SEASONALITY_SCALE = 10.0  # of the normal prior of a Fourier coefficient
NOISE_SCALE = 0.5  # of the half-normal prior of the noise
YEAR, WEEK = (365.25, 10), (7.0, 3)  # period in days, Fourier order
YEARLY_FROM, WEEKLY_FROM = 730, 14  # days of history from which a seasonality is fitted

_MOST_ROUNDS = 1000
_TOLERANCE = 1e-10  # of the objective, relative
_SMALLEST = 1e-5  # smaller changes of slope count as zero; keeps the bound finite
_EPOCH = 719_163  # 1970-01-01


@dataclass(frozen=True)
class ProphetMap:
    """A fitted curve: Prophet's parameters at the maximum of the posterior, in Prophet's scaled units."""

    first: int  # the first day's ordinal
    span: int  # days from the first to the last
    scale: float  # what the curve is multiplied by to give log price
    changepoints: FloatArray  # (C,) scaled time
    seasonalities: tuple[tuple[float, int], ...]  # (period, order)
    line: FloatArray  # (2,) slope and offset
    deltas: FloatArray  # (C,) changes of slope
    coefficients: FloatArray  # (K,) of the Fourier terms
    noise: float  # standard deviation
    objective: float  # negative log posterior, up to a constant

    def at(self, days: IntArray) -> FloatArray:
        """Return (n,) the curve in log price at the closes of the days (n,)."""
        features = _features((days - self.first) / self.span, days, self.changepoints, self.seasonalities)
        theta = np.concatenate([self.line, self.deltas, self.coefficients])
        return np.asarray(self.scale * (features @ theta), dtype=np.float64)


def fit_map(days: IntArray, log_close: FloatArray) -> ProphetMap:
    """Fit the model to log closes.

    `days` (n,) are ascending ordinals, n >= 3, and `log_close` (n,) natural logarithms of their closes. With fewer
    candles than parameters (33, or 53 with a year) the posterior need not have a maximum: the curve may then go through
    every close.
    """
    first, span = int(days[0]), int(days[-1] - days[0])
    scale = float(np.abs(log_close).max()) or 1.0
    time = (days - first) / span
    candles = int(CHANGEPOINT_RANGE * len(days))
    count = min(CHANGEPOINTS, candles - 1)
    # Evenly spaced candles, the first one left out.
    changepoints = time[np.linspace(0, candles - 1, count + 1).round().astype(np.int64)[1:]]
    seasonalities = tuple(kind for kind, least in ((YEAR, YEARLY_FROM), (WEEK, WEEKLY_FROM)) if span >= least)
    features = _features(time, days, changepoints, seasonalities)
    theta, noise, objective = _maximise(features, log_close / scale, count)
    line, deltas, coefficients = np.split(theta, [2, 2 + count])
    return ProphetMap(first, span, scale, changepoints, seasonalities, line, deltas, coefficients, noise, objective)


def _maximise(features: FloatArray, y: FloatArray, changes: int) -> tuple[FloatArray, float, float]:
    """Return parameters, noise and objective at the maximum.

    All rounds work on the Gram matrix, so that their cost does not depend on the length of the history.
    """
    gram, moments, square, count = features.T @ features, features.T @ y, float(y @ y), len(y)
    slopes = slice(2, 2 + changes)
    gaussian = np.full(len(gram), SEASONALITY_SCALE**-2)  # the precisions of the normal priors
    gaussian[:2], gaussian[slopes] = LINE_SCALE**-2, 0.0
    precision = gaussian.copy()  # with those of the bounds on the Laplace priors
    precision[slopes] = SLOPE_SCALE**-2
    theta, variance, objective = np.zeros(len(gram)), float(np.var(y)) or 1e-12, np.inf
    for _ in range(_MOST_ROUNDS):
        theta[:] = np.linalg.solve(gram + variance * np.diag(precision), moments)
        residual = max(square - 2 * float(theta @ moments) + float(theta @ gram @ theta), 1e-12)
        variance = _best_variance(residual, count)
        precision[slopes] = 1 / (SLOPE_SCALE * np.sqrt(theta[slopes] ** 2 + _SMALLEST**2))
        likelihood = count * math.log(variance) / 2 + residual / (2 * variance)
        priors = float(gaussian @ theta**2) / 2 + float(np.abs(theta[slopes]).sum()) / SLOPE_SCALE
        before, objective = objective, likelihood + priors + variance / (2 * NOISE_SCALE**2)
        if before - objective <= _TOLERANCE * abs(objective):
            break
    return theta, variance**0.5, objective


def _best_variance(residual: float, count: int) -> float:
    """Return the variance v that minimises n log(v) / 2 + rss / 2 v + v / 2 s^2: the root of v^2 / s^2 + n v = rss.

    This form of the root does not subtract, which would leave only rounding errors in a market that does not move.
    """
    return 2 * residual / (count + math.sqrt(count**2 + 4 * residual / NOISE_SCALE**2))


def _features(
    time: FloatArray, days: IntArray, changepoints: FloatArray, seasonalities: tuple[tuple[float, int], ...]
) -> FloatArray:
    """Return one row per day: scaled time, 1, the time since each changepoint, the Fourier terms."""
    t, columns = time[:, None], []
    for period, order in seasonalities:
        angles = 2 * np.pi * (days - _EPOCH)[:, None] * np.arange(1, order + 1) / period  # (n, order)
        columns.append(np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(days), 2 * order))
    return np.hstack([t, np.ones_like(t), np.maximum(t - changepoints, 0.0), *columns])
