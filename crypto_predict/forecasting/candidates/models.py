"""The candidates: models that forecast the change of log price from the last daily close.

Prophet sees the whole history. The others see the last year only, since a market that moved differently before does not
help with the next weeks. Persistence ("tomorrow equals today") is the forecast of zero change.

Parameters are estimated once a week, on Sundays. Until the next estimation the parameters stay what they are: smoothing
and the autoregression go on with every further close, and Prophet's curve is held. The day of the week is fixed, so
that the same closes give the same estimates whenever a history starts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.tools.sm_exceptions import ModelWarning
from threadpoolctl import threadpool_limits

from crypto_predict.forecasting.candidates import autoregression
from crypto_predict.forecasting.candidates.estimates import NOTHING, Estimates, states
from crypto_predict.forecasting.candidates.prophet_map import ProphetMap, fit_map
from crypto_predict.forecasting.candidates.smoothing import Smoothing
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

PROPHET = "prophet"
CANDIDATES = (PROPHET, "theta", "damped trend", "local level", "autoregression")
WINDOW = 365  # days that an estimation sees, except for Prophet's
WEEK = 7  # days from one estimation to the next
LEAST_CANDLES = 30  # for a fit of Prophet's curve

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Answers:
    """The forecasts at the m cutoffs of a history."""

    increments: FloatArray  # (m, candidates, horizons) of log price since the close of the cutoff
    curve: FloatArray  # (m, k) log price of Prophet's curve itself; NaN if it could not be fitted
    noise: FloatArray  # (m,) standard deviation of the closes around that curve, in log price
    estimates: Estimates  # of smoothing, for the next training
    carried: int  # of these, those of an earlier training


def ask_all(  # noqa: PLR0913, PLR0917 the last two have defaults
    series: DailySeries,
    cutoffs: IntArray,
    horizons: Sequence[int],
    alone: Sequence[int],
    longest: int,
    progress: Progress = bool,
    earlier: Estimates = NOTHING,
) -> Answers:
    """Return the forecasts of all candidates at each cutoff, from nothing but the history up to it.

    `cutoffs` (m,) are ascending indices into the series, each with at least 30 days up to the estimation before it.
    `horizons` are the days ahead of the increments, and `alone` those of Prophet's curve itself. Prophet is fitted to
    at most `longest` days. A candidate that fails forecasts persistence: increments of zero. `progress` gets the number
    of cutoffs done. `earlier` are the estimates of an earlier training, which change nothing but the time it takes.
    """
    increments = np.zeros((len(cutoffs), len(CANDIDATES), len(horizons)))
    curve, noise = np.full((len(cutoffs), len(alone)), np.nan), np.full(len(cutoffs), np.nan)
    numbers = dict[bytes, bytes]()
    # The matrices are small: threads would only wait for one another. Optimisers warn on flat or short histories; those
    # forecasts are scored like any other.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        weeks = list(_weeks(series, cutoffs, longest))
        carried = earlier.checked([week.window for week in weeks])
        for week in weeks:
            digest, found = carried.find(week.window)
            numbers[digest] = found
            increments[week.rows, 1:] = _others(week, states(found), np.array(horizons))
            for row, latest in zip(week.rows, _prophet_curves(series, week, longest), strict=False):
                itself = latest.at(series.days[cutoffs[row]] + np.array([0, *horizons, *alone]))
                increments[row, 0] = itself[1 : len(horizons) + 1] - itself[0]
                curve[row], noise[row] = itself[len(horizons) + 1 :], latest.noise * latest.scale
            progress(len(week.rows))
    increments[~np.isfinite(increments).all(axis=2)] = 0.0
    return Answers(increments, curve, noise, Estimates(numbers), len(carried.by_digest))


@dataclass(frozen=True)
class _Week:
    """The cutoffs from one estimation to the next. Log prices are relative to the last close of the estimation."""

    origin: int  # index of the day of the estimation
    rows: IntArray  # (k,) places of the cutoffs
    window: FloatArray  # (n,) log closes that the estimation sees
    later: FloatArray  # (d,) those after it, up to the last cutoff
    steps: IntArray  # (k,) days from the estimation to each cutoff


def _weeks(series: DailySeries, cutoffs: IntArray, longest: int) -> Iterator[_Week]:
    """Yield the weeks of all cutoffs, ascending."""
    origins = np.maximum(cutoffs - series.days[cutoffs] % WEEK, 0)
    for origin in np.unique(origins).tolist():
        rows = np.flatnonzero(origins == origin)
        # Relative to the last close, forecasts are increments, and a flat market is zero.
        window = series.until(origin, min(WINDOW, longest)).log_close - series.log_close[origin]
        later = series.log_close[origin + 1 : cutoffs[rows[-1]] + 1] - series.log_close[origin]
        yield _Week(origin, rows, window, later, cutoffs[rows] - origin)


def _others(week: _Week, smoothing: Sequence[Smoothing], horizons: IntArray) -> FloatArray:
    """Return (k, candidates - 1, horizons) the increments of all candidates but Prophet."""
    closes = np.concatenate([week.window, week.later])
    found = np.empty((len(week.rows), len(smoothing) + 1, len(horizons)))
    for column, estimated in enumerate(smoothing):
        states_after = [estimated]
        for close in week.later.tolist():
            states_after.append(states_after[-1].update(close))
        for row, step in enumerate(week.steps):
            found[row, column] = states_after[step].forecast(horizons) - closes[len(week.window) - 1 + step]
    returns = np.diff(closes)[::-1]
    latest = np.array([returns[len(week.later) - step :][: autoregression.LAGS] for step in week.steps])
    found[:, -1] = autoregression.increments(autoregression.estimate(week.window), latest, horizons)
    return found


def _prophet_curves(series: DailySeries, week: _Week, longest: int) -> list[ProphetMap]:
    """Return Prophet's curve at each cutoff: fitted at the estimation, and updated with the candles since then.

    The list is empty if a long gap left too few candles, or if the parameters are not identifiable.
    """
    past = series.until(week.origin, longest)
    if np.count_nonzero(past.known) < LEAST_CANDLES:
        return []
    try:
        fit = fit_map(past.days[past.known], past.log_close[past.known])
        since = [series.until(week.origin + step, step) for step in week.steps.tolist()]
        curves = [fit.update(later.days[later.known], later.log_close[later.known]) for later in since]
    except np.linalg.LinAlgError:
        return []
    return curves if all(np.isfinite(one.parameters).all() for one in curves) else []
