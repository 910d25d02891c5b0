"""Tests of equal accuracy: whether one forecaster's losses differ from another's beyond chance."""

import math

import numpy as np
from scipy import special

from crypto_predict.history.columns import FloatArray


def diebold_mariano(losses: FloatArray, reference_losses: FloatArray, overlap: int) -> tuple[float, float] | None:
    """Test whether the mean losses of two forecasters differ beyond chance: the statistic, and its two-sided p-value.

    The statistic is positive where the losses exceed the reference's.
    Diebold and Mariano, "Comparing predictive accuracy", Journal of Business and Economic Statistics 13, 1995, with
    autocovariances up to ``overlap - 1``. Harvey, Leybourne and Newbold, "Testing the equality of prediction mean
    squared errors", International Journal of Forecasting 13, 1997, give the factor and Student's t for small samples.

    Both losses are (n,) of the same cutoffs, ascending, of which `overlap` consecutive ones, from 1, have overlapping
    forecast spans: the horizon (h in the papers) where they are one step apart. None if n <= overlap: the factor is not
    positive then.
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
    return statistic, 2 * float(special.stdtr(n - 1, -abs(statistic)))


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
