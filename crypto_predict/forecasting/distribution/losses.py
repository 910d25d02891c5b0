"""The losses of quantiles and intervals: pure formulas, each with its source.

The arrays of one call are parallel, ``(n,)`` with n >= 1, of finite numbers. Losses have the unit of the arguments
(price or log price); smaller is better.
"""

from statistics import NormalDist

import numpy as np

from crypto_predict.baked.schema import COVERAGE
from crypto_predict.history.columns import FloatArray

GAUSSIAN = NormalDist().inv_cdf((1 + COVERAGE) / 2)  # half-width of a Gaussian interval in standard deviations


def quantile_loss(actual: FloatArray, quantile: FloatArray, level: float | FloatArray) -> FloatArray:
    """Return the pinball loss of every outcome: ``(y - q) level`` above the quantile, ``(q - y) (1 - level)`` below.

    Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978. The three arguments are broadcast.
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
