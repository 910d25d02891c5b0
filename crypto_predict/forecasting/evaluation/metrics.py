"""Accuracy metrics: pure formulas, each with its source.

The arrays of one call are parallel, ``(n,)`` with n >= 1, of finite numbers. Errors and losses have the unit of the
arguments (price or log price); smaller is better.

A distribution is given by its `quantiles` (n, k), ascending in each row, at `levels` (k,), ascending in (0, 1), k >= 2.
Between two levels the normal score of the probability is linear in the value, as it is everywhere for a Gaussian.
Beyond the outer levels the tails are exponential, and the density is continuous there. This is the distribution that
`baked.distribution` evaluates.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from crypto_predict.history.columns import FloatArray

PIT_BINS = 10
_LEAST_VALUES = 10  # of a test of uniformity


def mae(actual: FloatArray, predicted: FloatArray) -> float:
    """Return the mean absolute error, ``mean |y - f|``.

    Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, 2021, section 5.8. That section
    also defines RMSE, MAPE and the scaled errors (MAE or RMSE divided by the in-sample one of persistence).
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
    places = _Places.of(actual, quantiles, levels)
    below = _squares(places.scores) - _squares(places.lower)  # of F^2, up to the outcome
    above = _squares(-places.scores) - _squares(-places.upper)  # of (1 - F)^2, from the outcome
    inner = np.sum(places.scales * (below + above), axis=1)
    return np.asarray(
        inner
        + _tail(places.under, places.low_tail, float(levels[0]))
        + _tail(places.over, places.high_tail, 1 - float(levels[-1]))
    )


def pit(actual: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the probability integral transform F(y) of every outcome, in [0, 1].

    They are uniform if the distributions are right: Dawid, "Statistical theory: the prequential approach", Journal of
    the Royal Statistical Society A 147, 1984. An outcome at which F jumps, since quantiles are equal, gets a value
    inside the jump.
    """
    places = _Places.of(actual, quantiles, levels)
    inner = np.sum(special.ndtr(places.scores) - special.ndtr(places.lower), axis=1)
    under = levels[0] * _beyond(places.under, places.low_tail)
    over = (1 - levels[-1]) * (1 - _beyond(places.over, places.high_tail))
    return np.asarray(np.clip(under + inner + over, 0.0, 1.0))


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


@dataclass(frozen=True)
class _Places:
    """Where the outcomes lie among the quantiles. Scores are normal scores of probabilities."""

    lower: FloatArray  # (k - 1,) scores of the levels at which the pieces begin
    upper: FloatArray  # (k - 1,) and end
    scales: FloatArray  # (n, k - 1) standard deviations of the pieces
    scores: FloatArray  # (n, k - 1) of the outcome in each piece, at its near end where it lies outside
    under: FloatArray  # (n,) distance below the lowest quantile, or 0
    over: FloatArray  # (n,) distance above the highest quantile, or 0
    low_tail: FloatArray  # (n,) mean distance of the tail below it, 0 where quantiles are equal
    high_tail: FloatArray  # (n,)

    @classmethod
    def of(cls, actual: FloatArray, quantiles: FloatArray, levels: FloatArray) -> "_Places":
        scores = special.ndtri(levels)
        density = np.exp(-scores * scores / 2) / math.sqrt(2 * math.pi)
        widths, steps = np.diff(quantiles, axis=1), np.diff(scores)
        beyond = actual[:, None] - quantiles[:, :-1]
        # An outcome at equal quantiles lies in the middle of the piece between them.
        inside = np.where(beyond > 0, 1.0, np.where(beyond < 0, 0.0, 0.5))
        shares = np.divide(beyond, widths, out=inside, where=widths > 0)
        scales = widths / steps
        return cls(
            lower=scores[:-1],
            upper=scores[1:],
            scales=scales,
            scores=scores[:-1] + np.clip(shares, 0.0, 1.0) * steps,
            under=np.maximum(quantiles[:, 0] - actual, 0.0),
            over=np.maximum(actual - quantiles[:, -1], 0.0),
            low_tail=scales[:, 0] * (levels[0] / density[0]),
            high_tail=scales[:, -1] * ((1 - levels[-1]) / density[-1]),
        )


def _squares(score: FloatArray) -> FloatArray:
    """Return the integral of Phi(z)^2 up to a normal score."""
    below, density = special.ndtr(score), np.exp(-score * score / 2) / math.sqrt(2 * math.pi)
    return np.asarray(score * below**2 + 2 * below * density - special.ndtr(math.sqrt(2) * score) / math.sqrt(math.pi))


def _beyond(distance: FloatArray, mean: FloatArray) -> FloatArray:
    """Return the share of an exponential tail beyond a distance from where it begins."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-distance / np.maximum(mean, np.finfo(np.float64).tiny)))


def _tail(distance: FloatArray, mean: FloatArray, share: float) -> FloatArray:
    """Return the part of the CRPS in an exponential tail with this share, of an outcome at a distance inside it."""
    return np.asarray(distance + share**2 * mean / 2 - 2 * share * mean * (1 - _beyond(distance, mean)))


def direction(actual_moves: FloatArray, predicted_moves: FloatArray) -> tuple[float, float, float] | None:
    """Return the share of moves predicted with the right sign, and both ends of its 95 % confidence interval.

    None if no row has two nonzero moves.
    Rows with a zero move do not count: Pesaran and Timmermann, "A simple nonparametric test of predictive performance",
    Journal of Business and Economic Statistics 10, 1992. The interval is Wilson's ("Probable inference, the law of
    succession, and statistical inference", Journal of the American Statistical Association 22, 1927).
    """
    signs = np.sign(actual_moves) * np.sign(predicted_moves)
    right, moved = int(np.sum(signs > 0)), int(np.count_nonzero(signs))
    if not moved:
        return None
    interval = stats.binomtest(right, moved).proportion_ci(method="wilson")
    return right / moved, float(interval.low), float(interval.high)
