"""Invented minute forecasts, as the collector stores them."""

from datetime import datetime

from crypto_predict.market.collected import ForecastStep
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast, MinuteScores

_AHEAD = range(1, MINUTES_AHEAD + 1)
_QUANTILES = tuple(tuple(60_000.0 + (level - 0.5) * minutes for level in LEVELS) for minutes in _AHEAD)
_SCORES = tuple(MinuteScores(minutes, 1, 0.1, 0.1, 0.4, 0.5, 0.05, 0.06, 0, 1, 1) for minutes in _AHEAD)


def step(cutoff: datetime) -> ForecastStep:
    """Return a forecast made at a close, and the outcome of one of each horizon."""
    made = MinuteForecast(cutoff, 60_000.0, (60_000.0,) * MINUTES_AHEAD, _QUANTILES)
    return ForecastStep(made, cutoff, _SCORES)
