"""Accuracy metrics: pure formulas, each with its source.

The arrays of one call are parallel, ``(n,)`` with n >= 1, of finite numbers. Errors and losses have the unit of the
arguments (price or log price); smaller is better.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from crypto_predict.history.columns import FloatArray


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
