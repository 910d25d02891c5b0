"""How much log price moves: the variance of its change over the days ahead, from daily returns.

Two horizons of memory. The short one is an exponentially weighted mean of squared returns (RiskMetrics, "Technical
Document", 4th edition, 1996, section 5.2), in which no single day counts for more than a move of three standard
deviations: one shock is news, and a regime only once the next days repeat it (Muler and Yohai, "Robust estimates for
GARCH models", Journal of Statistical Planning and Inference 138, 2008). The long one is the mean over one and over
three years. What the short one says of days further ahead fades towards the long one, as in a GARCH(1,1) process
(Bollerslev, "Generalized autoregressive conditional heteroskedasticity", Journal of Econometrics 31, 1986).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.signal import lfilter

from crypto_predict.forecasting.arrays import FloatArray, rolling_median

DECAY = 0.94  # a day, of the short memory: RiskMetrics' constant
PERSISTENCE = 0.7  # a day, of the short memory's lead over the long one
SHOCK = 3.0  # standard deviations
REGIME_DAYS = 7  # a shock that most days of a week repeat is a regime
LONG_WINDOWS = (365, 1095)  # days
LEAST_DAYS = 30  # over which the long memory starts
_SHOCK_DECAY = 0.97  # a day, of the variance by which a shock is told: slow, so that it does not follow the shock
_MEDIAN_SQUARE = NormalDist().inv_cdf(0.75) ** 2  # of a standard Gaussian: what makes a median a variance
_FLOOR = 1e-12  # of a day's variance: a market without any move has no scale to measure surprises by


class Volatility:
    """The state at the close of every day of a history."""

    def __init__(self, log_close: FloatArray) -> None:
        """From n >= 2 daily log closes."""
        squares = np.diff(log_close, prepend=log_close[0]) ** 2
        squares[0] = squares[1 : LEAST_DAYS + 1].mean()  # the day before the first is not known
        start = max(float(squares[:LEAST_DAYS].mean()), _FLOOR)
        self._short = _smoothed(_tamed(squares, start), DECAY, start)  # (n,)
        self._long = np.mean([_rolling_mean(squares, window) for window in LONG_WINDOWS], axis=0)  # (n,)

    def variance(self, horizon: float) -> FloatArray:
        """(n,) the variance of the change of log price over the `horizon` days after each close."""
        blended = self._long + _lead(horizon) * (self._short - self._long)
        return np.asarray(horizon * np.maximum(blended, _FLOOR))

    def latest(self, move: float, elapsed: float) -> LatestVolatility:
        """The state at an instant after the last close, when log price has moved by `move` in `elapsed` of a day."""
        short = float(self._short[-1])
        surprise = min(move**2, SHOCK**2 * short) - elapsed * short
        return LatestVolatility(max(short + (1 - DECAY) * surprise, _FLOOR), float(self._long[-1]))


@dataclass(frozen=True, slots=True)
class LatestVolatility:
    """The state at one instant."""

    short: float  # variance a day
    long: float

    def variance(self, horizon: float) -> float:
        """The variance of the change of log price over the next `horizon` days, parts of a day included."""
        return horizon * max(self.long + _lead(horizon) * (self.short - self.long), _FLOOR)


def _lead(horizon: float) -> float:
    """The mean share of the short memory's lead over the long one that is left during the days ahead."""
    days = max(horizon, 1.0)
    return (1 - math.pow(PERSISTENCE, days)) / (days * (1 - PERSISTENCE))


def _tamed(squares: FloatArray, start: float) -> FloatArray:
    """Squared returns, none of which exceeds the square of `SHOCK` standard deviations.

    Those of the time before it, or of the last days where most of these were wild: then it is a regime.
    """
    typical = np.zeros_like(squares)  # before there are as many days, only the time before tells
    typical[REGIME_DAYS - 1 :] = rolling_median(squares, REGIME_DAYS) / _MEDIAN_SQUARE
    tamed, variance = np.empty_like(squares), start
    for index, square in enumerate(squares):
        tamed[index] = min(square, SHOCK**2 * max(variance, typical[index]))
        variance = max(_SHOCK_DECAY * variance + (1 - _SHOCK_DECAY) * tamed[index], _FLOOR)
    return tamed


def _smoothed(values: FloatArray, decay: float, start: float) -> FloatArray:
    """The exponentially weighted mean at every point of time."""
    return np.asarray(lfilter([1 - decay], [1, -decay], values, zi=[decay * start])[0])


def _rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """The mean over the last `window` values, or over all there are; never over fewer than `LEAST_DAYS`."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.maximum(np.arange(1, len(values) + 1), min(LEAST_DAYS, len(values)))
    starts = np.maximum(ends - window, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))
