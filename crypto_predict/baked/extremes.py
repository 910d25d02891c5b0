"""The highest and the lowest price on the way to an instant, in plain Python, from the model file.

A price is touched with the probability that the pair's `TouchCurve` makes of that of a close beyond it. It is never
less than that of a close, and until a later one never less than until an earlier one: the quantiles of how far the
price gets are the largest of all closes until then, those of hours and days. They are computed once, as far as they are
asked for. Between two closes their squares are linear in time, as those of forecasts are.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from statistics import NormalDist
from threading import Lock
from typing import NamedTuple

from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.schema import HORIZON_DAYS
from crypto_predict.baked.touches import reflected, score, stay
from crypto_predict.errors import OutOfRange
from crypto_predict.market import DAY
from crypto_predict.market.forecast import HOURS_AHEAD

# Probabilities at which distances are kept: of a touch, and of a close beyond. The quantiles of every forecast are
# among the latter, so that what lies between two of them is not less probable than by the forecast.
_TOUCHED = (0.99, 0.95, 0.9, 0.82, 0.75, 0.65, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.005, 0.0001, 0.000001)
_CLOSED = (0.999, 0.99, 0.97, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0.0001, 0.000001)
_LEAST = 1e-12  # probability of a close whose distance is distinguished
_NORMAL, _HOUR = NormalDist(), timedelta(hours=1)
_MINUTES = (1 / 60, 5 / 60, 10 / 60, 15 / 60, 30 / 60)  # hours, after which distances are kept, if there are minutes
_TOUCH_SCORES = tuple(map(score, _TOUCHED))
_CLOSE_SCORES = tuple(-_NORMAL.inv_cdf(level) for level in _CLOSED)

Squares = tuple[float, ...]  # of distances from the present price, in log price; not descending


class Side(NamedTuple):
    """How far the price gets in one direction until an instant."""

    touched: Squares  # (16,) with the probabilities `_TOUCHED`
    closed: Squares  # (14,) by the farthest close, with the probabilities `_CLOSED`


class _Reached(NamedTuple):
    """How far the price gets until a share of the time from one side's instant to that of a later one."""

    before: Side
    after: Side
    share: float

    def probability(self, distance: float) -> float:
        """Return the probability that a price at this distance, above 0, is touched."""
        touched = self._score(distance, self.before.touched, self.after.touched, _TOUCH_SCORES)
        closed = self._score(distance, self.before.closed, self.after.closed, _CLOSE_SCORES)
        return max(2 * _NORMAL.cdf(-touched), _NORMAL.cdf(-closed))

    def _score(self, distance: float, before: Squares, after: Squares, scores: Sequence[float]) -> float:
        """Return the score at a distance, linear between 0 and those that are known; infinite beyond them."""
        share = self.share

        def known(place: int) -> float:
            return before[place] + share * (after[place] - before[place])

        place = bisect_right(range(len(scores)), distance * distance, key=known)
        if place == len(scores):
            return math.inf
        farther, higher = math.sqrt(known(place)), scores[place]
        if not place:  # of a close that is all but certain the first score
            return min(higher * distance / farther, higher)
        nearer, lower = math.sqrt(known(place - 1)), scores[place - 1]
        return lower + (distance - nearer) / (farther - nearer) * (higher - lower)


_UP, _DOWN = 0, 1  # the places of the two sides
_NOWHERE = Side((0.0,) * len(_TOUCHED), (0.0,) * len(_CLOSED))


class Extremes:
    """What is touched after the newest price that one of an evaluator's models uses. Safe to share between threads."""

    def __init__(self, evaluator: Evaluator, model: str) -> None:
        forecast = evaluator.forecast
        self._evaluator, self._model, self._curves = evaluator, model, forecast.touches
        is_ours, close = model == COMBINED, forecast.last_close_time
        self.since = evaluator.anchor.at if is_ours else close  # when `price` was traded, UTC
        self.price = evaluator.anchor.price if is_ours else forecast.last_close
        self._log_price = math.log(self.price)
        minutes = evaluator.live is not None and evaluator.live.minutes is not None
        times = (*(_MINUTES if minutes else ()), *range(1, HOURS_AHEAD + 1)) if is_ours and evaluator.hours else ()
        closes = (close + day * DAY for day in range(1, HORIZON_DAYS + 1))
        stops = {*(self.since + time * _HOUR for time in times), *(each for each in closes if each > self.since)}
        self._stops = [self.since, *sorted(stops)]
        start = (_NOWHERE, _NOWHERE)
        if model == PROPHET:  # which does not start at the price
            start = self._farther(evaluator.distribution(close, model), 0.0, *start)
        self._reached = [start]  # up and down until the first of these
        self._lock = Lock()

    def touched(self, moment: date | datetime, price: float) -> float:
        """Return the probability that the price is touched after `since`, until the close of a UTC day or an instant.

        Errors are those of `Evaluator.at`, and `OutOfRange` also for a moment up to `since`.
        """
        distribution = self._evaluator.distribution(moment, self._model)
        distance = math.log(price) - self._log_price
        reached = self._until(moment, _UP if distance > 0 else _DOWN)
        if not distance:
            return 1.0
        closed = distribution.above(price) if distance > 0 else distribution.below(price)
        return max(reached.probability(abs(distance)), closed)

    def stays(self, moment: date | datetime, above: float | None, below: float | None) -> float:
        """Return the probability that the price stays above the one limit and below the other, as far as given.

        It is 0 if the present price is at a limit or beyond it. Errors are those of `touched`.
        """
        if not self.contains(above, below):
            return 0.0
        return stay(*(self.touched(moment, limit) for limit in (above, below) if limit is not None))

    def contains(self, above: float | None, below: float | None) -> bool:
        """Return whether the present price is above the one limit and below the other, as far as they are given."""
        return (above is None or above < self.price) and (below is None or self.price < below)

    def _until(self, moment: date | datetime, side: int) -> _Reached:
        """Return how far the price gets on one side until a moment within the range of the model."""
        end, stops = _end(moment), self._stops
        if end <= self.since:
            raise OutOfRange(moment, self.since.date(), self._evaluator.forecast.end)
        index = bisect_left(stops, end)
        share = (end - stops[index - 1]) / (stops[index] - stops[index - 1])
        after = self._stop(index)[side]
        return _Reached(self._stop(index - 1)[side] if share < 1 else after, after, share)

    def _stop(self, index: int) -> tuple[Side, Side]:
        """Return how far up and down the price gets until one of the stops."""
        reached = self._reached
        if index >= len(reached):
            with self._lock:
                while index >= len(reached):
                    stop = self._stops[len(reached)]
                    distribution = self._evaluator.distribution(stop, self._model)
                    reached.append(self._farther(distribution, (stop - self.since) / DAY, *reached[-1]))
        return reached[index]

    def _farther(self, distribution: Distribution, days: float, up: Side, down: Side) -> tuple[Side, Side]:
        """Return how far up and down the price gets in so many days, with its distribution then, and how far before."""
        start, quantile, price = self._log_price, distribution.log_quantile, self.price
        shares = reflected(self._curves, days, _TOUCHED)
        above, below = distribution.above(price), distribution.below(price)
        highest = [quantile(1 - max(share * above, _LEAST)) - start for share in shares]
        lowest = [start - quantile(max(share * below, _LEAST)) for share in shares]
        return (
            Side(_farthest(up.touched, highest), _farthest(up.closed, [quantile(1 - p) - start for p in _CLOSED])),
            Side(_farthest(down.touched, lowest), _farthest(down.closed, [start - quantile(p) for p in _CLOSED])),
        )


def _end(moment: date | datetime) -> datetime:
    """Return an instant in UTC, or the close of a UTC day."""
    return moment.astimezone(UTC) if isinstance(moment, datetime) else datetime.combine(moment, time.min, UTC) + DAY


def _farthest(before: Squares, distances: Sequence[float]) -> Squares:
    """Return the larger ones of the distances before and of others, which are below 0 on the wrong side."""
    return tuple(max(square, max(distance, 0.0) ** 2) for square, distance in zip(before, distances, strict=True))
