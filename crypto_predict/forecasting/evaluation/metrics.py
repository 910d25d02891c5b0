"""Accuracy metrics: pure formulas, each with its source.

The arrays of one call are parallel, ``(n,)`` with n >= 1, of finite numbers. Errors and losses have the unit of the
arguments (price or log price); smaller is better.

A distribution is given by its `quantiles` (n, k), ascending in each row, at `levels` (k,), ascending in (0, 1), k >= 2.
Between two levels the normal score of the probability is linear in the value, as it is everywhere for a Gaussian.
Beyond the outer levels the tails are exponential, and the density is continuous there. This is the distribution that
`baked.distribution` evaluates.
"""

import math

import numpy as np
from scipy import special, stats

from crypto_predict.history.columns import FloatArray

PIT_BINS = 10
_LEAST_VALUES = 10  # of a test of uniformity


def mae(actual: FloatArray, predicted: FloatArray) -> float:
    """Return the mean absolute error, ``mean |y - f|``.

    Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, 2021, section 5.8, also defines
    RMSE, MAPE and the scaled errors (divided by the in-sample one of persistence).
    """
    return float(np.mean(np.abs(actual - predicted)))


def rmse(actual: FloatArray, predicted: FloatArray) -> float:
    """Return the root mean squared error, ``sqrt(mean (y - f)^2)``."""
    return math.sqrt(np.mean((actual - predicted) ** 2))


def mape(actual: FloatArray, predicted: FloatArray) -> float:
    """Return the mean absolute percentage error as a share, ``mean |(y - f) / y|``: 0.05 is 5 %. No `actual` is 0."""
    return float(np.mean(np.abs((actual - predicted) / actual)))


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


def crps_quantiles(actual: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the continuous ranked probability score of every outcome for the distribution through `quantiles`.

    It is the integral of ``(F(x) - [x >= y])^2``, which is twice the integral of the pinball loss over all levels
    (Gneiting and Ranjan, "Comparing density forecasts using threshold- and quantile-weighted scoring rules", Journal of
    Business and Economic Statistics 29, 2011, equations 3 and 12). It is the score of the whole distribution, not of
    its quantiles alone, so it is proper and comparable with `crps_gaussian`, which it approaches as Gaussian quantiles
    reach further into the tails. Each piece is integrated in closed form: the integral of Phi(z)^2 is
    ``z Phi(z)^2 + 2 Phi(z) phi(z) - Phi(sqrt(2) z) / sqrt(pi)``.
    """
    lower, scores, upper, scales = _pieces(actual, quantiles, levels)
    below = _squares(scores) - _squares(lower)  # of F^2, up to the outcome
    above = _squares(-scores) - _squares(-upper)  # of (1 - F)^2, from the outcome
    inner = np.sum(scales * (below + above), axis=1)
    for distance, mean, share in _tails(actual, quantiles, levels, scales):
        inner = inner + (distance + share**2 * mean / 2 - 2 * share * mean * (1 - _beyond(distance, mean)))
    return np.asarray(inner)


def pit(actual: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the probability integral transform F(y) of every outcome, in [0, 1]; inside F's jump at equal quantiles.

    They are uniform if the distributions are right: Dawid, "Statistical theory: the prequential approach", Journal of
    the Royal Statistical Society A 147, 1984.
    """
    lower, scores, _, scales = _pieces(actual, quantiles, levels)
    inner = np.sum(special.ndtr(scores) - special.ndtr(lower), axis=1)
    (under, low_mean, low_share), (over, high_mean, high_share) = _tails(actual, quantiles, levels, scales)
    below = low_share * _beyond(under, low_mean) + inner + high_share * (1 - _beyond(over, high_mean))
    return np.asarray(np.clip(below, 0.0, 1.0))


def tail_quantiles(quantiles: FloatArray, levels: FloatArray, share: float) -> tuple[FloatArray, FloatArray]:
    """Return the values (n,) at the level `share` and at ``1 - share``, which lie in the tails, beyond all `levels`."""
    first = quantiles[:, 0]
    *_, scales = _pieces(first, quantiles, levels)
    (_, low_mean, low_share), (_, high_mean, high_share) = _tails(first, quantiles, levels, scales)
    reaches = low_mean * math.log(low_share / share), high_mean * math.log(high_share / share)
    return first - reaches[0], quantiles[:, -1] + reaches[1]


def pit_histogram(values: FloatArray) -> FloatArray:
    """Return the shares of PIT values (n,) in each tenth of [0, 1], (10,): 0.1 each if the distributions are right."""
    counts, _ = np.histogram(values, PIT_BINS, (0.0, 1.0))
    return np.asarray(counts / len(values))


def uniformity(values: FloatArray) -> float | None:
    """Return the p-value of Pearson's chi-squared test that independent PIT values (n,) are uniform, by tenths.

    Forecasts whose spans overlap are not independent: pass only those that do not (Diebold, Gunther and Tay,
    "Evaluating density forecasts with applications to financial risk management", International Economic Review 39,
    1998). None for fewer than ten values: for ten equally likely classes the test is accurate from n = 10 on (Koehler
    and Larntz, "An empirical investigation of goodness-of-fit statistics for sparse multinomials", Journal of the
    American Statistical Association 75, 1980).
    """
    if len(values) < _LEAST_VALUES:
        return None
    return float(stats.chisquare(pit_histogram(values) * len(values)).pvalue)


def _pieces(
    actual: FloatArray, quantiles: FloatArray, levels: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return where the outcomes lie among the quantiles, as normal scores of probabilities.

    These are the scores at which the k - 1 pieces begin (k - 1,), those of the outcome in each piece (n, k - 1), at its
    near end where it lies outside, those at which they end (k - 1,), and the pieces' standard deviations (n, k - 1).
    """
    scores = special.ndtri(levels)
    widths, steps = np.diff(quantiles, axis=1), np.diff(scores)
    beyond = actual[:, None] - quantiles[:, :-1]
    # An outcome at equal quantiles lies in the middle of the piece between them.
    inside = np.where(beyond > 0, 1.0, np.where(beyond < 0, 0.0, 0.5))
    shares = np.divide(beyond, widths, out=inside, where=widths > 0)
    return scores[:-1], scores[:-1] + np.clip(shares, 0.0, 1.0) * steps, scores[1:], widths / steps


def _tails(
    actual: FloatArray, quantiles: FloatArray, levels: FloatArray, scales: FloatArray
) -> tuple[tuple[FloatArray, FloatArray, float], tuple[FloatArray, FloatArray, float]]:
    """Return for the low and the high tail how far the outcome lies inside it, or 0, its mean distance, and its share.

    The mean distance (n,) is 0 where quantiles are equal.
    """
    scores, shares = special.ndtri(levels), (float(levels[0]), 1 - float(levels[-1]))
    density = np.exp(-scores * scores / 2) / math.sqrt(2 * math.pi)
    under, over = np.maximum(quantiles[:, 0] - actual, 0.0), np.maximum(actual - quantiles[:, -1], 0.0)
    low_mean, high_mean = (scales[:, end] * (share / density[end]) for end, share in zip((0, -1), shares, strict=True))
    return (under, low_mean, shares[0]), (over, high_mean, shares[1])


def _squares(score: FloatArray) -> FloatArray:
    """Return the integral of Phi(z)^2 up to a normal score."""
    below, density = special.ndtr(score), np.exp(-score * score / 2) / math.sqrt(2 * math.pi)
    return np.asarray(score * below**2 + 2 * below * density - special.ndtr(math.sqrt(2) * score) / math.sqrt(math.pi))


def _beyond(distance: FloatArray, mean: FloatArray) -> FloatArray:
    """Return the share of an exponential tail beyond a distance from where it begins."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-distance / np.maximum(mean, np.finfo(np.float64).tiny)))


def direction(actual_moves: FloatArray, predicted_moves: FloatArray) -> tuple[float, float, float] | None:
    """Return the share of moves predicted with the right sign, and both ends of its 95 % confidence interval.

    Rows with a zero move do not count; None if all have one. Pesaran and Timmermann, "A simple nonparametric test of
    predictive performance", Journal of Business and Economic Statistics 10, 1992. The interval is Wilson's ("Probable
    inference, the law of succession, and statistical inference", Journal of the American Statistical Association 22,
    1927).
    """
    signs = np.sign(actual_moves) * np.sign(predicted_moves)
    right, moved = int(np.sum(signs > 0)), int(np.count_nonzero(signs))
    if not moved:
        return None
    interval = stats.binomtest(right, moved).proportion_ci(method="wilson")
    return right / moved, float(interval.low), float(interval.high)
