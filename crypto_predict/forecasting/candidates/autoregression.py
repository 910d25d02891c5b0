"""ARIMA(7,1,0) with a drift: an autoregression of daily returns on those of the last week, estimated from a year."""

import numpy as np
from scipy.linalg import hankel
from scipy.signal import lfilter

from crypto_predict.forecasting.candidates.candidate import Forecast, last_year
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

LAGS = 7  # a week


def fit(log_close: FloatArray) -> FloatArray:
    """Return (1 + LAGS,) constant and coefficients, those of yesterday first, by least squares from n log closes.

    Where closes do not identify them, they are the smallest ones: zeros in a market that does not move.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.diff(log_close), LAGS + 1)[:, ::-1]  # newest first
    features = np.column_stack([np.ones(len(windows)), windows[:, 1:]])
    return np.asarray(np.linalg.lstsq(features, windows[:, 0])[0])


def increments(coefficients: FloatArray, returns: FloatArray, horizons: IntArray) -> FloatArray:
    """Return (m, h) the changes of log price over `horizons` (h,) days.

    `returns` (m, LAGS) are those of the days before, newest first.
    """
    constant, shares = coefficients[0], coefficients[1:]
    # What the past adds to the next LAGS returns: the initial state of the recursion as a filter.
    past = returns @ hankel(shares)
    steps = np.full((len(returns), int(horizons.max())), constant)
    ahead, _ = lfilter([1.0], [1.0, *-shares], steps, zi=past)
    return np.asarray(np.cumsum(ahead, axis=1)[:, horizons - 1])


def forecast(past: DailySeries, later: DailySeries, steps: IntArray, horizons: IntArray) -> Forecast:
    """Forecast as `candidate` says."""
    window, since = last_year(past, later)
    returns = np.diff(np.concatenate([window, since]))[::-1]
    latest = np.array([returns[len(since) - step :][:LAGS] for step in steps])
    return Forecast(increments(fit(window), latest, horizons))
