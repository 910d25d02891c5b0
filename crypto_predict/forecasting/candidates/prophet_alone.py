"""The forecast of Prophet alone, with an interval calibrated to 80 % coverage out of sample.

The forecast is the fitted curve of trend and seasonalities, even where the curve is off the newest price. Its errors
have three causes: the scatter of closes around the curve, the move of the market until the target, and a trend that
does not continue. The first two give a standard deviation: the square root of the residual variance plus the predicted
variance of the move (`volatility`). The half-width of the interval is this deviation times a multiplier, the conformal
quantile of past absolute errors in units of the deviation. While few non-overlapping errors are
known, the multiplier is shrunk towards that of the next shorter horizon, and that of the shortest towards the
Gaussian one.

The interval is symmetric in log price: a bias of Prophet widens both sides.
"""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crypto_predict.baked.schema import COVERAGE, KNOTS, Band
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN
from crypto_predict.forecasting.distribution.volatility import memories, variance
from crypto_predict.forecasting.series import DailySeries, spacing
from crypto_predict.history.columns import FloatArray, IntArray

PRIOR_ERRORS = 4  # weight of the prior, in non-overlapping errors: fewer than 4 have no conformal 80 % quantile


@dataclass(frozen=True)
class ProphetReplay:
    """The forecasts of Prophet alone at every cutoff of a backtest; NaN where it could not be fitted."""

    horizons: tuple[int, ...]  # days ahead, ascending, `KNOTS` among them
    curve: FloatArray  # (m, horizons) log price
    errors: FloatArray  # (m, horizons) actual minus forecast log price; NaN where the outcome is not known
    half_widths: FloatArray  # (m, horizons) half-widths of the interval in log price, from errors due at the cutoff

    def bands(self) -> tuple[Band, ...]:
        """Return the interval at the last cutoff, `KNOTS` days ahead; empty if no error is known to calibrate it."""
        half_widths = self.half_widths[-1, np.searchsorted(self.horizons, KNOTS)]
        if not np.isfinite(self.errors).any() or not np.isfinite(half_widths).all():
            return ()
        return tuple(Band(-half_width, half_width) for half_width in half_widths.tolist())


def replay_prophet(
    series: DailySeries, cutoffs: IntArray, horizons: Sequence[int], curve: FloatArray, noise: FloatArray
) -> ProphetReplay:
    """Calibrate the interval at every cutoff on the errors that were known by then.

    `cutoffs` (m,) are ascending indices into the whole history `series`, `curve` (m, horizons) is Prophet's forecast,
    and `noise` (m,) the standard deviation of the closes around it. `horizons` are as in the result.
    """
    increments = np.array([series.increments(cutoffs, horizon) for horizon in horizons]).T  # (m, horizons)
    errors = series.log_close[cutoffs, None] + increments - curve
    short, long = memories(series.log_close)
    at_knots = np.empty((len(cutoffs), len(KNOTS)))
    multipliers = np.full(len(cutoffs), GAUSSIAN)
    for column, knot in enumerate(KNOTS):
        deviation = np.sqrt(noise**2 + variance(short, long, knot)[cutoffs])
        scores = np.abs(errors[:, horizons.index(knot)]) / deviation
        multipliers = _multipliers(scores, cutoffs, knot, multipliers)
        at_knots[:, column] = multipliers * deviation
    squares = np.maximum.accumulate(at_knots, axis=1) ** 2  # not narrower further ahead
    half_widths = np.sqrt([np.interp(horizons, KNOTS, row) for row in squares])  # between knots as in `Evaluator`
    return ProphetReplay(tuple(horizons), curve, errors, half_widths)


def _multipliers(scores: FloatArray, cutoffs: IntArray, horizon: int, prior: FloatArray) -> FloatArray:
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
        issued[index] = conformal_multiplier(past, share * len(past), float(prior[index]))
    return issued


def conformal_multiplier(past: Sequence[float], independent: float, prior: float) -> float:
    """Return the conformal 80 % quantile of `past` scores, in standard deviations and ascending.

    Lei et al., "Distribution-Free Predictive Inference for Regression", Journal of the American Statistical Association
    113, 2018. While few of the scores are `independent` (do not overlap), it is shrunk towards `prior`.
    """
    if not past:
        return prior
    rank = min(math.ceil((len(past) + 1) * COVERAGE), len(past))
    return (independent * past[rank - 1] + PRIOR_ERRORS * prior) / (independent + PRIOR_ERRORS)
