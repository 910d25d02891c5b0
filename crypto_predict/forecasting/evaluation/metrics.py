"""Accuracy metrics: pure formulas, each with its source.

The arrays of one call are parallel, ``(n,)`` with n >= 1, of finite numbers. Errors and losses have the unit of the
arguments (price or log price); smaller is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from crypto_predict.forecasting.series import FloatArray


def mae(actual: FloatArray, predicted: FloatArray) -> float:
    """Return the mean absolute error, ``mean |y - f|``.

    Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, 2021, section 5.8. That section
    also defines RMSE, MAPE and the scaled errors (MAE or RMSE divided by the in-sample one of persistence).
    """
    return float(np.mean(np.abs(actual - predicted)))


def rmse(actual: FloatArray, predicted: FloatArray) -> float:
    """Return the root mean squared error, ``sqrt(mean (y - f)^2)``."""
    return math.sqrt(np.mean((actual - predicted) ** 2))


def mape(actual: FloatArray, predicted: FloatArray) -> float:
    """Return the mean absolute percentage error as a share, ``mean |(y - f) / y|``: 0.05 is 5 %. No `actual` is 0."""
    return float(np.mean(np.abs((actual - predicted) / actual)))


def quantile_loss(actual: FloatArray, quantile: FloatArray, level: float) -> FloatArray:
    """Return the pinball loss of every outcome: ``(y - q) level`` above the quantile, ``(q - y) (1 - level)`` below.

    Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978.
    """
    error = actual - quantile
    return np.maximum(error * level, error * (level - 1))


def interval_score(actual: FloatArray, low: FloatArray, high: FloatArray, coverage: float) -> FloatArray:
    """Return the Winkler score of every outcome: the interval's width, plus 2 / (1 - coverage) times the miss.

    Winkler, "A decision-theoretic approach to interval estimation", Journal of the American Statistical Association 67,
    1972; Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", the same journal 102, 2007,
    equation 43.
    """
    missed = np.maximum(np.maximum(low - actual, actual - high), 0.0)
    return high - low + 2 / (1 - coverage) * missed


def crps_gaussian(actual: FloatArray, mean: FloatArray, sigma: FloatArray) -> FloatArray:
    """Return the continuous ranked probability score of every outcome for the forecast N(mean, sigma^2).

    ``sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`` with ``z = (y - mean) / sigma``, and the absolute error where
    sigma is 0: Gneiting and Raftery, 2007, equation 21, with the sign that makes smaller better.
    """
    error = actual - mean
    with np.errstate(over="ignore"):
        z = error / np.maximum(sigma, np.finfo(np.float64).tiny)
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return np.asarray(error * special.erf(z / math.sqrt(2)) + sigma * (2 * density - 1 / math.sqrt(math.pi)))


class Share(NamedTuple):
    """A share of trials and its 95 % confidence interval: 0 <= `low` <= `share` <= `high` <= 1."""

    share: float
    low: float
    high: float


def direction(actual_moves: FloatArray, predicted_moves: FloatArray) -> Share | None:
    """Return the share of moves predicted with the right sign; None if no row has two nonzero moves.

    Rows with a zero move do not count: Pesaran and Timmermann, "A simple nonparametric test of predictive performance",
    Journal of Business and Economic Statistics 10, 1992. The interval is Wilson's ("Probable inference, the law of
    succession, and statistical inference", Journal of the American Statistical Association 22, 1927).
    """
    signs = np.sign(actual_moves) * np.sign(predicted_moves)
    right, moved = int(np.sum(signs > 0)), int(np.count_nonzero(signs))
    if not moved:
        return None
    interval = stats.binomtest(right, moved).proportion_ci(method="wilson")
    return Share(right / moved, float(interval.low), float(interval.high))


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """The outcome of a test of equal accuracy."""

    statistic: float  # positive where the losses exceed the reference's
    p_value: float  # two-sided


def diebold_mariano(losses: FloatArray, reference_losses: FloatArray, overlap: int) -> DieboldMariano | None:
    """Test whether the mean losses of two forecasters differ beyond chance.

    Diebold and Mariano, "Comparing predictive accuracy", Journal of Business and Economic Statistics 13, 1995, with
    autocovariances up to ``overlap - 1``. Harvey, Leybourne and Newbold, "Testing the equality of prediction mean
    squared errors", International Journal of Forecasting 13, 1997, give the factor and Student's t for small samples.

    Args:
        losses: (n,) in the order of the cutoffs.
        reference_losses: (n,) of the other forecaster, at the same cutoffs.
        overlap: How many consecutive cutoffs have overlapping forecast spans, from 1. It is the horizon (h in the
            papers) where cutoffs are one step apart.

    Returns:
        None if n <= overlap, where the factor is not positive.
    """
    differences = losses - reference_losses
    n, mean = len(differences), float(np.mean(differences))
    if n <= overlap:
        return None
    deviation = math.sqrt(_long_run_variance(differences - mean, overlap) / n)
    ratio = math.copysign(math.inf, mean) if mean else 0.0  # of a difference that never varies
    if deviation > 0:
        ratio = mean / deviation
    statistic = ratio * math.sqrt((n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n)
    return DieboldMariano(statistic, 2 * float(special.stdtr(n - 1, -abs(statistic))))


def _long_run_variance(deviations: FloatArray, lags: int) -> float:
    """Return the variance of ``sqrt(n)`` times the mean of n values whose autocovariances end before `lags`.

    Bartlett's weights (Newey and West, Econometrica 55, 1987) apply if the plain sum is not positive.
    """
    n = len(deviations)
    covariances = np.array([deviations[: n - lag] @ deviations[lag:] for lag in range(lags)]) / n
    plain = covariances[0] + 2 * covariances[1:].sum()
    if plain > 0:
        return float(plain)
    bartlett = (1 - np.arange(1, lags) / lags) @ covariances[1:]
    return max(0.0, float(covariances[0] + 2 * bartlett))  # in exact arithmetic never below zero
