"""Ranges for models that forecast points alone, Prophet among them, from their own errors out of sample.

An error has three causes: the move of the market until the target, the scatter of closes around the curve of a model
that does not start at the newest one, and a trend that does not continue. The first two give a standard deviation: the
square root of the predicted variance of the move (`distribution.volatility`) plus that of the scatter. The half-width
of a central interval is this deviation times a multiplier, the conformal quantile of past absolute errors in units of
the deviation (Lei et al., "Distribution-Free Predictive Inference for Regression", Journal of the American Statistical
Association 113, 2018). While few non-overlapping errors are known, it is shrunk towards that of the next shorter
horizon, and that of the shortest towards the Gaussian one.

The ranges are symmetric in log price: a bias widens both sides. They are not narrower further ahead.
"""

import math
from bisect import insort
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.distribution.volatility import memories, variance
from crypto_predict.forecasting.series import DailySeries, spacing
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

PRIOR_ERRORS = 4  # weight of the prior, in non-overlapping errors: fewer than 4 have no conformal 80 % quantile
_INSIDE = 1 - 2 * np.array(LEVELS[: len(LEVELS) // 2])  # (3,) what the central intervals hold, the widest first


def half_widths(
    series: DailySeries,
    cutoffs: IntArray,
    horizons: Sequence[int],
    points: FloatArray,
    scatter: FloatArray | float = 0.0,
) -> FloatArray:
    """Return (m, horizons, 3) half-widths of the central intervals at every cutoff, the widest first, in log price.

    Those of a cutoff rest on errors that were known by then. `cutoffs` (m,) are ascending indices into the series,
    `horizons` days, ascending, `points` (m, horizons) log prices, NaN where there is no forecast, and `scatter` (m,)
    the standard deviation of closes around the curve. If `KNOTS` are among the horizons, only these are calibrated: the
    model file has no others, and what lies between them is interpolated.
    """
    calibrated = KNOTS if {*KNOTS} <= {*horizons} else horizons
    short, long = (memory[cutoffs] for memory in memories(series.log_close))
    widths = np.empty((len(cutoffs), len(calibrated), len(_INSIDE)))
    multipliers = np.tile([NormalDist().inv_cdf((1 + inside) / 2) for inside in _INSIDE], (len(cutoffs), 1))
    for column, horizon in enumerate(calibrated):
        deviation = np.sqrt(scatter**2 + variance(short, long, horizon))
        actual = series.log_close[cutoffs] + series.increments(cutoffs, horizon)
        scores = np.abs(actual - points[:, horizons.index(horizon)]) / deviation
        multipliers = _multipliers(scores, cutoffs, horizon, multipliers)
        widths[:, column] = multipliers * deviation[:, None]
    widths = np.maximum.accumulate(widths, axis=1)
    return widths if len(calibrated) == len(horizons) else interpolated(widths, calibrated, horizons)


def interpolated(widths: FloatArray, horizons: Sequence[int], targets: Sequence[int]) -> FloatArray:
    """Return half-widths (..., t, 3) at other horizons than those of (..., h, 3), linearly in their squares."""
    rows = np.moveaxis(widths**2, -2, -1).reshape(-1, len(horizons))
    squares = np.array([np.interp(targets, horizons, row) for row in rows])
    shape = (*widths.shape[:-2], widths.shape[-1], len(targets))
    return np.asarray(np.sqrt(np.moveaxis(squares.reshape(shape), -1, -2)))


def around(points: FloatArray, widths: FloatArray) -> FloatArray:
    """Return quantiles (..., 7) at `LEVELS` around points (...) with half-widths (..., 3)."""
    middle = np.zeros((*points.shape, 1))
    return np.asarray(points[..., None] + np.concatenate([-widths, middle, widths[..., ::-1]], axis=-1))


def _multipliers(scores: FloatArray, cutoffs: IntArray, horizon: int, prior: FloatArray) -> FloatArray:
    """Return (m, 3) the half-widths in deviations at every cutoff, from the errors that were known by then.

    Their sizes in deviations are `scores` (m,), NaN where unknown; `prior` (m, 3) are the multipliers to start from.
    """
    past, due, independent, issued = list[float](), 0, np.empty(len(cutoffs)), np.array(prior)
    share = min(1.0, spacing(cutoffs) / horizon)  # how much of an error does not overlap with the one before
    days, sizes = cutoffs.tolist(), scores.tolist()
    for index, day in enumerate(days):
        while days[due] + horizon <= day:
            if math.isfinite(sizes[due]):
                insort(past, sizes[due])
            due += 1
        independent[index] = share * len(past)
        if past:
            issued[index] = conformal_quantiles(past)
    weight = independent[:, None]
    return np.asarray((weight * issued + PRIOR_ERRORS * prior) / (weight + PRIOR_ERRORS))


def conformal_quantiles(past: Sequence[float]) -> list[float]:
    """Return what the next score stays below with the shares of the central intervals, from ascending `past` scores."""
    return [past[min(math.ceil((len(past) + 1) * inside), len(past)) - 1] for inside in _INSIDE.tolist()]
