"""The combination of candidates: weights for each horizon, learned from forecasts whose outcome is known.

Two steps, both on outcomes known at the cutoff. First the weights: a regression of actual on predicted increments,
with non-negative weights that add up to at most 1 (Bates and Granger, "The Combination of Forecasts", Operational
Research Quarterly 20, 1969) and a normal prior around zero, which is persistence. Then the trust in them: the weighted
forecasts must have beaten persistence significantly (Diebold-Mariano), and are shrunk towards it by the positive-part
rule of James and Stein ("Estimation with Quadratic Loss", Fourth Berkeley Symposium, 1961). A market that cannot be
forecast therefore gets persistence, not noise.
"""

import math
from statistics import NormalDist

import numpy as np
from scipy.optimize import nnls

from crypto_predict.forecasting.series import spacing
from crypto_predict.forecasting.significance import diebold_mariano
from crypto_predict.history.columns import FloatArray, IntArray

LEARNED = (1, 2, 3, 5, 7, 14, 30, 60, 90)  # steps ahead at which weights are learned; others are interpolated
PRIOR_SCALE = 0.25  # of the normal prior of a weight: a candidate rarely deserves more than half
SIGNIFICANCE = 0.01  # one-sided, of beating persistence; small, since it is tested repeatedly at every horizon
LEAST_FORECASTS = 20  # non-overlapping and due, before weights are learned and before they are trusted
RELEARNED_EVERY = 7  # steps


def learn_weights(cutoffs: IntArray, predicted: FloatArray, actual: FloatArray, horizon: int) -> FloatArray:
    """Return (m, candidates) the weights at the cutoffs (m,), ascending, learned from the outcomes known by then.

    `predicted` (m, candidates) and `actual` (m,) are increments of log price over `horizon` steps; NaN where unknown.
    """
    untrusted = np.zeros(len(cutoffs))  # the weighted forecasts without the trust
    weights, raw, trust = np.zeros_like(predicted), np.zeros(predicted.shape[1]), 0.0
    learned_at: int | None = None
    every = spacing(cutoffs)
    for index, cutoff in enumerate(cutoffs):
        if learned_at is None or cutoff - learned_at >= RELEARNED_EVERY:
            due = np.flatnonzero((cutoffs + horizon <= cutoff) & np.isfinite(actual))
            raw = _weights(predicted[due], actual[due], min(1.0, every / horizon))
            trust = _trust(untrusted[due], actual[due], max(1, math.ceil(horizon / every)))
            learned_at = int(cutoff)
        untrusted[index] = predicted[index] @ raw
        weights[index] = trust * raw
    return weights


def _weights(predicted: FloatArray, actual: FloatArray, share: float) -> FloatArray:
    """Return the non-negative weights of a ridge regression, in which every forecast counts for its new `share`."""
    count = predicted.shape[1]
    if len(predicted) * share < LEAST_FORECASTS:
        return np.zeros(count)
    scale = np.sqrt(share / max(float(np.mean(actual**2)), 1e-18))
    rows = np.vstack([scale * predicted, np.eye(count) / PRIOR_SCALE])
    weights = nnls(rows, np.concatenate([scale * actual, np.zeros(count)]))[0]
    return np.asarray(weights / max(1.0, float(weights.sum())))


def _trust(forecast: FloatArray, actual: FloatArray, overlap: int) -> float:
    """Return the share of the weights to take: how surely every `overlap`-th forecast beat persistence."""
    forecasts = np.flatnonzero(forecast)
    if not len(forecasts):
        return 0.0
    disjoint = slice(int(forecasts[0]), None, overlap)  # forecasts whose spans do not overlap
    losses, reference = np.abs(actual[disjoint] - forecast[disjoint]), np.abs(actual[disjoint])
    if len(losses) < LEAST_FORECASTS:
        return 0.0
    test = diebold_mariano(losses, reference, overlap=1)
    return 0.0 if test is None else shrunk(-test[0])


def shrunk(statistic: float) -> float:
    """Return the share ``1 - (critical / t)^2`` that the positive-part James-Stein rule leaves of an estimate."""
    critical = NormalDist().inv_cdf(1 - SIGNIFICANCE)
    return 0.0 if statistic <= critical else 1 - (critical / statistic) ** 2
