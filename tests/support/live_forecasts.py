"""Live forecasts of hours and minutes, made by hand."""

import math
from datetime import datetime

from crypto_predict.market.forecast import HOURS_AHEAD, MINUTES_AHEAD, HourForecast, MinuteForecast
from tests.support.models import quantiles


def hours_of(at: datetime, price: float, width: float, habits: list[float] | None = None) -> HourForecast:
    """Hours whose quantiles grow with the root of the time, or with that of the habits of the hours."""
    shares = habits or [1.0] * HOURS_AHEAD
    reach = [width * math.sqrt(sum(shares[: hour + 1])) for hour in range(HOURS_AHEAD)]
    return HourForecast(at, price, tuple(quantiles(-each, 1.1 * each) for each in reach))


def minutes_of(at: datetime, price: float, width: float, drift: float = 0.0) -> MinuteForecast:
    """Minutes whose quantiles are so wide after an hour, around a point that drifts."""
    points = [price * math.exp(drift * minute) for minute in range(1, MINUTES_AHEAD + 1)]
    reach = [width * math.sqrt(minute / 60) for minute in range(1, MINUTES_AHEAD + 1)]
    rows = zip(points, reach, strict=True)
    around = (tuple(point * math.exp(distance) for distance in quantiles(-1.2 * far, far)) for point, far in rows)
    return MinuteForecast(at, price, tuple(points), tuple(around))
