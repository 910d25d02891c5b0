"""``autoregression``: ARIMA(7,1,0) with a drift, of daily returns on those of the last week, estimated from a year."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.linalg import hankel
from scipy.signal import lfilter

from crypto_predict.history.columns import FloatArray, IntArray

LAGS = 7  # a week
REFIT_EVERY = 7  # days
WINDOW = 365  # closes: a market that moved differently before does not help with the next weeks


class Autoregression:
    """Points. Between two fits the coefficients stay, and the forecast goes on from the newest returns."""

    name, refit_every, updates, first_cutoff = "autoregression", REFIT_EVERY, True, None

    def fit(self, history: pd.DataFrame) -> None:
        """Estimate the coefficients from the last year."""
        self._coefficients = estimate(np.log(history["close"].to_numpy()[-WINDOW:]))
        self.update(history)

    def update(self, history: pd.DataFrame) -> None:
        """Take the newest returns."""
        self._close = float(history["close"].iloc[-1])
        self._returns = np.diff(np.log(history["close"].to_numpy()[-LAGS - 1 :]))[::-1]

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:  # noqa: ARG002 points have none
        """Return (horizons,) points."""
        return np.asarray(self._close * np.exp(increments(self._coefficients, self._returns, np.array(horizons))))


def estimate(log_close: FloatArray) -> FloatArray:
    """Return (1 + LAGS,) constant and coefficients, those of yesterday first, by least squares from n log closes.

    Where closes do not identify them, they are the smallest ones: zeros in a market that does not move.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.diff(log_close), LAGS + 1)[:, ::-1]  # newest first
    features = np.column_stack([np.ones(len(windows)), windows[:, 1:]])
    return np.asarray(np.linalg.lstsq(features, windows[:, 0])[0])


def increments(coefficients: FloatArray, returns: FloatArray, horizons: IntArray) -> FloatArray:
    """Return (h,) the changes of log price over `horizons` (h,) days, after `returns` (LAGS,), the newest first."""
    constant, shares = coefficients[0], coefficients[1:]
    # What the past adds to the next LAGS returns: the initial state of the recursion as a filter.
    past = returns @ hankel(shares)
    ahead, _ = lfilter([1.0], [1.0, *-shares], np.full(int(horizons.max()), constant), zi=past)
    return np.asarray(np.cumsum(ahead)[horizons - 1])
