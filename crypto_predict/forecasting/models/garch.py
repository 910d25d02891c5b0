"""``garch``: GARCH(1,1) of daily returns without a mean, with innovations from Student's t.

Bollerslev, "Generalized autoregressive conditional heteroskedasticity", Journal of Econometrics 31, 1986, and "A
conditionally heteroskedastic time series model for speculative prices and rates of return", Review of Economics and
Statistics 69, 1987. The package `arch` fits it. Between two fits the variance follows the returns by its recursion.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from crypto_predict.history.columns import FloatArray
from crypto_predict.prerequisites import without

with without("matplotlib"):  # see `prophet_fit`
    from arch.univariate import GARCH, StudentsT, ZeroMean
    from arch.utility.exceptions import StartingValueWarning

REFIT_EVERY = 28  # days
_SCALE = 100.0  # of the returns: the optimiser expects variances near 1
_INSIDE = np.array([1.0, 0.999, 0.999, 1.0])  # factors of parameters: `arch` accepts no start with a persistence of 1


# The optimiser gets each limit of a parameter as a bound already. Their constraints would take a third of its time.
class _Variance(GARCH):
    def constraints(self) -> tuple[FloatArray, FloatArray]:
        coefficients, limits = super().constraints()
        return coefficients[-1:], limits[-1:]  # alpha + beta <= 1


class _Innovations(StudentsT):
    def constraints(self) -> tuple[FloatArray, FloatArray]:
        return np.empty((0, 1)), np.empty(0)


class Garch:
    """The variance over several days is the sum of those that the recursion expects."""

    name, refit_every, updates, first_cutoff = "garch", REFIT_EVERY, True, None
    _start: FloatArray | None = None  # the parameters of the last fit, from which the next takes two thirds of the time

    def fit(self, history: pd.DataFrame) -> None:
        """Fit the parameters to all returns."""
        returns = _returns(history)
        model = ZeroMean(returns, volatility=_Variance(), distribution=_Innovations(), rescale=False)
        with np.errstate(all="ignore"), warnings.catch_warnings():  # of a market that never moves
            warnings.simplefilter("ignore", StartingValueWarning)
            fitted = model.fit(disp="off", show_warning=False, starting_values=self._start)
        self._omega, self._alpha, self._beta, self._freedom = fitted.params.tolist()
        self._start = fitted.params.to_numpy() * _INSIDE
        self._variance = fitted.conditional_volatility[-1] ** 2  # of the last return
        self._follow(returns[-1:])
        self._days = len(history)
        self._close = float(history["close"].iloc[-1])

    def update(self, history: pd.DataFrame) -> None:
        """Follow the returns since the last call."""
        self._follow(_returns(history.iloc[self._days - 1 :]))
        self._days, self._close = len(history), float(history["close"].iloc[-1])

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Return (horizons, levels) quantiles."""
        persistence = self._alpha + self._beta
        days = np.arange(max(horizons), dtype=np.float64)
        ahead = self._variance * persistence**days + self._omega * _sums(persistence, days)
        deviations = np.sqrt(np.cumsum(ahead)[np.array(horizons) - 1]) / _SCALE
        unit = np.sqrt((self._freedom - 2) / self._freedom) * stdtrit(self._freedom, levels)
        return np.asarray(self._close * np.exp(deviations[:, None] * unit))

    def _follow(self, returns: FloatArray) -> None:
        """Let `_variance`, which is that of the first of these returns, become that of the return after them."""
        for move in returns.tolist():
            self._variance = self._omega + self._alpha * move**2 + self._beta * self._variance


def _returns(history: pd.DataFrame) -> FloatArray:
    return np.asarray(_SCALE * np.diff(np.log(history["close"].to_numpy())))


def _sums(persistence: float, days: FloatArray) -> FloatArray:
    """Return (n,) the sums of the first `days` powers of `persistence`."""
    return days if persistence == 1 else (1 - persistence**days) / (1 - persistence)
