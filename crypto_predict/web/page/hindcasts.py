"""What a model has forecast in the past, out of sample, beside what followed: monthly fans, and any day again.

A move is 10,000 times a log price minus that of the close at the cutoff, as in a `Hindcast`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from crypto_predict.baked.distribution import mixed
from crypto_predict.baked.models import Hindcast
from crypto_predict.baked.schema import PairForecast
from crypto_predict.market import DAY

FANS = 12
FAN_DAYS = 30  # of a fan, or as many as the model forecasts
_APART = FAN_DAYS + 1  # days from one fan to the next, so that each begins after the one before it has ended
_UNIT = 10_000
_MOST_LOG = 709.0  # math.exp overflows above it


class Moves(NamedTuple):
    """A forecast as moves: `low` and `high` are the ends of the central 80 % interval."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Fan:
    """What was forecast at the close of one day for each of the days after it, and what happened."""

    day: date
    close: float
    moves: tuple[Moves, ...]  # (n,) 1, 2, ... days ahead
    actual: tuple[float | None, ...]  # (n,) as moves; None: the day has no candle, which the last one has

    @property
    def target(self) -> date:
        """The last of the days that were forecast."""
        return self.day + len(self.moves) * DAY

    def price(self, move: float) -> float:
        """Return the price of a move."""
        return self.close * math.exp(min(move / _UNIT, _MOST_LOG))

    def inside(self) -> list[bool]:
        """Return whether the interval held the close of each day that has a candle."""
        return [
            low <= actual <= high
            for (low, _, high), actual in zip(self.moves, self.actual, strict=True)
            if actual is not None
        ]


def moves_of(hindcast: Hindcast) -> list[list[Moves]]:
    """Return the forecasts (cutoffs, horizons)."""
    return [list(map(Moves._make, row)) for row in hindcast.moves()]


def fans(forecast: PairForecast, hindcast: Hindcast) -> list[Fan]:
    """Return the newest dozen of fans a month apart whose last close is known, the oldest first."""
    closes, length = forecast.closes, min(hindcast.horizons[-1], FAN_DAYS)
    latest, result = len(closes) - 1 - length, list[Fan]()
    for cutoff, moves in zip(reversed(hindcast.cutoffs), reversed(moves_of(hindcast)), strict=True):
        close = closes[cutoff]
        if len(result) < FANS and cutoff <= latest and close and closes[cutoff + length]:
            start, following = math.log(close), closes[cutoff + 1 : cutoff + length + 1]
            actual = tuple((math.log(price) - start) * _UNIT if price else None for price in following)
            result.append(Fan(forecast.first + cutoff * DAY, close, _daily(hindcast.horizons, moves, length), actual))
            latest = cutoff - _APART
    return result[::-1]


def _daily(horizons: Sequence[int], moves: Sequence[Moves], length: int) -> tuple[Moves, ...]:
    """Return the moves 1 to `length` days ahead from those at some horizons: ranges grow as variance does."""
    result = []
    for (start, before), (end, after) in pairwise([(0, Moves(0.0, 0.0, 0.0)), *zip(horizons, moves, strict=True)]):
        for day in range(start + 1, min(end, length) + 1):
            share = (day - start) / (end - start)
            middle = before.middle + share * (after.middle - before.middle)
            low = mixed(before.low - before.middle, after.low - after.middle, share)
            high = mixed(before.high - before.middle, after.high - after.middle, share)
            result.append(Moves(middle + low, middle, middle + high))
    return tuple(result)
