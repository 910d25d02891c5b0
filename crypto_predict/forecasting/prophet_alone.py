"""What Prophet alone forecasts, and an interval for it that means 80 % out of sample.

Its forecast is its fitted curve: trend and seasonalities, wherever they stand beside the market. The curve errs by what
the closes scatter around it, by how the market moves until the target, and by a trend that does not go on. The
half-width of the interval is the deviation that the first two explain, the root of the residual variance and the
predicted variance of the move (`volatility`), times a multiplier: the conformal quantile of past absolute errors in
units of that deviation, as in `interval`. Where few errors that do not overlap have come due, the multiplier is drawn
towards that of the next shorter horizon, which has more of them, and that of the shortest towards the Gaussian one.

The interval reaches as far above the curve as below it, in log price, and so always holds the prediction. Prophet may
be biased, which widens both sides.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crypto_predict.baked.schema import COVERAGE, KNOTS, Band
from crypto_predict.forecasting.arrays import FloatArray, IntArray, spacing
from crypto_predict.forecasting.candidates import Answers
from crypto_predict.forecasting.interval import GAUSSIAN, conformal_multiplier
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.forecasting.volatility import Volatility

PRIOR_ERRORS = 4  # what the prior weighs, in errors that do not overlap: of fewer, none is the conformal 80 % quantile


@dataclass(frozen=True)
class ProphetReplay:
    """What Prophet alone would have forecast at every cutoff of a backtest; NaN where too little was left to fit."""

    horizons: tuple[int, ...]  # days ahead, ascending, `KNOTS` among them
    curve: FloatArray  # (m, horizons) log price
    errors: FloatArray  # (m, horizons) actual minus forecast log price; NaN where the outcome is not known
    reaches: FloatArray  # (m, horizons) half-widths of the interval in log price, from errors due at the cutoff

    def at(self, horizon: int) -> tuple[FloatArray, FloatArray]:
        """Forecasts and half-widths at one of the horizons, (m,) each."""
        column = self.horizons.index(horizon)
        return self.curve[:, column], self.reaches[:, column]

    def bands(self) -> tuple[Band, ...]:
        """The interval at the last cutoff, `KNOTS` days ahead; nothing where no error is known to calibrate it by."""
        reaches = [float(self.at(knot)[1][-1]) for knot in KNOTS]
        if not np.isfinite(self.errors).any() or not np.isfinite(reaches).all():
            return ()
        return tuple(Band(-reach, reach) for reach in reaches)


def replay_prophet(
    series: DailySeries, cutoffs: IntArray, horizons: Sequence[int], answers: Sequence[Answers]
) -> ProphetReplay:
    """Calibrate the interval at every cutoff on the errors that were known by then.

    Args:
        series: The whole history.
        cutoffs: (m,) indices into the series, ascending.
        horizons: Days ahead, ascending, `KNOTS` among them.
        answers: (m,) what was forecast at each cutoff; Prophet's curve at these horizons.
    """
    curve = np.array([one.curve for one in answers])  # (m, horizons)
    noise = np.array([one.noise for one in answers])  # (m,)
    increments = np.array([series.increments(cutoffs, horizon) for horizon in horizons]).T  # (m, horizons)
    errors = series.log_close[cutoffs, None] + increments - curve
    volatility = Volatility(series.log_close)
    at_knots = np.empty((len(cutoffs), len(KNOTS)))
    multipliers = np.full(len(cutoffs), GAUSSIAN)
    for column, knot in enumerate(KNOTS):
        deviation = np.sqrt(noise**2 + volatility.variance(knot)[cutoffs])
        scores = np.abs(errors[:, horizons.index(knot)]) / deviation
        multipliers = _multipliers(scores, cutoffs, knot, multipliers)
        at_knots[:, column] = multipliers * deviation
    at_knots = np.maximum.accumulate(at_knots, axis=1)  # never smaller further ahead
    reaches = np.array([_at_horizon(at_knots, horizon) for horizon in horizons]).T
    return ProphetReplay(tuple(horizons), curve, errors, reaches)


def _multipliers(scores: FloatArray, cutoffs: IntArray, horizon: int, prior: FloatArray) -> FloatArray:
    """(m,) the half-width in deviations at every cutoff, from the scores that had come due by then.

    Args:
        scores: (m,) absolute errors in deviations; NaN where not known, ever.
        cutoffs: (m,) days, ascending.
        horizon: Days ahead.
        prior: (m,) the multiplier to start from.
    """
    issued, past, due = np.empty(len(cutoffs)), list[float](), 0
    share = min(1.0, spacing(cutoffs) / horizon)  # of an error that does not overlap with the one before
    for index, cutoff in enumerate(cutoffs):
        while cutoffs[due] + horizon <= cutoff:
            if np.isfinite(scores[due]):
                insort(past, float(scores[due]))
            due += 1
        issued[index] = conformal_multiplier(past, COVERAGE, share * len(past), float(prior[index]), PRIOR_ERRORS)
    return issued


def _at_horizon(at_knots: FloatArray, horizon: int) -> FloatArray:
    """(m,) half-widths at a horizon, of those (m, knots) at `KNOTS`: linear in the square, as what is baked is read."""
    after = bisect_left(KNOTS, horizon)
    if KNOTS[after] == horizon:
        return at_knots[:, after]
    share = (horizon - KNOTS[after - 1]) / (KNOTS[after] - KNOTS[after - 1])
    return np.asarray(np.sqrt((1 - share) * at_knots[:, after - 1] ** 2 + share * at_knots[:, after] ** 2))
