"""The variance of future changes of log price, in steps of any interval: days, hours or minutes.

Two horizons of memory. The short one is an exponentially weighted mean of squared returns (RiskMetrics, "Technical
Document", 4th edition, 1996, section 5.2). Each return counts for at most three standard deviations, so that one shock
is not yet a regime (Muler and Yohai, "Robust estimates for GARCH models", Journal of Statistical Planning and
Inference 138, 2008). The long one is the mean over two long windows. For horizons further ahead the short memory fades
towards the long one, as in a GARCH(1,1) process (Bollerslev, "Generalized autoregressive conditional
heteroskedasticity", Journal of Econometrics 31, 1986).
"""

import math
from statistics import NormalDist

import numpy as np

from crypto_predict.forecasting.series import rolling_median
from crypto_predict.history.columns import FloatArray

DECAY = 0.94  # per step, of the short memory: RiskMetrics' constant
PERSISTENCE = 0.7  # per step, of the short memory's lead over the long one
SHOCK = 3.0  # standard deviations
REGIME_STEPS = 7  # a shock that most of this number of steps repeat is a regime
LONG_WINDOWS = (365, 1095)  # steps: one and three years of days
LEAST_STEPS = 30  # over which the long memory starts
_SHOCK_DECAY = 0.97  # per step, of the variance that defines a shock: slow, so that it does not follow the shock
_MEDIAN_SQUARE = NormalDist().inv_cdf(0.75) ** 2  # of a standard Gaussian: converts a median into a variance
_FLOOR = 1e-12  # least variance of a step: a market that never moves has no scale


def memories(log_close: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the variances per step in the short and in the long memory (n,), at each of n >= 2 log closes."""
    squares = np.diff(log_close, prepend=log_close[0]) ** 2
    squares[0] = squares[1 : LEAST_STEPS + 1].mean()  # the close before the first is unknown
    start = max(float(squares[:LEAST_STEPS].mean()), _FLOOR)
    short, recent = np.empty_like(squares), start
    for index, square in enumerate(_bounded(squares, start).tolist()):
        short[index] = recent = (1 - DECAY) * square + DECAY * recent
    return short, np.mean([_rolling_mean(squares, window) for window in LONG_WINDOWS], axis=0)


def variance(short: FloatArray, long: FloatArray, horizon: float) -> FloatArray:
    """Return (n,) the variance of the change of log price over the next `horizon` steps, from both memories (n,)."""
    # The mean share of the short memory's lead over the long one that remains over the horizon.
    lead = (1 - math.pow(PERSISTENCE, horizon)) / (horizon * (1 - PERSISTENCE))
    return np.asarray(horizon * np.maximum(long + lead * (short - long), _FLOOR))


def _bounded(squares: FloatArray, start: float) -> FloatArray:
    """Limit squared returns to `SHOCK` standard deviations of the time before, or of the last steps in a regime."""
    typical = np.zeros_like(squares)
    typical[REGIME_STEPS - 1 :] = rolling_median(squares, REGIME_STEPS) / _MEDIAN_SQUARE
    bounded, variance = np.empty_like(squares), start
    for index, square in enumerate(squares):
        bounded[index] = min(square, SHOCK**2 * max(variance, typical[index]))
        variance = max(_SHOCK_DECAY * variance + (1 - _SHOCK_DECAY) * bounded[index], _FLOOR)
    return bounded


def _rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """Return the mean over the last `window` values, or over all if fewer; never over fewer than `LEAST_STEPS`."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.maximum(np.arange(1, len(values) + 1), min(LEAST_STEPS, len(values)))
    starts = np.maximum(ends - window, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))
