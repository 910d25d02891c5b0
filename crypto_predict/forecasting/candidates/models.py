"""The candidates: models that each say where log price goes from here.

Each takes the daily log closes up to a cutoff and gives the increments from the last of them, so that "tomorrow equals
today" is the candidate that says nothing. Prophet sees the whole history; those of statsmodels see the last year of it,
since a market that moved otherwise before tells them nothing of the next weeks. What Prophet's curve says by itself, at
its own level, is given beside the increments: its fit is what takes the time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.tools.sm_exceptions import ModelWarning
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel

from crypto_predict.forecasting.arrays import FloatArray
from crypto_predict.forecasting.candidates.prophet_map import ProphetMap, fit_map
from crypto_predict.forecasting.series import DailySeries

PROPHET = "prophet"
WINDOW = 365  # days that the candidates of statsmodels see
LEAST_CANDLES = 30  # that Prophet's curve is fitted to
LAGS = 7  # of the autoregression: a week

Candidate = Callable[[DailySeries, Sequence[int]], FloatArray]


@dataclass(frozen=True)
class Answers:
    """What was forecast at one cutoff."""

    increments: FloatArray  # (candidates, horizons) of log price since the last close
    curve: FloatArray  # (k,) log price, of Prophet's curve itself; NaN where it could not be fitted
    noise: float  # the standard deviation of the closes around that curve, in log price


def theta(series: DailySeries, horizons: Sequence[int]) -> FloatArray:
    """The Theta method (Assimakopoulos and Nikolopoulos, International Journal of Forecasting 16, 2000)."""
    return _chosen(ThetaModel(_year(series), period=1, deseasonalize=False).fit().forecast(max(horizons)), horizons)


def damped_trend(series: DailySeries, horizons: Sequence[int]) -> FloatArray:
    """ETS(A,Ad,N), exponential smoothing with a damped trend (Gardner and McKenzie, Management Science 31, 1985)."""
    fit = ETSModel(_year(series), trend="add", damped_trend=True).fit(disp=False)
    return _chosen(fit.forecast(max(horizons)), horizons)


def local_level(series: DailySeries, horizons: Sequence[int]) -> FloatArray:
    """ETS(A,N,N), which is the local level model and ARIMA(0,1,1): a level that the last close may have overshot."""
    return _chosen(ETSModel(_year(series)).fit(disp=False).forecast(max(horizons)), horizons)


def autoregression(series: DailySeries, horizons: Sequence[int]) -> FloatArray:
    """ARIMA(7,1,0) with a drift: an autoregression of daily returns on those of the last week."""
    returns = np.diff(_year(series))
    return _chosen(np.cumsum(AutoReg(returns, LAGS).fit().forecast(max(horizons))), horizons)


_OF_STATSMODELS: dict[str, Candidate] = {
    "theta": theta,
    "damped trend": damped_trend,
    "local level": local_level,
    "autoregression": autoregression,
}


CANDIDATES = (PROPHET, *_OF_STATSMODELS)


def ask_all(series: DailySeries, horizons: Sequence[int], alone: Sequence[int] = ()) -> Answers:
    """Return the forecasts of all candidates. One that fails forecasts persistence: increments of zero.

    Args:
        series: The history up to the cutoff, at least 30 days.
        horizons: Days ahead, of the increments.
        alone: Days ahead, of Prophet's curve itself.
    """
    with _quiet():
        increments, curve, noise = _ask_prophet(series, horizons, alone)
        others = [_answer(candidate, series, horizons) for candidate in _OF_STATSMODELS.values()]
    return Answers(np.array([increments, *others]), curve, noise)


def _ask_prophet(
    series: DailySeries, horizons: Sequence[int], alone: Sequence[int]
) -> tuple[FloatArray, FloatArray, float]:
    """The way Prophet's curve goes from the last close, where the curve itself is, and the noise around it."""
    curve = _fitted(series)
    if curve is None:
        return np.zeros(len(horizons)), np.full(len(alone), np.nan), np.nan
    ahead = curve.at(series.days[-1] + np.array([0, *horizons]))
    itself = curve.at(series.days[-1] + np.array(alone, dtype=np.int64))
    return np.asarray(ahead[1:] - ahead[0]), itself, curve.noise * curve.scale


def _fitted(series: DailySeries) -> ProphetMap | None:
    """Prophet's curve; None where a long gap left too little to fit it to, or its parameters cannot be told apart."""
    if np.count_nonzero(series.known) < LEAST_CANDLES:
        return None
    try:
        curve = fit_map(series.days[series.known], series.log_close[series.known])
    except np.linalg.LinAlgError:
        return None
    return curve if np.isfinite([*curve.line, *curve.deltas, *curve.coefficients]).all() else None


def _year(series: DailySeries) -> FloatArray:
    """The last year, counted from the last close: what is forecast of it are increments.

    It also keeps a flat market from being constant yet not zero, for which statsmodels' Theta takes the level as slope.
    """
    return np.asarray(series.log_close[-WINDOW:] - series.log_close[-1])


def _chosen(forecast: npt.ArrayLike, horizons: Sequence[int]) -> FloatArray:
    return np.asarray(np.asarray(forecast)[np.array(horizons) - 1])


def _answer(candidate: Candidate, series: DailySeries, horizons: Sequence[int]) -> FloatArray:
    try:
        increments = candidate(series, horizons)
    except np.linalg.LinAlgError:  # a history of a few exact repetitions does not tell its parameters apart
        return np.zeros(len(horizons))
    return increments if np.isfinite(increments).all() else np.zeros(len(horizons))


@contextmanager
def _quiet() -> Iterator[None]:
    """A flat or short history makes an optimiser complain; its answer is judged by how it does, like any other."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
