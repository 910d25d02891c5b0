"""The interval that means 80 %: how far log price may move from the newest price, calibrated on what it did.

The half-width over a horizon is the predicted standard deviation (`volatility`) times a multiplier. The multiplier is
the conformal quantile of past moves in units of what had been predicted for them (Lei et al., "Distribution-Free
Predictive Inference for Regression", Journal of the American Statistical Association 113, 2018), drawn towards the
Gaussian one while there are few moves that do not overlap; its level is corrected after every outcome, up when too many
fell outside and down when too few did, so that the coverage holds in the long run whatever the market does (Gibbs and
Candes, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021).

It is centred on the newest price, whatever the point forecast: what it promises does not depend on any candidate.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from crypto_predict.baked.schema import COVERAGE, KNOTS
from crypto_predict.forecasting.arrays import FloatArray, at_horizons
from crypto_predict.forecasting.distribution.volatility import Volatility

BURN_IN = 60  # days of history before the first move that counts
GAUSSIAN_MOVES = 60  # what the Gaussian multiplier weighs, in moves that do not overlap
LEARNING_RATE = 0.002  # of the level a day, for one day ahead; slower with the square root of the horizon
LEAST_LEVEL, MOST_LEVEL = 0.05, 0.5  # of the share outside: a corrected level stays an interval


GAUSSIAN = NormalDist().inv_cdf((1 + COVERAGE) / 2)  # half-width of the interval in standard deviations


def multipliers(log_close: FloatArray, volatility: Volatility, horizon: int) -> FloatArray:
    """(n,) the half-width in predicted standard deviations, at every close, from moves that had ended by then.

    Args:
        log_close: (n,) daily.
        volatility: Of the same closes.
        horizon: Whole days ahead.
    """
    deviation = np.sqrt(volatility.variance(horizon))
    moves = np.abs(log_close[horizon:] - log_close[:-horizon]) / deviation[:-horizon]  # (n - h,) known h days later
    issued = np.empty(len(log_close))
    past: list[float] = []  # moves that have ended, ascending
    level, rate = 1 - COVERAGE, LEARNING_RATE / math.sqrt(horizon)
    for today in range(len(log_close)):
        ended = today - horizon
        if ended >= BURN_IN:
            level += rate * (1 - COVERAGE - (moves[ended] > issued[ended]))
            level = min(max(level, LEAST_LEVEL), MOST_LEVEL)
            insort(past, float(moves[ended]))
        gaussian = NormalDist().inv_cdf(1 - level / 2)
        issued[today] = conformal_multiplier(past, 1 - level, len(past) / horizon, gaussian, GAUSSIAN_MOVES)
    return issued


def half_widths(log_close: FloatArray, horizon: int) -> FloatArray:
    """(n,) the half-width of the interval in log price, `horizon` days ahead of every close."""
    volatility = Volatility(log_close)
    return multipliers(log_close, volatility, horizon) * np.sqrt(volatility.variance(horizon))


def half_widths_ahead(log_close: FloatArray, move: float, elapsed: float, horizons: Sequence[int]) -> FloatArray:
    """The half-widths at the coming closes, never smaller further ahead, as seen from an instant after the last close.

    Args:
        log_close: (n,) daily, up to the last close.
        move: How far log price has moved since.
        elapsed: The part of a day since, 0 included, 1 not.
        horizons: The closes to reach, ascending, in days after the last one.
    """
    volatility = Volatility(log_close)
    knots = [knot for knot in KNOTS if knot < len(log_close)]
    known = [multipliers(log_close, volatility, knot)[-1] for knot in knots]
    between = at_horizons(known, knots, horizons)
    latest = volatility.latest(move, elapsed)
    deviations = np.sqrt([latest.variance(horizon - elapsed) for horizon in horizons])
    return np.asarray(np.maximum.accumulate(between * deviations))


def conformal_multiplier(
    past: Sequence[float], inside: float, independent: float, prior: float, weight: float
) -> float:
    """The conformal quantile of past scores, drawn towards a prior while there are few.

    Args:
        past: Scores in standard deviations, ascending.
        inside: The share of outcomes that is to lie inside.
        independent: How many of the past scores do not overlap.
        prior: The multiplier without any score.
        weight: What the prior counts for, in scores that do not overlap.
    """
    if not past:
        return prior
    rank = min(math.ceil((len(past) + 1) * inside), len(past))
    return (independent * past[rank - 1] + weight * prior) / (independent + weight)
