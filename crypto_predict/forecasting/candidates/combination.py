"""How much of what the candidates say is taken, at each horizon: weights learned from forecasts that have come due.

Two steps, both on nothing but outcomes known at the cutoff. First the weights: a regression of the actual increments on
the predicted ones, non-negative, adding up to at most 1 (Bates and Granger, "The Combination of Forecasts",
Operational Research Quarterly 20, 1969), with a normal prior around zero, which is persistence. Then the trust in
them: the weighted forecasts as they would have been made at the time must have beaten persistence by more than chance
explains (Diebold-Mariano), and are shrunk towards it by the positive-part rule of James and Stein ("Estimation with
Quadratic Loss", Fourth Berkeley Symposium, 1961): a share of 1 - (critical / t)^2, and nothing below the critical
value. A market in which nothing can be forecast is then answered with "tomorrow equals today", not with noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.optimize import nnls

from crypto_predict.forecasting.arrays import FloatArray, IntArray, spacing
from crypto_predict.forecasting.evaluation.metrics import diebold_mariano

LEARNED = (1, 2, 3, 5, 7, 14, 30, 60, 90)  # days ahead at which weights are learned; others lie between these
PRIOR_SCALE = 0.25  # of the normal prior of a weight: a candidate rarely deserves more than half
SIGNIFICANCE = 0.01  # one-sided, of beating persistence; small, since it is tested at every horizon again and again
LEAST_FORECASTS = 20  # that came due, their spans not overlapping, before anything is learned and before it is trusted
RELEARNED_EVERY = 7  # days


@dataclass(frozen=True)
class Combination:
    """The combined increments at every cutoff for one horizon."""

    increments: FloatArray  # (m,) log price, what the combined forecast adds to persistence
    weights: FloatArray  # (m, candidates) trust included


def combine(cutoffs: IntArray, predicted: FloatArray, actual: FloatArray, horizon: int) -> Combination:
    """Learn weights at every cutoff from the cutoffs whose outcome was known by then, and apply them.

    Args:
        cutoffs: (m,) ascending days.
        predicted: (m, candidates) increments of log price over `horizon` days, by each candidate.
        actual: (m,) the actual increment; NaN where it will never be known.
        horizon: Days ahead.
    """
    untrusted = np.zeros(len(cutoffs))  # the weighted forecasts without the trust
    weights, raw, trust = np.zeros_like(predicted), np.zeros(predicted.shape[1]), 0.0
    learned_at: int | None = None
    every = spacing(cutoffs)
    for index, cutoff in enumerate(cutoffs):
        if learned_at is None or cutoff - learned_at >= RELEARNED_EVERY:
            due = np.flatnonzero((cutoffs + horizon <= cutoff) & np.isfinite(actual))
            raw = _weights(predicted[due], actual[due], every / horizon)
            trust = _trust(untrusted[due], actual[due], max(1, math.ceil(horizon / every)))
            learned_at = int(cutoff)
        untrusted[index] = predicted[index] @ raw
        weights[index] = trust * raw
    return Combination(np.sum(predicted * weights, axis=1), weights)


def _weights(predicted: FloatArray, actual: FloatArray, share: float) -> FloatArray:
    """Ridge regression with non-negative weights.

    Overlapping spans tell the same story several times: each counts for the `share` of it that is new.
    """
    count = predicted.shape[1]
    if len(predicted) * min(1.0, share) < LEAST_FORECASTS:
        return np.zeros(count)
    scale = np.sqrt(min(1.0, share) / max(float(np.mean(actual**2)), 1e-18))
    rows = np.vstack([scale * predicted, np.eye(count) / PRIOR_SCALE])
    found = nnls(rows, np.concatenate([scale * actual, np.zeros(count)]))[0]
    return np.asarray(found / max(1.0, float(found.sum())))


def _trust(forecast: FloatArray, actual: FloatArray, overlap: int) -> float:
    """The share of the weights that is taken, by how forecasts made with them compare with persistence.

    Of the forecasts, in the order of their cutoffs, each `overlap`-th is looked at: their spans do not overlap.
    """
    made = np.flatnonzero(forecast)
    if not len(made):
        return 0.0
    apart = slice(int(made[0]), None, overlap)
    losses, reference = np.abs(actual[apart] - forecast[apart]), np.abs(actual[apart])
    if len(losses) < LEAST_FORECASTS:
        return 0.0
    test = diebold_mariano(losses.tolist(), reference.tolist(), overlap=1)
    return 0.0 if test is None else shrunk(-test.statistic)


def shrunk(statistic: float) -> float:
    """The share that the positive-part James-Stein rule leaves of an estimate with this t statistic."""
    critical = NormalDist().inv_cdf(1 - SIGNIFICANCE)
    return 0.0 if statistic <= critical else 1 - (critical / statistic) ** 2
