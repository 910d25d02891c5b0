"""The 80 % interval: how far log price may move from the newest price, in steps of any interval.

The half-width over a horizon is the predicted standard deviation (`volatility`) times a multiplier. The multiplier is
the conformal quantile of past moves, each divided by its predicted deviation (Lei et al., "Distribution-Free Predictive
Inference for Regression", Journal of the American Statistical Association 113, 2018). While few non-overlapping moves
are known it is shrunk towards the Gaussian one. Its level is corrected after every outcome: up if too many fell
outside, down if too few did, so that coverage holds in the long run (Gibbs and Candes, "Adaptive Conformal Inference
Under Distribution Shift", NeurIPS 2021).

The interval is centred on the newest price and does not depend on any candidate.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from crypto_predict.baked.schema import COVERAGE, KNOTS
from crypto_predict.forecasting.distribution.volatility import Volatility
from crypto_predict.forecasting.series import at_horizons
from crypto_predict.history.columns import FloatArray

BURN_IN = 60  # steps of history before the first move that counts
GAUSSIAN_MOVES = 60  # weight of the Gaussian multiplier, in non-overlapping moves
LEARNING_RATE = 0.002  # of the level, per step, for a horizon of 1; slower with the square root of the horizon
LEAST_LEVEL, MOST_LEVEL = 0.05, 0.5  # of the share outside: keeps a corrected level an interval

GAUSSIAN = NormalDist().inv_cdf((1 + COVERAGE) / 2)  # half-width of the interval in standard deviations


def multipliers(log_close: FloatArray, volatility: Volatility, horizon: int) -> FloatArray:
    """Return (n,) the half-width `horizon` steps ahead of every close, from moves completed by then.

    It is in standard deviations as predicted by `volatility`, that of the same log closes (n,), one per step.
    """
    deviation = np.sqrt(volatility.variance(horizon))
    moves = np.abs(log_close[horizon:] - log_close[:-horizon]) / deviation[:-horizon]  # (n - h,) known h steps later
    issued = np.empty(len(log_close))
    past: list[float] = []  # completed moves, ascending
    level, rate = 1 - COVERAGE, LEARNING_RATE / math.sqrt(horizon)
    for now in range(len(log_close)):
        start = now - horizon
        if start >= BURN_IN:
            level += rate * (1 - COVERAGE - (moves[start] > issued[start]))
            level = min(max(level, LEAST_LEVEL), MOST_LEVEL)
            insort(past, float(moves[start]))
        gaussian = NormalDist().inv_cdf(1 - level / 2)
        issued[now] = conformal_multiplier(past, 1 - level, len(past) / horizon, gaussian, GAUSSIAN_MOVES)
    return issued


def half_widths(log_close: FloatArray, horizon: int) -> FloatArray:
    """Return (n,) the half-width of the interval in log price, `horizon` steps ahead of every close."""
    volatility = Volatility.of(log_close)
    return multipliers(log_close, volatility, horizon) * np.sqrt(volatility.variance(horizon))


def half_widths_ahead(log_close: FloatArray, move: float, elapsed: float, horizons: Sequence[int]) -> FloatArray:
    """Return the half-widths at the coming closes, never decreasing, from an instant after the last of n log closes.

    Since that close, log price has changed by `move`, and `elapsed` of a step has passed, in [0, 1). `horizons` are
    ascending, in steps after that close.
    """
    volatility = Volatility.of(log_close)
    knots = [knot for knot in KNOTS if knot < len(log_close)]
    known = [multipliers(log_close, volatility, knot)[-1] for knot in knots]
    latest = volatility.latest(move, elapsed)
    deviations = np.sqrt([latest.variance(horizon - elapsed)[0] for horizon in horizons])
    return np.asarray(np.maximum.accumulate(at_horizons(known, knots, horizons) * deviations))


def conformal_multiplier(
    past: Sequence[float], inside: float, independent: float, prior: float, weight: float
) -> float:
    """Return the conformal quantile of `past` scores, in standard deviations and ascending: `inside` is its share.

    While few of the scores are `independent` (do not overlap), it is shrunk towards `prior`, the multiplier without any
    score, which weighs as much as `weight` of these.
    """
    if not past:
        return prior
    rank = min(math.ceil((len(past) + 1) * inside), len(past))
    return (independent * past[rank - 1] + weight * prior) / (independent + weight)
