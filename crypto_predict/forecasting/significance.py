"""What chance does to the losses of forecasts: a test of equal accuracy, confidence intervals, a test of coverage.

Forecasts whose spans overlap share most of their outcome, and volatility comes in clusters, so the losses of
neighbouring cutoffs are correlated. The bootstrap of Politis and Romano, "The stationary bootstrap", Journal of the
American Statistical Association 89, 1994, draws blocks of consecutive losses, of geometric lengths, and so keeps that
dependence.

The interval is the figure plus or minus its bootstrap standard error times a quantile of Student's t, with one degree
of freedom less than there are blocks (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 12). With
a dozen blocks, as at a horizon of a quarter of a year, percentiles of the resampled figures are too narrow.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import special

from crypto_predict.baked.schema import Confidence
from crypto_predict.history.columns import BoolArray, FloatArray

RESAMPLES = 400  # their standard deviation is then known to within 4 %
CONFIDENCE = 0.95
LEAST_BLOCKS = 3
LEAST_TESTED_OVERLAP = 7  # of `share_p_value`; half a block
_SEED = 0  # the same forecasts have the same intervals


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


def mean_block(count: int, overlap: int) -> float:
    """Return the mean length of the blocks of `count` losses, `overlap` consecutive ones being correlated.

    Blocks of twice that length keep most of it. They are not shorter than n^(1/3), for the dependence that comes from
    volatility: at this rate the error of the estimated variance is least (Politis and Romano, section 3).
    """
    return max(2.0 * overlap, math.cbrt(count))


@lru_cache(maxsize=4)  # of the horizons of a pair, at which each of its models is scored
def resample(count: int, overlap: int) -> tuple[FloatArray, float] | None:
    """Draw from `count` losses in the order of their cutoffs; `overlap` as for `mean_block`.

    Return (RESAMPLES, count) how often each loss is drawn, as a share, and the number of blocks; None if they are fewer
    than three. The same draws serve all losses of the same forecasts, so that their figures stay comparable.
    """
    blocks = count / mean_block(count, overlap)
    if blocks < LEAST_BLOCKS:
        return None
    random, places = np.random.default_rng(_SEED), np.arange(count)
    begins = np.array([random.random(count) < blocks / count for _ in range(RESAMPLES)])
    begins[:, 0] = True
    weights = np.empty((RESAMPLES, count))
    for row, begin in zip(weights, begins, strict=True):  # one by one, as whole tables of indices take much memory
        starts, begun = random.integers(0, count, count), np.maximum.accumulate(np.where(begin, places, 0))
        drawn = (starts[begun] + places - begun) % count  # the first loss follows the last
        row[:] = np.bincount(drawn, minlength=count) / count
    return weights, blocks


def confidence(
    resamples: tuple[FloatArray, float] | None, losses: FloatArray | BoolArray, reference: FloatArray | None = None
) -> Confidence | None:
    """Return the interval of the mean of losses (n,), or of its ratio to the mean of `reference` (n,).

    That of hits is a share, within [0, 1]. None without `resamples`, if losses without a reference do not vary, or if
    the divisor is not positive in every resample.
    """
    if resamples is None or (reference is None and np.all(losses == losses[0])):
        return None
    weights, blocks = resamples
    figure, resampled = float(np.mean(losses)), weights @ losses
    if reference is not None:
        divisors = weights @ reference
        if not np.all(divisors > 0):
            return None
        figure, resampled = float(np.mean(losses) / np.mean(reference)), resampled / divisors
    reach = _error(resampled, blocks) * float(special.stdtrit(blocks - 1, (1 + CONFIDENCE) / 2))
    if losses.dtype == np.bool_:
        return Confidence(max(0.0, figure - reach), min(1.0, figure + reach))
    return Confidence(figure - reach, figure + reach)


def share_confidence(
    resamples: tuple[FloatArray, float] | None, hits: FloatArray, counts: FloatArray
) -> Confidence | None:
    """Return the interval, within [0, 1], of the share of all `hits` (n,) among all `counts` (n,), at each step.

    None where `confidence` has none, and if all or none are hits: what never varied has no known error.
    """
    if np.sum(hits) in (0, np.sum(counts)) or (interval := confidence(resamples, hits, counts)) is None:
        return None
    return Confidence(max(0.0, interval.low), min(1.0, interval.high))


def share_p_value(hits: FloatArray, counts: FloatArray, nominal: float, overlap: int) -> float | None:
    """Test whether the share of all `hits` (n,) among all `counts` (n,), one or more at each step, is the nominal one.

    The two-sided p-value of Student's t, as in `confidence`; None with fewer than three blocks. It is made to be
    repeated at each step, so two things keep it from being too sure. A block has two weeks or more, in which errors of
    the volatility last. The standard error is at least the one of a share that is nominal: a dozen hits in a row would
    otherwise seem to be certain. Forecasts whose spans have a part r in common correlate by r, and their hits, which
    depend on the size of the move alone, by about r^2. Of `overlap` consecutive ones the sum of r^2 is
    ``(2 overlap^2 + 1) / (3 overlap)``.
    """
    if (resamples := resample(len(hits), max(overlap, LEAST_TESTED_OVERLAP))) is None:
        return None
    weights, blocks = resamples
    least = math.sqrt(nominal * (1 - nominal) / len(hits) * (2 * overlap**2 + 1) / (3 * overlap))
    error = max(_error(weights @ hits / (weights @ counts), blocks), least)
    statistic = (float(np.sum(hits) / np.sum(counts)) - nominal) / error
    return 2 * float(special.stdtr(blocks - 1, -abs(statistic)))


def _error(resampled: FloatArray, blocks: float) -> float:
    """Return the standard error of a figure from its values in the resamples."""
    return float(np.std(resampled)) * math.sqrt(blocks / (blocks - 1))
