"""Quantiles of moves: their calibration, and the losses of quantiles and intervals.

`calibrate` gives the quantiles of standardised moves: each move of log price divided by the scale that was predicted
before it. Without a move they are those of a Gaussian. With moves they are conformal quantiles (Lei et al.,
"Distribution-Free Predictive Inference for Regression", Journal of the American Statistical Association 113, 2018),
shrunk towards the Gaussian ones while few non-overlapping moves are known. At most half of each is the quantile of the
moves as they were, and less while few are known; the rest is that of the same moves in both directions. How rising and
falling differ takes more moves to learn, and what it was in one regime it need not be in the next.

The levels in the tails are corrected after every outcome: outwards if too many fell beyond, inwards if too few did, so
that coverage holds in the long run (Gibbs and Candes, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS
2021).
"""

import math
from bisect import insort
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from crypto_predict.baked.schema import COVERAGE, HIGH, LOW
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

GAUSSIAN_MOVES = 60  # weight of the Gaussian quantiles, in non-overlapping moves
LEARNING_RATE = 0.001  # of a level, per non-overlapping move
MOST_CORRECTED = (0.25, 2.5)  # of a tail: the least and the most share of it that a correction leaves
GAUSSIAN = NormalDist().inv_cdf((1 + COVERAGE) / 2)  # half-width of a Gaussian interval in standard deviations

_MEAN_SIZE = math.sqrt(2 / math.pi)  # of a standard Gaussian: what the scale predicts is the mean size of a move
_NORMAL = NormalDist()
# The bounds of a corrected level: a tail stays a tail, and the median stays where it is.
_FEWEST, _MOST = MOST_CORRECTED
_LOWEST = [_FEWEST * level if level < 0.5 else max(1 - _MOST * (1 - level), 0.5) for level in LEVELS]
_HIGHEST = [min(_MOST * level, 0.5) if level <= 0.5 else 1 - _FEWEST * (1 - level) for level in LEVELS]
_LOW, _MIDDLE, _HIGH = (LEVELS.index(level) for level in (LOW, 0.5, HIGH))


def quantile_loss(actual: FloatArray, quantile: FloatArray, level: float | FloatArray) -> FloatArray:
    """Return the pinball loss of every outcome: ``(y - q) level`` above the quantile, ``(q - y) (1 - level)`` below.

    Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978. The three arguments are broadcast.
    """
    error = actual - quantile
    return np.maximum(error * level, error * (level - 1))


def interval_score(actual: FloatArray, low: FloatArray, high: FloatArray, coverage: float) -> FloatArray:
    """Return the Winkler score of every outcome: the interval's width, plus 2 / (1 - coverage) times the miss.

    Winkler, "A decision-theoretic approach to interval estimation", Journal of the American Statistical Association 67,
    1972; Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", the same journal 102, 2007,
    equation 43.
    """
    missed = np.maximum(np.maximum(low - actual, actual - high), 0.0)
    return high - low + 2 / (1 - coverage) * missed


def widening(quantiles: FloatArray) -> FloatArray:
    """Return quantiles (..., horizons, 7) that are never nearer to the start further ahead, the median excepted."""
    below, middle, above = np.split(quantiles, [_MIDDLE, _MIDDLE + 1], axis=-1)
    widened = (np.minimum.accumulate(below, axis=-2), middle, np.maximum.accumulate(above, axis=-2))
    return np.concatenate(widened, axis=-1)


def enclosing(quantiles: FloatArray, points: FloatArray) -> FloatArray:
    """Return quantiles (n, 7) whose central 80 % hold the `points` (n,): ends that do not are moved there."""
    enclosed = quantiles.copy()
    enclosed[:, : _LOW + 1] = np.minimum(quantiles[:, : _LOW + 1], points[:, None])
    enclosed[:, _HIGH:] = np.maximum(quantiles[:, _HIGH:], points[:, None])
    return enclosed


def calibrate(moves: FloatArray, horizon: int, first: int) -> tuple[FloatArray, FloatArray]:
    """Return (n, 7) the quantiles as forecast at each of n steps, and (7,) those to forecast with after the last.

    `moves` (n,) are the standardised moves over `horizon` steps that begin at each step, so that as many of them
    overlap; NaN where there is none. Those before the step `first` do not count.
    """
    levels, past, sizes = list(LEVELS), list[float](), list[float]()  # the latter two ascending
    issued, latest, outcomes = list[list[float]](), _quantiles(levels, past, sizes, horizon), moves.tolist()
    for now in range(len(outcomes)):
        start = now - horizon
        if start >= first and math.isfinite(move := outcomes[start]):
            for index, (level, quantile) in enumerate(zip(LEVELS, issued[start], strict=True)):
                corrected = levels[index] + LEARNING_RATE / horizon * (level - (move < quantile))
                levels[index] = min(max(corrected, _LOWEST[index]), _HIGHEST[index])
            insort(past, move)
            insort(sizes, abs(move))
            latest = _quantiles(levels, past, sizes, horizon)
        issued.append(latest)
    return np.array(issued), np.array(latest)


def _quantiles(levels: Sequence[float], past: Sequence[float], sizes: Sequence[float], horizon: int) -> list[float]:
    """Return the 7 quantiles of the next move at corrected `levels`, ascending."""
    gaussian = [_NORMAL.inv_cdf(level) / _MEAN_SIZE for level in levels]
    if not past:
        return gaussian
    independent = len(past) / horizon
    share = independent / (independent + GAUSSIAN_MOVES)
    signed, mixed, highest = share / 2, list[float](), -math.inf  # `signed`: the share of the moves as they were
    for level, normal in zip(levels, gaussian, strict=True):
        central = 2 * level - 1  # the share between this quantile and its mirror image, with the sign of its side
        symmetric = math.copysign(_quantile(sizes, abs(central)), central)
        learned = signed * _quantile(past, level) + (1 - signed) * symmetric
        highest = max(highest, share * learned + (1 - share) * normal)  # corrected levels may cross
        mixed.append(highest)
    return mixed


def _quantile(past: Sequence[float], level: float) -> float:
    """Return the quantile of ascending values; as if one value more were still to come at either end."""
    place = min(max(level * (len(past) + 1) - 1, 0.0), len(past) - 1.0)
    before = int(place)
    after = min(before + 1, len(past) - 1)
    return past[before] + (place - before) * (past[after] - past[before])
