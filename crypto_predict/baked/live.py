"""What was forecast since a model was trained: the next hours and minutes of a pair, from newer prices.

A database has both, as a collector forecasts them. They move the curve of a model on: it starts at the newest price,
minutes answer for a quarter of an hour, hours for a day, and then the days of the model, as far ahead of that price as
they are of the price at the training.

Up to 15 minutes the minutes are alone. From there to the first hour those of hours are mixed in, slowly at first, so
that the interval does not leap where a calm market follows on a wild one in the eyes of the other clock.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.baked.distribution import mixed
from crypto_predict.baked.models import Quantiles
from crypto_predict.baked.schema import Anchor, PairForecast
from crypto_predict.market.forecast import MINUTES_AHEAD, HourForecast, MinuteForecast

HOURS_HOLD = timedelta(hours=2)  # since their cutoff, that hours answer: the forecasts of two hours are missing then
MINUTES_HOLD = timedelta(minutes=2)  # the same of minutes, and how far a clock may be behind

_HOUR = 60  # minutes
_MIXED = range(MINUTES_AHEAD + 5, _HOUR, 5)  # minutes between the last one that is forecast and the first hour

Step = tuple[float, float, tuple[float, ...]]  # hours after the newest price, the drift until then, quantiles around it


@dataclass(frozen=True, slots=True)
class Live:
    """The newest hours of a pair, and the minutes after them, if they are known."""

    anchor: Anchor  # the newest price, at the cutoff of the minutes or else of the hours
    hours: Quantiles  # (24, 7) at `LEVELS`, in log price from that of the anchor
    hours_at: datetime  # UTC, the cutoff from which the hours were forecast
    minutes: MinuteForecast | None

    @property
    def holds_until(self) -> datetime:
        """The instant (UTC) after which they are too old."""
        hours = self.hours_at + HOURS_HOLD
        return hours if self.minutes is None else min(hours, self.minutes.cutoff + MINUTES_HOLD)

    def steps(self) -> Iterator[Step]:
        """Yield the points of minutes and hours, ascending."""
        if self.minutes is not None:
            yield from _steps(self.minutes, self.hours[0])
        yield from ((float(hour), 0.0, row) for hour, row in enumerate(self.hours, start=1))


def newest(
    forecast: PairForecast, hours: HourForecast | None, minutes: MinuteForecast | None, now: datetime
) -> Live | None:
    """Return what moves the forecast of a model on at `now` (UTC); None if nothing is newer and fresh.

    The hours are those of the model itself while no newer ones are known. Without fresh hours minutes are not used.
    """
    anchor, rows = forecast.anchor, forecast.hours
    is_live = hours is not None and hours.cutoff > anchor.at
    if is_live and hours is not None:
        anchor, rows = Anchor(hours.cutoff, hours.price), hours.quantiles
    at = anchor.at
    if not rows or not _is_fresh(at, now, HOURS_HOLD):
        return None
    if minutes is not None and minutes.cutoff >= at and _is_fresh(minutes.cutoff, now, MINUTES_HOLD):
        return Live(Anchor(minutes.cutoff, minutes.price), rows, at, minutes)
    return Live(anchor, rows, at, None) if is_live else None


def _is_fresh(cutoff: datetime, now: datetime, holds: timedelta) -> bool:
    return -MINUTES_HOLD <= now - cutoff <= holds


def _steps(minutes: MinuteForecast, first_hour: tuple[float, ...]) -> Iterator[Step]:
    """Yield the points of the minutes, and those between them and the first hour."""
    origin, drift, row = math.log(minutes.price), 0.0, first_hour
    for minute, (point, quantiles) in enumerate(zip(minutes.points, minutes.quantiles, strict=True), start=1):
        middle = math.log(point)
        drift, row = middle - origin, tuple(math.log(price) - middle for price in quantiles)
        yield minute / _HOUR, drift, row
    for minute in _MIXED:
        weight = ((minute - MINUTES_AHEAD) / (_HOUR - MINUTES_AHEAD)) ** 3
        reach, share = math.sqrt(minute / MINUTES_AHEAD), math.sqrt(minute / _HOUR)
        distances = (mixed(reach * near, share * far, weight) for near, far in zip(row, first_hour, strict=True))
        yield minute / _HOUR, (1 - weight) * drift, tuple(distances)
