"""The forecasts of all candidates at every cutoff, from parameters that are estimated once a week."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np
from statsmodels.tools.sm_exceptions import ModelWarning
from threadpoolctl import threadpool_limits

from crypto_predict.forecasting.candidates import CANDIDATES
from crypto_predict.forecasting.candidates.candidate import WEEK, Week
from crypto_predict.forecasting.candidates.prophet import PROPHET
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

Progress = Callable[[int], object]


def forecast_weekly(  # noqa: PLR0913, PLR0917 the last has a default
    series: DailySeries,
    cutoffs: IntArray,
    horizons: Sequence[int],
    alone: Sequence[int],
    longest: int,
    progress: Progress = bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the forecasts of all candidates at each cutoff, from nothing but the history up to it.

    These are the increments of log price since the close of the cutoff (m, candidates, horizons), the log price of
    Prophet's curve itself (m, k), and the standard deviation of the closes around it (m,). Where Prophet could not be
    fitted, its curve is NaN.

    `cutoffs` (m,) are ascending indices into the series, each with at least 30 days up to the estimation before it.
    `horizons` are the days ahead of the increments, and `alone` those of Prophet's curve itself. A fit sees at most
    `longest` days. A candidate that fails forecasts persistence: increments of zero. `progress` gets the number of
    cutoffs done.
    """
    increments = np.full((len(cutoffs), len(CANDIDATES), len(horizons)), np.nan)
    curve, noise = np.full((len(cutoffs), len(alone)), np.nan), np.full(len(cutoffs), np.nan)
    ahead = np.array([*horizons, *alone])
    # The matrices are small: threads would only wait for one another. Optimisers warn on flat or short histories; those
    # forecasts are scored like any other.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        for rows, week in _weeks(series, cutoffs, longest):
            for column, candidate in enumerate(CANDIDATES):
                # A history of a few exact repetitions does not identify the parameters.
                with suppress(np.linalg.LinAlgError):
                    forecast = candidate.forecast(week, ahead)
                    increments[rows, column] = forecast.increments[:, : len(horizons)]
                    if candidate is PROPHET and forecast.curve is not None and forecast.noise is not None:
                        curve[rows], noise[rows] = forecast.curve[:, len(horizons) :], forecast.noise
            progress(len(rows))
    increments[~np.isfinite(increments).all(axis=2)] = 0.0
    return increments, curve, noise


def _weeks(series: DailySeries, cutoffs: IntArray, longest: int) -> Iterator[tuple[IntArray, Week]]:
    """Yield the places of the cutoffs (k,) of each week, ascending, and the week."""
    origins = np.maximum(cutoffs - series.days[cutoffs] % WEEK, 0)
    for origin in np.unique(origins).tolist():
        rows = np.flatnonzero(origins == origin)
        steps = cutoffs[rows] - origin
        yield rows, Week(series.until(origin, longest), series.until(int(cutoffs[rows[-1]]), int(steps[-1])), steps)
