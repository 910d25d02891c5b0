"""The scores of minute forecasts whose outcome is known, beside those of persistence."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from crypto_predict.forecasting.distribution.quantiles import interval_score, quantile_loss
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS, MinuteForecast, MinuteScores

_NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])  # (7,)
_LEVELS = np.array(LEVELS)
# The share of all levels that each one stands for: from halfway to the one before to halfway to the next.
_WEIGHTS = np.diff([0.0, *(_LEVELS[1:] + _LEVELS[:-1]) / 2, 1.0])
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
_CENTRAL = [(LEVELS.index(level), LEVELS.index(1 - level)) for level in (0.25, 0.1, 0.05)]


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
