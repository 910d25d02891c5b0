"""Confidence intervals of means, and of ratios of means, of dependent losses: the stationary bootstrap.

Forecasts whose spans overlap share most of their outcome, and volatility comes in clusters, so the losses of
neighbouring cutoffs are correlated. The bootstrap of Politis and Romano, "The stationary bootstrap", Journal of the
American Statistical Association 89, 1994, draws blocks of consecutive losses, of geometric lengths, and so keeps that
dependence.

The interval is the figure plus or minus its bootstrap standard error times a quantile of Student's t, with one degree
of freedom less than there are blocks (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 12). With
a dozen blocks, as at a horizon of a quarter of a year, percentiles of the resampled figures are too narrow.
"""

import math

import numpy as np
from scipy import special

from crypto_predict.baked.schema import Confidence
from crypto_predict.history.columns import BoolArray, FloatArray

RESAMPLES = 400  # their standard deviation is then known to within 4 %
CONFIDENCE = 0.95
LEAST_BLOCKS = 3
_SEED = 0  # the same forecasts have the same intervals


def mean_block(count: int, overlap: int) -> float:
    """Return the mean length of the blocks of `count` losses, `overlap` consecutive ones being correlated.

    Blocks of twice that length keep most of it. They are not shorter than n^(1/3), for the dependence that comes from
    volatility: at this rate the error of the estimated variance is least (Politis and Romano, section 3).
    """
    return max(2.0 * overlap, math.cbrt(count))


class Bootstrap:
    """Resamples of the losses of the same forecasts, so that figures of different losses stay comparable."""

    def __init__(self, count: int, overlap: int) -> None:
        """Draw from `count` losses in the order of their cutoffs; `overlap` as for `mean_block`."""
        block = mean_block(count, overlap)
        self.blocks = count / block
        self._weights = _weights(count, 1 / block) if self.blocks >= LEAST_BLOCKS else None

    def mean(self, losses: FloatArray) -> Confidence | None:
        """Return the interval of the mean of losses (n,); None if they are fewer than three blocks, or do not vary."""
        if self._weights is None or np.ptp(losses) == 0:
            return None
        return self._around(float(np.mean(losses)), self._weights @ losses)

    def share(self, hits: BoolArray) -> Confidence | None:
        """Return the interval of the share of hits (n,), within [0, 1]; None as for `mean`."""
        interval = self.mean(hits.astype(np.float64))
        return None if interval is None else Confidence(max(0.0, interval.low), min(1.0, interval.high))

    def ratio(self, losses: FloatArray, reference: FloatArray) -> Confidence | None:
        """Return the interval of the ratio of the means of two losses (n,) of the same forecasts, resampled together.

        None if they are fewer than three blocks, or if the divisor is not positive in every resample.
        """
        if self._weights is None:
            return None
        resampled, divisors = self._weights @ losses, self._weights @ reference
        if not np.all(divisors > 0):
            return None
        return self._around(float(np.mean(losses) / np.mean(reference)), resampled / divisors)

    def _around(self, figure: float, resampled: FloatArray) -> Confidence:
        freedom = self.blocks - 1
        error = float(np.std(resampled)) * math.sqrt(self.blocks / freedom)
        reach = error * float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))
        return Confidence(figure - reach, figure + reach)


def _weights(count: int, new_block: float) -> FloatArray:
    """Return (RESAMPLES, count) how often each loss is drawn, as a share; the first loss follows the last."""
    random, places = np.random.default_rng(_SEED), np.arange(count)
    begins = random.random((RESAMPLES, count)) < new_block
    begins[:, 0] = True
    starts = random.integers(0, count, (RESAMPLES, count))
    begun = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    drawn = (np.take_along_axis(starts, begun, axis=1) + places - begun) % count
    rows = np.arange(RESAMPLES)[:, None] * count
    return np.bincount((drawn + rows).ravel(), minlength=RESAMPLES * count).reshape(RESAMPLES, count) / count
