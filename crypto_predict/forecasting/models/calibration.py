"""Ranges for models that forecast points alone, from their own errors out of sample.

The deviation of an error is at least that of the market's move (`distribution.volatility`). The half-width of a central
interval is this deviation times a multiplier, the conformal quantile of past absolute errors in units of the deviation
(Lei et al., "Distribution-Free Predictive Inference for Regression", Journal of the American Statistical Association
113, 2018). While few non-overlapping errors are known, it is shrunk towards that of the next shorter horizon, and that
of the shortest towards the Gaussian one. The ranges are symmetric in log price: a bias widens both sides.
"""

import math
from bisect import insort
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from crypto_predict.forecasting.distribution.volatility import memories, variance
from crypto_predict.forecasting.series import DailySeries, spacing
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

PRIOR_ERRORS = 4  # weight of the prior, in non-overlapping errors: fewer than 4 have no conformal 80 % quantile
_LEAST_DEVIATION = 1e-9  # of a market that does not move


def ranges(series: DailySeries, cutoffs: IntArray, horizons: Sequence[int], points: FloatArray) -> FloatArray:
    """Return (m, horizons, 7) quantiles at `LEVELS` around points (m, horizons), in log price.

    Those of a cutoff rest on errors that were known by then. `cutoffs` (m,) are ascending indices into the series,
    `horizons` days, ascending. A point that is NaN has quantiles that are NaN.
    """
    (short, long), middle = memories(series.log_close), len(LEVELS) // 2
    quantiles = np.repeat(points[:, :, None], len(LEVELS), axis=2)
    for place in range(middle):
        inside = 1 - 2 * LEVELS[place]
        multipliers = np.full(len(cutoffs), NormalDist().inv_cdf((1 + inside) / 2))
        for column, horizon in enumerate(horizons):
            deviation = np.maximum(np.sqrt(variance(short[cutoffs], long[cutoffs], horizon)), _LEAST_DEVIATION)
            actual = series.log_close[cutoffs] + series.increments(cutoffs, horizon)
            scores = np.abs(actual - points[:, column]) / deviation
            multipliers = _multipliers(scores, cutoffs, horizon, multipliers, inside)
            quantiles[:, column, place] -= multipliers * deviation
            quantiles[:, column, -1 - place] += multipliers * deviation
    return np.sort(quantiles, axis=2)


def _multipliers(scores: FloatArray, cutoffs: IntArray, horizon: int, prior: FloatArray, inside: float) -> FloatArray:
    """Return (m,) the half-width in deviations at every cutoff, from the errors that were known by then.

    Their sizes in deviations are `scores` (m,), NaN where unknown; `prior` (m,) are the multipliers to start from.
    """
    issued, past, due = np.empty(len(cutoffs)), list[float](), 0
    share = min(1.0, spacing(cutoffs) / horizon)  # how much of an error does not overlap with the one before
    for index, cutoff in enumerate(cutoffs):
        while cutoffs[due] + horizon <= cutoff:
            if np.isfinite(scores[due]):
                insort(past, float(scores[due]))
            due += 1
        issued[index] = float(prior[index])
        if past:
            rank = min(math.ceil((len(past) + 1) * inside), len(past))
            independent = share * len(past)
            issued[index] = (independent * past[rank - 1] + PRIOR_ERRORS * issued[index]) / (independent + PRIOR_ERRORS)
    return issued
