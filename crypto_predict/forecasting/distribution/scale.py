"""The scale of the next move of log price: its expected size, log-linear in features that are known before it.

The size of a move y is taken as exp(x b) for the features x. The coefficients b minimise::

    sum(|y| exp(-x b) + x b)  +  sum(strength (b - prior)^2) / 2

The first sum is the negative log-likelihood of a Laplace distribution whose mean absolute deviation is exp(x b)
(Koenker and Machado, "Goodness of fit and related inference processes for quantile regression", Journal of the American
Statistical Association 94, 1999). As a quasi-likelihood it is right on average for moves of any distribution whose
expected size is exp(x b), and a move of twice the size counts twice, not four times as with squares. The second sum
pulls coefficients towards a prior, as in a ridge regression. The whole is convex: there is one minimum, from any start.

Features are made of the ranges of candles, which measure variance several times as precisely as returns do, and of
means that forget. Arrays are in time order, one element a candle; prices are natural logarithms.
"""

import math
from collections.abc import Sequence

import numpy as np

from crypto_predict.history.columns import FloatArray

_MOST_STEPS = 500  # of Newton's method; a handful is usual
_MOST_RATIO = 1e6  # of a move to its scale, which no fit comes near: without it, a bad start is singular in 64 bits
_TOLERANCE = 1e-6  # of the log scale, at every observation


def fit_scale(
    features: FloatArray, moves: FloatArray, prior: FloatArray, strength: FloatArray, start: FloatArray | None = None
) -> FloatArray:
    """Return the coefficients (k,) of the log scale, given `features` (n, k) and the `moves` (n,) that followed.

    Only the sizes of the moves count. Give a size of zero a floor: a market that never moved has no scale. `prior`
    (k,) is the answer without any move. `strength` (k,), positive, is the number of moves that the prior counts for
    where a feature is 1; multiply it by the horizon if that many moves overlap. `start` (k,) is where Newton's method
    begins, for speed: the coefficients of an earlier fit.
    """
    sizes, coefficients = np.abs(moves), (prior if start is None else start).astype(np.float64)
    for _ in range(_MOST_STEPS):
        ratios = np.minimum(sizes * np.exp(-(features @ coefficients)), _MOST_RATIO)
        gradient = features.T @ (1 - ratios) + strength * (coefficients - prior)
        curvature = (features.T * ratios) @ features
        curvature[np.diag_indices_from(curvature)] += strength
        step = np.linalg.solve(curvature, gradient)
        change = float(np.abs(features @ step).max(initial=0.0))
        if change < _TOLERANCE:
            break
        # A step takes the exponential for a parabola, so long ones are damped (Sun and Tran-Dinh, "Generalized
        # self-concordant functions", Mathematical Programming 178, 2019: convergence from any start).
        coefficients -= step * math.log1p(change) / change
    return coefficients


def garman_klass(
    opens: FloatArray, highs: FloatArray, lows: FloatArray, closes: FloatArray, previous: FloatArray
) -> FloatArray:
    """Return (n,) the variance of every candle, and of the gap between the `previous` close and its opening.

    Garman and Klass, "On the Estimation of Security Price Volatilities from Historical Data", Journal of Business 53,
    1980: half of the squared range minus (2 ln 2 - 1) of the squared return, plus the squared gap. It is never
    negative where the candle is possible. After missing candles, pass the opening as the previous close: the gap is
    longer than one candle.
    """
    inside = 0.5 * (highs - lows) ** 2 - (2 * math.log(2) - 1) * (closes - opens) ** 2
    return np.asarray(np.maximum(inside, 0.0) + (opens - previous) ** 2)


def parkinson(highs: FloatArray, lows: FloatArray, previous: FloatArray) -> FloatArray:
    """Return (n,) the variance of every candle from its range, which is made to include the `previous` close.

    Parkinson, "The Extreme Value Method for Estimating the Variance of the Rate of Return", Journal of Business 53,
    1980: the squared range divided by 4 ln 2. Better than `garman_klass` where a candle has few trades, whose range is
    too small.
    """
    ranges = np.maximum(highs, previous) - np.minimum(lows, previous)
    return np.asarray(ranges**2 / (4 * math.log(2)))


class Averages:
    """Exponentially weighted means of one value a candle, one mean for each half-life. They see no later value.

    The weights add up to one from the first value on: until a mean has several half-lives behind it, it is nearly the
    plain mean of all values. Before the first value the means are 0.
    """

    def __init__(self, half_lives: Sequence[float]) -> None:
        """Start without a value. `half_lives` (k,), positive, are in candles."""
        self._decay = 0.5 ** (1 / np.asarray(half_lives, dtype=np.float64))
        self._weight = np.zeros(len(half_lives))  # the sum of the weights, the newest one being 1
        self.means: FloatArray = np.zeros(len(half_lives))  # (k,)

    def add(self, value: float) -> FloatArray:
        """Take in the value of the next candle, and return the means (k,)."""
        self._weight = self._decay * self._weight + 1
        self.means = self.means + (value - self.means) / self._weight
        return self.means

    def add_all(self, values: FloatArray) -> FloatArray:
        """Take in `values` (n,) one after the other, and return the means after each, (n, k)."""
        means = np.empty((len(values), len(self.means)))
        for index, value in enumerate(values.tolist()):
            means[index] = self.add(value)
        return means

    def exceeded(self, surplus: float | FloatArray) -> FloatArray:
        """Return the means (k,) after a next value that exceeds each of them by `surplus`. Nothing is taken in."""
        return self.means + surplus / (self._decay * self._weight + 1)
