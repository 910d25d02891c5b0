"""Prophet as a candidate: the curve of the whole history, fitted once a week and updated with every close."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crypto_predict.forecasting.candidates.candidate import Candidate, Forecast, Week
from crypto_predict.forecasting.candidates.prophet_map import ProphetMap, fit_map
from crypto_predict.history.columns import IntArray

PROPHET = "prophet"
LEAST_CANDLES = 30  # for a fit of the curve


class Prophet(Candidate):
    """The increments of Prophet's curve, wherever the newest price is."""

    name = PROPHET

    def forecast(self, week: Week, estimate: Sequence[float], horizons: IntArray) -> Forecast:  # noqa: ARG002 keeps none
        """Forecast as the port says; NaN if a gap left too few candles, or if parameters are not identifiable."""
        increments, curve = np.full((2, len(week.steps), len(horizons)), np.nan)
        noise = np.full(len(week.steps), np.nan)
        fits = _fits(week)
        if np.isfinite([fit.parameters for fit in fits]).all():
            for row, (fit, step) in enumerate(zip(fits, week.steps, strict=False)):
                levels = fit.at(week.past.days[-1] + step + np.array([0, *horizons]))
                increments[row], curve[row], noise[row] = levels[1:] - levels[0], levels[1:], fit.noise * fit.scale
        return Forecast(increments, curve, noise)


def _fits(week: Week) -> list[ProphetMap]:
    """Return the curve at each cutoff: fitted at the estimation, and updated with the candles since then."""
    past, later = week.past, week.later
    if np.count_nonzero(past.known) < LEAST_CANDLES:
        return []
    fit = fit_map(past.days[past.known], past.log_close[past.known])
    candles = [np.flatnonzero(later.known[:step]) for step in week.steps]
    return [fit.update(later.days[rows], later.log_close[rows]) for rows in candles]
