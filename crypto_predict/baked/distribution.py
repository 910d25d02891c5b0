"""The distribution of a price between and beyond its known quantiles, in plain Python.

Between two known quantiles log price is linear in the normal score of the level: a log-normal price is then exact, and
any other one bends at its quantiles. Beyond the outer quantiles the probability falls exponentially in log price, so
that in price it falls as a power, as the tails of returns do (Gopikrishnan et al., "Scaling of the distribution of
fluctuations of financial market indices", 1999). The rate follows from the two outermost quantiles: the density is
continuous where a tail begins. These tails are an assumption: few outcomes have been there.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

_NORMAL = NormalDist()
_LEAST_LOG_PRICE, _MOST_LOG_PRICE = -744.0, 709.0  # math.exp is 0 below the one, and overflows above the other
_FAR = 20.0  # where 20 terms of the continued fraction have every digit, and `math.erfc` is not yet 0


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of a price, given by two quantiles or more of its natural logarithm.

    If neighbouring quantiles are equal, so that the price is known, all of their probability lies at that price.
    """

    levels: tuple[float, ...]  # (n,) ascending, in (0, 1), without the ends
    log_prices: tuple[float, ...]  # (n,) the quantiles at these levels; not descending

    def quantile(self, level: float) -> float:
        """Return the price that is not exceeded with probability `level`, in (0, 1) without the ends; above 0."""
        return _price(self.log_quantile(level))

    def below(self, price: float) -> float:
        """Return the probability that the price is at most this one, which is above 0 and finite."""
        x = math.log(price)
        after = bisect_right(self.log_prices, x)
        if after == 0:
            return self.levels[0] * _decay(self.log_prices[0] - x, self._scales()[0])
        if after == len(self.levels):
            return 1 - self._beyond(x)
        before = after - 1
        share = (x - self.log_prices[before]) / (self.log_prices[after] - self.log_prices[before])
        scores = _scores(self.levels)
        level = _NORMAL.cdf(scores[before] + share * (scores[after] - scores[before]))
        return min(max(level, self.levels[before]), self.levels[after])

    def above(self, price: float) -> float:
        """Return the probability that the price is more than this one: ``1 - below(price)``, without its rounding."""
        x = math.log(price)
        return self._beyond(x) if x >= self.log_prices[-1] else 1 - self.below(price)

    def covers(self, price: float) -> bool:
        """Return whether the probability of this price does not rest on an assumed tail.

        It lies between the outer quantiles, both included, or on a side where nothing lies beyond them.
        """
        x = math.log(price)
        if x < self.log_prices[0]:
            return not self._scales()[0]
        return x <= self.log_prices[-1] or not self._scales()[1]

    def mean_below(self, level: float) -> float:
        """Return the mean of the lowest prices, which have this probability together: of the quantiles up to `level`.

        `level` is above 0 and at most the last of the levels. This mean is the one behind the expected shortfall, also
        where prices are equal (Acerbi and Tasche, "On the coherence of expected shortfall", 2002).
        """
        scores, end, in_tail = _scores(self.levels), _NORMAL.inv_cdf(level), min(level, self.levels[0])
        total = in_tail * self.quantile(in_tail) / (1 + self._scales()[0])
        for n, (start, last) in enumerate(pairwise(scores)):
            if start < end:
                slope = (self.log_prices[n + 1] - self.log_prices[n]) / (last - start)
                to = min(end, last)
                price = _price(self.log_prices[n] + slope * (to - start))
                total += price * (_weight(to, slope) - math.exp(slope * (start - to)) * _weight(start, slope))
        return min(total / level, self.quantile(level))

    def reaches(self, level: float) -> bool:
        """Return whether the quantile at `level`, in [0, 1], does not rest on an assumed tail, as in `covers`."""
        lower, upper = self._scales()
        return not (lower if level < self.levels[0] else upper if level > self.levels[-1] else 0.0)

    def log_quantile(self, level: float) -> float:
        """Return the logarithm of `quantile`, which no price bounds."""
        levels, log_prices = self.levels, self.log_prices
        after = bisect_left(levels, level)
        if after == len(levels):
            return log_prices[-1] - self._scales()[1] * math.log((1 - level) / (1 - levels[-1]))
        if level == levels[after]:
            return log_prices[after]
        if after == 0:
            return log_prices[0] + self._scales()[0] * math.log(level / levels[0])
        before, scores = after - 1, _scores(levels)
        share = (_NORMAL.inv_cdf(level) - scores[before]) / (scores[after] - scores[before])
        log_price = log_prices[before] + share * (log_prices[after] - log_prices[before])
        return min(max(log_price, log_prices[before]), log_prices[after])

    def _beyond(self, x: float) -> float:
        """Return the probability of more than `x`, which is at or above the last quantile."""
        return (1 - self.levels[-1]) * _decay(x - self.log_prices[-1], self._scales()[1])

    def _scales(self) -> tuple[float, float]:
        """Return the mean distance, in log price, from the first quantile of a price below, and from the last above."""
        (lower, upper), prices = _tail_scales(self.levels), self.log_prices
        return lower * (prices[1] - prices[0]), upper * (prices[-1] - prices[-2])


def mixed(before: float, after: float, share: float) -> float:
    """Return the quantile at `share` of the time from one to another, as a distance from the middle."""
    square = (1 - share) * before * abs(before) + share * after * abs(after)
    return math.copysign(math.sqrt(abs(square)), square)


def _price(log_price: float) -> float:
    return math.exp(min(max(log_price, _LEAST_LOG_PRICE), _MOST_LOG_PRICE))


def _weight(score: float, slope: float) -> float:
    """Return the integral of the normal density times ``exp(slope * (z - score))`` over all z up to `score`.

    It is the density there times Mills' ratio, ``(1 - cdf(t)) / pdf(t)``, at ``t = slope - score``, for which large t
    have a continued fraction (Abramowitz and Stegun, "Handbook of mathematical functions", 1964, 26.2.14).
    """
    t = slope - score
    if t < _FAR:
        ratio = math.erfc(t / math.sqrt(2)) / 2 / _NORMAL.pdf(t)
    else:
        denominator = t
        for n in range(20, 0, -1):
            denominator = t + n / denominator
        ratio = 1 / denominator
    return _NORMAL.pdf(score) * ratio


def _decay(distance: float, scale: float) -> float:
    return math.exp(-distance / scale) if scale else 0.0


@lru_cache(maxsize=16)
def _scores(levels: tuple[float, ...]) -> tuple[float, ...]:
    """Return the normal scores of the levels."""
    return tuple(map(_NORMAL.inv_cdf, levels))


@lru_cache(maxsize=16)
def _tail_scales(levels: tuple[float, ...]) -> tuple[float, float]:
    """Return the scales of the lower and of the upper tail, per distance of the two outermost quantiles.

    With mass m of the tail, normal scores z of the two quantiles and their distance d in log price, the density is
    ``m / scale`` on the one side, and ``pdf(z) * (difference of z) / d`` on the other.
    """
    scores = _scores(levels)
    lower = levels[0] / (_NORMAL.pdf(scores[0]) * (scores[1] - scores[0]))
    upper = (1 - levels[-1]) / (_NORMAL.pdf(scores[-1]) * (scores[-1] - scores[-2]))
    return lower, upper
