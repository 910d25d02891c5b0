"""The combination of a model with persistence: a weight for each horizon, learned from forecasts with known outcomes.

Two steps, both on outcomes known at the cutoff. First the weight: a regression of actual on predicted increments, with
a weight from 0 to 1 (Bates and Granger, "The Combination of Forecasts", Operational Research Quarterly 20, 1969) and a
normal prior around zero, which is persistence. Then the trust in it: the weighted forecasts must have beaten
persistence significantly (Diebold-Mariano), and are shrunk towards it by the positive-part rule of James and Stein
("Estimation with Quadratic Loss", Fourth Berkeley Symposium, 1961). A market that cannot be forecast therefore gets
persistence, not noise.
"""

import math
from statistics import NormalDist

import numpy as np

from crypto_predict.forecasting.series import spacing
from crypto_predict.forecasting.significance import diebold_mariano
from crypto_predict.history.columns import FloatArray, IntArray

LEARNED = (1, 2, 3, 5, 7, 14, 30, 60, 90)  # steps ahead at which weights are learned; others are interpolated
PRIOR_SCALE = 0.25  # of the normal prior of a weight: a model rarely deserves more than half
SIGNIFICANCE = 0.01  # one-sided, of beating persistence; small, since it is tested repeatedly at every horizon
LEAST_FORECASTS = 20  # non-overlapping and due, before weights are learned and before they are trusted
RELEARNED_EVERY = 7  # steps


def learn_weights(cutoffs: IntArray, predicted: FloatArray, actual: FloatArray, horizon: int) -> FloatArray:
    """Return (m,) the weights at the cutoffs (m,), ascending, learned from the outcomes known by then.

    `predicted` and `actual` (m,) are increments of log price over `horizon` steps; `actual` is NaN where unknown.
    """
    untrusted = np.zeros(len(cutoffs))  # the weighted forecasts without the trust
    weights, raw, trust = np.zeros(len(cutoffs)), 0.0, 0.0
    learned_at: int | None = None
    every = spacing(cutoffs)
    for index, cutoff in enumerate(cutoffs):
        if learned_at is None or cutoff - learned_at >= RELEARNED_EVERY:
            due = np.flatnonzero((cutoffs + horizon <= cutoff) & np.isfinite(actual))
            raw = _weight(predicted[due], actual[due], min(1.0, every / horizon))
            trust = _trust(untrusted[due], actual[due], max(1, math.ceil(horizon / every)))
            learned_at = int(cutoff)
        untrusted[index] = predicted[index] * raw
        weights[index] = trust * raw
    return weights


def _weight(predicted: FloatArray, actual: FloatArray, share: float) -> float:
    """Return the weight of a ridge regression, from 0 to 1, in which every forecast counts for its new `share`."""
    if len(predicted) * share < LEAST_FORECASTS:
        return 0.0
    precision = share / max(float(np.mean(actual**2)), 1e-18)
    unbounded = precision * float(predicted @ actual) / (precision * float(predicted @ predicted) + PRIOR_SCALE**-2)
    return min(max(unbounded, 0.0), 1.0)


def _trust(forecast: FloatArray, actual: FloatArray, overlap: int) -> float:
    """Return the share of the weight to take: how surely every `overlap`-th forecast beat persistence."""
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
