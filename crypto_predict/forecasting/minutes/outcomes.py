"""The scores of minute forecasts whose outcome is known, beside those of persistence."""

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from crypto_predict.forecasting.distribution.losses import interval_score, quantile_loss
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import Candle
from crypto_predict.market.forecast import LEVELS, MinuteForecast, MinuteScores

DAY = 1_440  # minutes

_NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])  # (7,)
_LEVELS = np.array(LEVELS)
# The share of all levels that each one stands for: from halfway to the one before to halfway to the next.
_WEIGHTS = np.diff([0.0, *(_LEVELS[1:] + _LEVELS[:-1]) / 2, 1.0])
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
_CENTRAL = [(LEVELS.index(level), LEVELS.index(1 - level)) for level in (0.25, 0.1, 0.05)]


class DayVolatility:
    """The standard deviation of the moves of log price in one minute, over the last day.

    Over missing minutes the price did not move, and moved all at once after them.
    """

    def __init__(self) -> None:
        self._moves = np.zeros(DAY)  # by the minute since 1970, modulo a day
        self._first: int | None = None  # minutes since 1970, of the first candle
        self._minute = 0  # of the newest candle
        self._log_close = 0.0

    def add(self, candle: Candle) -> None:
        """Take in the next candle, in time order."""
        minute, log_close = int(candle.open_time.timestamp()) // 60, math.log(candle.close)
        if self._first is None:
            self._first = minute
        else:
            for missing in range(max(self._minute + 1, minute - DAY), minute):
                self._moves[missing % DAY] = 0.0
            self._moves[minute % DAY] = log_close - self._log_close
        self._minute, self._log_close = minute, log_close

    def volatility(self) -> float:
        """Return it as of the newest candle; 0 before there are two moves."""
        moves = 0 if self._first is None else min(self._minute - self._first, DAY)
        if moves < 2:
            return 0.0
        return float(self._moves[np.arange(self._minute - moves + 1, self._minute + 1) % DAY].std(ddof=1))


def is_usable(forecast: MinuteForecast) -> bool:
    """Return whether all prices of a forecast are positive numbers."""
    prices = np.array([[point, *row] for point, row in zip(forecast.points, forecast.quantiles, strict=True)])
    return bool(np.all(np.isfinite(prices) & (prices > 0)))


def scores_of(due: Mapping[int, tuple[MinuteForecast, float]], close: float) -> tuple[MinuteScores, ...]:
    """Return the scores of forecasts whose outcome is `close`, by horizon, ascending.

    `due` has by horizon in minutes the forecast and the volatility of a minute at its cutoff, for persistence:
    a Gaussian around the price at the cutoff, whose standard deviation grows with the root of the horizon.
    """
    horizons = sorted(due)
    if not horizons:
        return ()
    prices = np.array([due[horizon][0].price for horizon in horizons])
    points = np.log([due[horizon][0].points[horizon - 1] for horizon in horizons] / prices)  # (k,)
    quantiles = np.log([due[horizon][0].quantiles[horizon - 1] for horizon in horizons] / prices[:, None])  # (k, 7)
    sigmas = np.array([due[horizon][1] for horizon in horizons]) * np.sqrt(horizons)
    gaussian = sigmas[:, None] * _NORMAL
    moves = np.log(close / prices)  # (k,)
    inside = [(quantiles[:, low] <= moves) & (moves <= quantiles[:, high]) for low, high in _CENTRAL]
    losses = zip(
        np.abs(moves - points).tolist(),
        np.abs(moves).tolist(),
        interval_score(moves, quantiles[:, _LOW], quantiles[:, _HIGH], 0.8).tolist(),
        interval_score(moves, gaussian[:, _LOW], gaussian[:, _HIGH], 0.8).tolist(),
        _crps(moves, quantiles).tolist(),
        _crps(moves, gaussian).tolist(),
        strict=True,
    )
    counts = zip(*(hits.astype(int).tolist() for hits in inside), strict=True)
    return tuple(
        MinuteScores(horizon, 1, *losses_of, *counts_of)
        for horizon, losses_of, counts_of in zip(horizons, losses, counts, strict=True)
    )


def _crps(moves: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return the continuous ranked probability score, (k,): twice the pinball loss, averaged over the levels.

    Laio and Tamea, "Verification tools for probabilistic forecasts of continuous hydrological variables", Hydrology
    and Earth System Sciences 11, 2007. Each of the levels stands for those near it.
    """
    return np.asarray(2 * quantile_loss(moves[:, None], quantiles, _LEVELS) @ _WEIGHTS)
