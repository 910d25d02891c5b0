"""How far a market moved within candles, and means of it that forget: features of the scale of the next move.

The range of a candle measures variance several times as precisely as its return does. Arrays are in time order, one
element a candle; prices are natural logarithms.
"""

import math
from collections.abc import Sequence

import numpy as np

from crypto_predict.history.columns import FloatArray


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
