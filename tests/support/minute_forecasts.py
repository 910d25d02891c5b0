"""Own-made minute forecasts and scores, whose numbers follow from their minute. All are exact in binary."""

import math
from datetime import timedelta

from crypto_predict.market.collected import ForecastStep
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteForecast, MinuteScores
from tests.support.minutes import MINUTE, START

KEEP = timedelta(days=1)
SCORES = (0.25, 0.5, 2.0, 4.0, 0.125, 0.0625)  # error, persistence's, Winkler, persistence's, CRPS, persistence's
_SPREAD = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # of the quantiles, skewed


def forecast(minute: int) -> MinuteForecast:
    """Return the forecast made `minute` minutes after `START`."""
    price, ahead = 100.0 + minute % 7, range(1, MINUTES_AHEAD + 1)
    widths = [price * 0.001 * math.sqrt(horizon) for horizon in ahead]
    return MinuteForecast(
        START + minute * MINUTE,
        price,
        tuple(price + horizon / 8 for horizon in ahead),
        tuple(tuple(price + width * share for share in _SPREAD) for width in widths),
    )


def scores(horizon: int, forecasts: int = 1, inside: tuple[int, int, int] = (0, 1, 1)) -> MinuteScores:
    """Return the scores of outcomes that were all the same."""
    error, naive_error, winkler, naive_winkler, crps, naive_crps = (forecasts * value for value in SCORES)
    counts = [forecasts * count for count in inside]
    return MinuteScores(horizon, forecasts, error, naive_error, winkler, naive_winkler, crps, naive_crps, *counts)


def step(minute: int, *horizons: int) -> ForecastStep:
    """Return what a close adds: a forecast, and the outcomes of others at these horizons."""
    return ForecastStep(forecast(minute), START + minute * MINUTE, tuple(scores(horizon) for horizon in horizons))
