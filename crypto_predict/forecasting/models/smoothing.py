"""Exponential smoothing: ``local-level``, ``damped-trend``, and ``theta``.

Each has parameters, which are estimated from the last year of closes, and a state, which every further close updates.
Estimation takes milliseconds and an update microseconds. So parameters are estimated once a week, and only the state is
updated in between.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.signal import lfilter
from statsmodels.tools.sm_exceptions import ModelWarning
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from crypto_predict.history.columns import FloatArray, IntArray

REFIT_EVERY = 7  # days
WINDOW = 365  # closes: a market that moved differently before does not help with the next weeks

_LEAST_SHARE = 1e-4  # of an error that enters the level, as in statsmodels; the most is 1 - 1e-4


class DampedTrend(NamedTuple):
    """ETS(A,Ad,N), exponential smoothing with a damped trend (Gardner and McKenzie, Management Science 31, 1985).

    Without a slope it is ETS(A,N,N), the local level model or ARIMA(0,1,1): the last close may have overshot it.
    """

    alpha: float  # the share of an error that enters the level
    beta: float  # the share of an error that enters the slope
    damping: float  # the share of the slope that is left a day later
    level: float  # log price
    slope: float  # per day

    @classmethod
    def estimate(cls, log_close: FloatArray) -> Self:
        """Estimate by maximum likelihood from n log closes."""
        fit = ETSModel(log_close, trend="add", damped_trend=True).fit(disp=False)
        return cls(*map(float, (fit.alpha, fit.beta, fit.damping_trend, fit.level[-1], fit.slope[-1])))

    def update(self, log_close: float) -> Self:
        """Return the state after one more log close."""
        slope = self.damping * self.slope
        error = log_close - self.level - slope
        return self._replace(level=self.level + slope + self.alpha * error, slope=slope + self.beta * error)

    def forecast(self, horizons: IntArray) -> FloatArray:
        """Return (h,) the log price `horizons` (h,) days ahead."""
        damping = np.cumsum(self.damping ** np.arange(1, horizons.max() + 1))
        return np.asarray(self.level + self.slope * damping[horizons - 1])


class Theta(NamedTuple):
    """Simple exponential smoothing with half of the drift, International Journal of Forecasting 16, 2000, and 19, 2003.

    Assimakopoulos and Nikolopoulos found it ("The Theta Model"), Hyndman and Billah gave it this form.
    """

    alpha: float  # the share of an error that enters the level
    level: float  # log price
    drift: float  # per day, of a straight line through all closes
    lag: float  # days by which the level trails a straight line, plus 1

    @classmethod
    def estimate(cls, log_close: FloatArray) -> Self:
        """Estimate by least squares from n log closes, where smoothing starts at the first one."""
        steps = np.diff(log_close, prepend=log_close[0])  # (n,)

        def squares(alpha: float) -> float:
            errors = lfilter([1.0], [1.0, alpha - 1.0], steps)  # (n,) one step ahead
            return float(errors @ errors)

        alpha = float(minimize_scalar(squares, bounds=(_LEAST_SHARE, 1 - _LEAST_SHARE), method="bounded").x)
        days = np.arange(len(log_close)) - (len(log_close) - 1) / 2
        last_error = float(lfilter([1.0], [1.0, alpha - 1.0], steps)[-1])
        return cls(
            alpha,
            level=float(log_close[-1]) - (1 - alpha) * last_error,
            drift=float(days @ log_close / (days @ days)),
            lag=(1 - (1 - alpha) ** len(log_close)) / alpha,
        )

    def update(self, log_close: float) -> Self:
        """Return the state after one more log close."""
        level = self.level + self.alpha * (log_close - self.level)
        return self._replace(level=level, lag=1 + (1 - self.alpha) * self.lag)

    def forecast(self, horizons: IntArray) -> FloatArray:
        """Return (h,) the log price `horizons` (h,) days ahead."""
        return np.asarray(self.level + self.drift / 2 * (horizons - 1 + self.lag))


def estimate_level(log_close: FloatArray) -> DampedTrend:
    """Estimate ETS(A,N,N) by maximum likelihood from n log closes."""
    fit = ETSModel(log_close).fit(disp=False)
    return DampedTrend(float(fit.alpha), 0.0, 0.0, float(fit.level[-1]), 0.0)


class Smoothing:
    """Points of one of `ESTIMATES`. Between two fits every further close updates the state."""

    refit_every, updates, first_cutoff = REFIT_EVERY, True, None

    def __init__(self, name: str) -> None:
        self.name, self._estimate = name, ESTIMATES[name]

    def fit(self, history: pd.DataFrame) -> None:
        """Estimate the parameters from the last year. Log prices are relative to its last close from then on."""
        log_close = np.log(history["close"].to_numpy()[-WINDOW:])
        self._start, self._days = float(log_close[-1]), len(history)
        # An optimiser warns on flat and on short histories, whose forecasts are scored like any other.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", ModelWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            state = self._estimate(log_close - self._start)
        # An optimiser is not exact beyond the seven digits of single precision.
        self._state = type(state)(*np.array(state, np.float32).tolist())

    def update(self, history: pd.DataFrame) -> None:
        """Take the closes since the last call."""
        for close in np.log(history["close"].to_numpy()[self._days :]).tolist():
            self._state = self._state.update(close - self._start)
        self._days = len(history)

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:  # noqa: ARG002 points have none
        """Return (horizons,) points."""
        return np.asarray(np.exp(self._start + self._state.forecast(np.array(horizons))))


ESTIMATES: dict[str, Callable[[FloatArray], DampedTrend | Theta]] = {  # by the names of models
    "theta": Theta.estimate,
    "damped-trend": DampedTrend.estimate,
    "local-level": estimate_level,
}
