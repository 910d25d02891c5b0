"""The candidates: models that forecast the change of log price from the last daily close.

Prophet sees the whole history. Those of statsmodels see the last year only, since a market that moved differently
before does not help with the next weeks. Persistence ("tomorrow equals today") is the forecast of zero change.

Prophet's curve at its own level is returned beside its changes, since the fit takes most of the time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.tools.sm_exceptions import ModelWarning
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel

from crypto_predict.forecasting.candidates.prophet_map import ProphetMap, fit_map
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray

PROPHET = "prophet"
WINDOW = 365  # days that the candidates of statsmodels see
LEAST_CANDLES = 30  # for a fit of Prophet's curve
LAGS = 7  # of the autoregression: a week

Candidate = Callable[[FloatArray, int], FloatArray]  # log closes (n,) and steps ahead h to log prices (h,)


@dataclass(frozen=True)
class Answers:
    """The forecasts at one cutoff."""

    increments: FloatArray  # (candidates, horizons) of log price since the last close
    curve: FloatArray  # (k,) log price of Prophet's curve itself; NaN if it could not be fitted
    noise: float  # standard deviation of the closes around that curve, in log price


def _theta(log_close: FloatArray, ahead: int) -> FloatArray:
    """Assimakopoulos and Nikolopoulos, International Journal of Forecasting 16, 2000."""
    return np.asarray(ThetaModel(log_close, period=1, deseasonalize=False).fit().forecast(ahead))


def _damped_trend(log_close: FloatArray, ahead: int) -> FloatArray:
    """ETS(A,Ad,N), exponential smoothing with a damped trend (Gardner and McKenzie, Management Science 31, 1985)."""
    fit = ETSModel(log_close, trend="add", damped_trend=True).fit(disp=False)
    damping = np.cumsum(fit.damping_trend ** np.arange(1, ahead + 1))
    return np.asarray(fit.level[-1] + fit.slope[-1] * damping)


def _local_level(log_close: FloatArray, ahead: int) -> FloatArray:
    """ETS(A,N,N), which is the local level model and ARIMA(0,1,1): the last close may have overshot the level."""
    return np.full(ahead, ETSModel(log_close).fit(disp=False).level[-1])


def _autoregression(log_close: FloatArray, ahead: int) -> FloatArray:
    """ARIMA(7,1,0) with a drift: an autoregression of daily returns on those of the last week."""
    return np.asarray(log_close[-1] + np.cumsum(AutoReg(np.diff(log_close), LAGS).fit().forecast(ahead)))


_OF_STATSMODELS: dict[str, Candidate] = {
    "theta": _theta,
    "damped trend": _damped_trend,
    "local level": _local_level,
    "autoregression": _autoregression,
}

CANDIDATES = (PROPHET, *_OF_STATSMODELS)


def ask_all(series: DailySeries, horizons: Sequence[int], alone: Sequence[int] = ()) -> Answers:
    """Return the forecasts of all candidates, from the history up to the cutoff (at least 30 days).

    One that fails forecasts persistence: increments of zero. `horizons` are the days ahead of the increments, and
    `alone` those of Prophet's curve itself.
    """
    # Relative to the last close, forecasts are increments. It also keeps a flat market from being constant yet not
    # zero, for which statsmodels' Theta takes the level as slope.
    year = series.log_close[-WINDOW:] - series.log_close[-1]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Optimisers warn on flat or short histories; those forecasts are scored like any other.
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        fit = _fit_prophet(series)
        others = [_increments(candidate, year, horizons) for candidate in _OF_STATSMODELS.values()]
    if fit is None:
        return Answers(np.array([np.zeros(len(horizons)), *others]), np.full(len(alone), np.nan), np.nan)
    curve = fit.at(series.days[-1] + np.array([0, *horizons, *alone]))
    increments, itself = curve[1 : len(horizons) + 1] - curve[0], curve[len(horizons) + 1 :]
    return Answers(np.array([increments, *others]), itself, fit.noise * fit.scale)


def _fit_prophet(series: DailySeries) -> ProphetMap | None:
    """Return None if a long gap left too few candles, or if the parameters are not identifiable."""
    if np.count_nonzero(series.known) < LEAST_CANDLES:
        return None
    try:
        curve = fit_map(series.days[series.known], series.log_close[series.known])
    except np.linalg.LinAlgError:
        return None
    return curve if np.isfinite([*curve.line, *curve.deltas, *curve.coefficients]).all() else None


def _increments(candidate: Candidate, year: FloatArray, horizons: Sequence[int]) -> FloatArray:
    try:
        increments = candidate(year, max(horizons))[np.array(horizons) - 1]
    except np.linalg.LinAlgError:  # a history of a few exact repetitions does not identify the parameters
        return np.zeros(len(horizons))
    return increments if np.isfinite(increments).all() else np.zeros(len(horizons))
