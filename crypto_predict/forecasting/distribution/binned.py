"""Weighted quantiles of moves in units of their predicted scale, which calm and wild times have of their own."""

from typing import NamedTuple

import numpy as np

from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

_LEVELS = np.array(LEVELS)
_MIDDLE = LEVELS.index(0.5)


class Shrinkage(NamedTuple):
    """The bins of the scale, and the weights of priors in moves that do not overlap."""

    bins: int
    pooled: float  # of the quantiles of all bins in those of each
    symmetry: float  # of a rising price like a falling one


def binned_quantiles(
    log_scale: FloatArray, standardised: FloatArray, weights: FloatArray, independent: float, shrinkage: Shrinkage
) -> tuple[FloatArray, FloatArray]:
    """Return the centres (bins,) of bins of the log scale, and the weighted quantiles (bins, 7) of the moves in each.

    The arguments are parallel, (n,). `independent` is the share of moves that do not overlap. Quantiles are 0 in the
    middle, and ascend.
    """
    order, prior = np.argsort(log_scale, kind="stable"), shrinkage.pooled
    pooled = _quantiles(standardised, weights, independent, shrinkage.symmetry)
    bins = np.array_split(order, shrinkage.bins)
    centres = [float(np.median(log_scale[rows])) for rows in bins]
    quantiles = []
    for rows in bins:
        moves = independent * weights[rows].sum()
        own = _quantiles(standardised[rows], weights[rows], independent, shrinkage.symmetry)
        quantiles.append((moves * own + prior * pooled) / (moves + prior))
    return np.array(centres), np.array(quantiles)


def _quantiles(standardised: FloatArray, weights: FloatArray, independent: float, symmetry: float) -> FloatArray:
    """Return the weighted quantiles (7,) of moves at `LEVELS`, shrunk to symmetric ones."""
    moves = independent * weights.sum()
    either = np.sign(_LEVELS - 0.5) * _weighted(np.abs(standardised), weights, np.abs(2 * _LEVELS - 1))
    mixed = (moves * _weighted(standardised, weights, _LEVELS) + symmetry * either) / (moves + symmetry)
    mixed[_MIDDLE] = 0.0
    mixed[:_MIDDLE], mixed[_MIDDLE + 1 :] = np.minimum(mixed[:_MIDDLE], 0.0), np.maximum(mixed[_MIDDLE + 1 :], 0.0)
    return np.sort(mixed)


def _weighted(values: FloatArray, weights: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the least values (k,) at or below which at least the shares `levels` of the weight lie."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return np.asarray(values[order][np.minimum(np.searchsorted(total, levels * total[-1]), len(values) - 1)])
