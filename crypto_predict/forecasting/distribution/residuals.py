"""Quantiles of standardised moves: each move of log price divided by the scale that was predicted before it.

Without a move they are those of a Gaussian. With moves they are conformal quantiles (Lei et al., "Distribution-Free
Predictive Inference for Regression", Journal of the American Statistical Association 113, 2018), shrunk towards the
Gaussian ones while few non-overlapping moves are known. At most half of each is the quantile of the moves as they were,
and less while few are known; the rest is that of the same moves in both directions. How rising and falling differ takes
more moves to learn, and what it was in one regime it need not be in the next.

The levels in the tails are corrected after every outcome: outwards if too many fell beyond, inwards if too few did, so
that coverage holds in the long run (Gibbs and Candes, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS
2021).
"""

import math
from bisect import insort
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

GAUSSIAN_MOVES = 60  # weight of the Gaussian quantiles, in non-overlapping moves
LEARNING_RATE = 0.001  # of a level, per non-overlapping move
MOST_CORRECTED = (0.25, 2.5)  # of a tail: the least and the most share of it that a correction leaves

_MEAN_SIZE = math.sqrt(2 / math.pi)  # of a standard Gaussian: what the scale predicts is the mean size of a move
_NORMAL = NormalDist()


class Calibration:
    """The quantiles of the next standardised move over one horizon, from those completed so far."""

    def __init__(self, horizon: int) -> None:
        """Start without a move. As many moves as `horizon`, in steps, overlap one another."""
        self._horizon = horizon
        self._rate = LEARNING_RATE / horizon
        self._levels = list(LEVELS)
        self._moves, self._sizes = list[float](), list[float]()  # ascending

    def add(self, move: float, issued: FloatArray) -> None:
        """Take in a completed standardised move, and the `issued` (7,) quantiles that were forecast for it."""
        for index, (level, quantile) in enumerate(zip(LEVELS, issued.tolist(), strict=True)):
            corrected = self._levels[index] + self._rate * (level - (move < quantile))
            self._levels[index] = _bounded(corrected, level)
        insort(self._moves, move)
        insort(self._sizes, abs(move))

    def quantiles(self) -> FloatArray:
        """Return the quantiles (7,) at `LEVELS`, ascending."""
        gaussian = [_NORMAL.inv_cdf(level) / _MEAN_SIZE for level in self._levels]
        if not self._moves:
            return np.array(gaussian)
        independent = len(self._moves) / self._horizon
        share = independent / (independent + GAUSSIAN_MOVES)
        learned = [self._learned(level, share / 2) for level in self._levels]
        mixed = share * np.array(learned) + (1 - share) * np.array(gaussian)
        return np.asarray(np.maximum.accumulate(mixed))  # corrected levels may cross

    def _learned(self, level: float, signed: float) -> float:
        """Return the quantile of past moves, of which the share `signed` is that of the moves as they were."""
        central = 2 * level - 1  # the share between this quantile and its mirror image, with the sign of its side
        symmetric = math.copysign(_quantile(self._sizes, abs(central)), central)
        return signed * _quantile(self._moves, level) + (1 - signed) * symmetric


def calibrate(moves: FloatArray, horizon: int, first: int) -> tuple[FloatArray, FloatArray]:
    """Return (n, 7) the quantiles as forecast at each of n steps, and (7,) those to forecast with after the last.

    `moves` (n,) are the standardised moves over `horizon` steps that begin at each step; NaN where there is none. Those
    before the step `first` do not count.
    """
    calibration, issued = Calibration(horizon), np.empty((len(moves), len(LEVELS)))
    latest = calibration.quantiles()
    for now in range(len(moves)):
        start = now - horizon
        if start >= first and math.isfinite(moves[start]):
            calibration.add(float(moves[start]), issued[start])
            latest = calibration.quantiles()
        issued[now] = latest
    return issued, latest


def _bounded(corrected: float, level: float) -> float:
    """Limit a corrected level: the tail stays a tail, and the median stays where it is."""
    least, most = MOST_CORRECTED
    if level < 0.5:
        return min(max(corrected, least * level), most * level, 0.5)
    if level > 0.5:
        return max(min(corrected, 1 - least * (1 - level)), 1 - most * (1 - level), 0.5)
    return level


def _quantile(past: Sequence[float], level: float) -> float:
    """Return the quantile of ascending values; as if one value more were still to come at either end."""
    place = min(max(level * (len(past) + 1) - 1, 0.0), len(past) - 1.0)
    before = int(place)
    after = min(before + 1, len(past) - 1)
    return past[before] + (place - before) * (past[after] - past[before])
