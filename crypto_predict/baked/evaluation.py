"""The forecast for any day or instant, in plain Python, from the model file.

A day means its close, which is the instant at which the next day begins. An instant between two closes is answered by
interpolation: the curve linearly in log price, the quantiles around it linearly in their squares, since the variance of
a random walk grows linearly in time. On the day after the last candle the anchor lies in between: from the last close
to the anchor both prices are known, and after it the quantiles open.

For 24 hours after the anchor the combined forecast has the quantiles of hours, if the model has them; a day that closes
within them has, too. From hour `SURE` on the quantiles of days are mixed in, and at hour 24 they are alone, so nothing
jumps where the hours end. A quantile is never nearer than one of an earlier hour: wild hours widen the days after them.

What was forecast live (`live`) moves the curve on: it then starts at a newer price, with minutes before the hours, and
the quantiles of days lie as far ahead of that price as they were ahead of the price at the training.

There are several models. `COMBINED` is the combination weighted by out-of-sample evidence; it starts at the anchor.
`PROPHET` is the fitted curve of Prophet alone. The others have quantiles for each day after the last candle, with the
median as their price, and start at its close. Up to that close all are the fitted curve.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from crypto_predict.baked.distribution import Distribution, mixed
from crypto_predict.baked.live import Live
from crypto_predict.baked.schema import (
    HIGH,
    HORIZON_DAYS,
    KNOTS,
    LOW,
    Band,
    PairForecast,
    Seasonality,
    Trend,
)
from crypto_predict.errors import NoProphetInterval, OutOfRange
from crypto_predict.market import DAY, price_decimals
from crypto_predict.market.forecast import HOURS_AHEAD, LEVELS

SURE = 18  # hours ahead up to which the hours alone answer

COMBINED = "combined"
PROPHET = "prophet"
MODELS = (COMBINED, PROPHET)  # of every pair

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MOST_DAYS = date.max.toordinal()  # since 1970, in either direction
_MOST_LOG_PRICE = 700.0  # math.exp overflows from 709.8 on
_MOST_TERM = 1e6  # of a log price: sums of larger ones lose digits that a price shows
_MOST_COEFFICIENTS = 200  # of all seasonalities of a pair; Prophet fits 26


class Prediction(NamedTuple):
    """A price and its central 80 % interval, in the quote currency: `low` <= `price` <= `high`."""

    price: float
    low: float
    high: float


class _Point(NamedTuple):
    """The curve at one instant, in log price, and the quantiles around it as distances from the curve."""

    curve: float
    levels: tuple[float, ...]  # (n,) ascending, `LOW` and `HIGH` among them
    distances: tuple[float, ...]  # (n,) ascending

    def ends(self) -> tuple[float, float]:
        """Return the distances of the central interval's ends."""
        return self.distances[self.levels.index(LOW)], self.distances[self.levels.index(HIGH)]


class Evaluator:
    """The predictions for one pair. The points of days are cached: those up to the last candle once for all models.

    Safe to share between threads: cached points are immutable, and equal however often they are computed.
    """

    def __init__(self, forecast: PairForecast, live: Live | None = None) -> None:
        self.forecast, self.live = forecast, live
        self.anchor = forecast.anchor if live is None else live.anchor  # the newest price
        self.hours = forecast.hours if live is None else live.hours  # after it
        self.decimals = price_decimals(forecast.last_close)
        self._curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
        self._first, self._last, self._end = (day.toordinal() for day in (forecast.first, forecast.last, forecast.end))
        self._last_price, self._anchor = (
            _Point(math.log(price), LEVELS, (0.0,) * len(LEVELS)) for price in (forecast.last_close, self.anchor.price)
        )
        # The days from the last close to the price at the training, and to the newest price.
        self._trained, self._elapsed = (
            (at - forecast.last_close_time) / DAY for at in (forecast.anchor.at, self.anchor.at)
        )
        self._base = self._last + int(self._elapsed)  # the day at whose close the day of the newest price begins
        self._anchor_share = self._elapsed % 1  # of that day
        self._level = forecast.level_correction if live is None else self._anchor.curve - self._at_anchor()
        self.models = (*MODELS, *forecast.models)
        self.times: list[float] = []  # hours after the anchor: 0, each minute that is forecast, and 24 hours; or none
        self._hours: list[_Point] = []  # at these times
        days = self._last - self._first + 2  # with the opening of the first
        self._fitted: list[_Point | None] = [None] * days
        self._ahead: dict[str, list[_Point | None]] = {model: [None] * HORIZON_DAYS for model in self.models}
        self.times, self._hours = self._joined()

    def at(self, moment: date | datetime, model: str = COMBINED) -> Prediction:
        """Return the prediction of one of `models` for the close of a UTC day, or for an instant with a time zone.

        Raises:
            OutOfRange: The day is not between the first candle and 365 days after the last, both included, or the
                instant not between the opening of the first candle and 365 days past the last close.
            NoProphetInterval: `PROPHET` is asked for a time after the last close, and the model has no backtest.
        """
        before, after, share = self._place(moment, model)
        curve, (low, high) = before.curve, before.ends()
        if share:
            curve += share * (after.curve - curve)
            later_low, later_high = after.ends()
            low, high = mixed(low, later_low, share), mixed(high, later_high, share)
        return Prediction(
            round(math.exp(curve), self.decimals),
            round(math.exp(curve + low), self.decimals),
            round(math.exp(curve + high), self.decimals),
        )

    def distribution(self, moment: date | datetime, model: str = COMBINED) -> Distribution:
        """Return the distribution of the price at a moment, with the errors of `at`.

        Its quantiles at 10 and 90 % are the ends of the interval of `at`, before they are rounded.
        """
        point = _between(*self._place(moment, model))
        return Distribution(point.levels, tuple(point.curve + distance for distance in point.distances))

    def _place(self, moment: date | datetime, model: str) -> tuple[_Point, _Point, float]:
        """Return two points with the same levels, and the share of the time between them at which the moment is."""
        first, ordinal, share = self._first, moment.toordinal(), 0.0
        if isinstance(moment, datetime):
            try:
                utc = moment.astimezone(UTC)
            except OverflowError as error:  # an instant of year 1 or 9999 that does not exist in UTC
                raise OutOfRange(moment, self.forecast.first, self.forecast.end) from error
            midnight = datetime(utc.year, utc.month, utc.day, tzinfo=UTC)
            first, ordinal, share = first - 1, utc.toordinal() - 1, (utc - midnight) / DAY
        if not first <= ordinal <= self._end or (ordinal == self._end and share):
            raise OutOfRange(moment, self.forecast.first, self.forecast.end)
        if model == PROPHET and not self.forecast.prophet_bands and (ordinal, share) > (self._last, 0.0):
            raise NoProphetInterval(moment, self.forecast.last)
        if model == COMBINED and self._hours and self._base <= ordinal <= self._base + 2:
            hours = (ordinal - self._base + share - self._anchor_share) * HOURS_AHEAD
            if hours > 0:
                return self._place_hours(hours, ordinal, share)
        return self._place_days(ordinal, share, model)

    def _place_hours(self, hours: float, ordinal: int, share: float) -> tuple[_Point, _Point, float]:
        """Do the same for a time after the anchor, with points of minutes and hours as far as they reach."""
        if hours < HOURS_AHEAD:
            after = bisect_right(self.times, hours)
            before, length = self.times[after - 1], self.times[after] - self.times[after - 1]
            return self._hours[after - 1], self._hours[after], (hours - before) / length
        if not share:
            point = self._hours[-1] if hours == HOURS_AHEAD else self._point(ordinal, COMBINED)
            return point, point, share
        if ordinal == self._base + 1:  # its close is before the end of the hours
            return self._hours[-1], self._point(ordinal + 1, COMBINED), 1 - (1 - share) / (1 - self._anchor_share)
        return self._point(ordinal, COMBINED), self._point(ordinal + 1, COMBINED), share

    def _place_days(self, ordinal: int, share: float, model: str) -> tuple[_Point, _Point, float]:
        if model == COMBINED and 0 < (passed := ordinal - self._last + share) <= self._elapsed:
            return self._last_price, self._anchor, passed / self._elapsed
        if not share:
            point = self._point(ordinal, model)
            return point, point, share
        following = self._point(ordinal + 1, model)
        if model == COMBINED and ordinal == self._base:
            return self._anchor, following, (share - self._anchor_share) / (1 - self._anchor_share)
        if ordinal == self._last and model != PROPHET:
            return self._last_price, following, share
        return self._point(ordinal, model), following, share

    def _joined(self) -> tuple[list[float], list[_Point]]:
        """Return the times and points of minutes and hours, joined with those of the days."""
        hours = ((float(hour), 0.0, row) for hour, row in enumerate(self.hours, start=1))
        times, points = [0.0], [self._anchor]
        for time, drift, row in hours if self.live is None else self.live.steps():
            day, share = divmod(self._anchor_share + time / HOURS_AHEAD, 1)
            curve, _, daily = _between(*self._place_days(self._base + int(day), share, COMBINED))
            weight = max(time - SURE, 0) / (HOURS_AHEAD - SURE)
            distances = (mixed(hourly, later, weight) for hourly, later in zip(row, daily, strict=True))
            times.append(time)
            points.append(_Point(curve + drift, LEVELS, _outward(points[-1].distances, distances)))
        self._ahead[COMBINED] = [None] * HORIZON_DAYS  # they have to be as wide as the hours
        return (times, points) if self.hours else ([], [])

    def _point(self, ordinal: int, model: str) -> _Point:
        points, index = self._fitted, ordinal - self._first + 1
        if ordinal > self._last:
            points, index = self._ahead[model], ordinal - self._last - 1
        point = points[index]
        if point is None:
            point = points[index] = self._compute_point(ordinal, model)
        return point

    def _compute_point(self, ordinal: int, model: str) -> _Point:
        horizon, forecast = ordinal - self._last, self.forecast
        if horizon > 0 and model in forecast.models:
            row = forecast.models[model][horizon - 1]
            middle = row[LEVELS.index(0.5)]
            return _Point(middle, LEVELS, tuple(price - middle for price in row))
        curve = self._curve.at(ordinal)
        if horizon <= 0:
            return _Point(curve, (LOW, HIGH), (forecast.fitted_band.low, forecast.fitted_band.high))
        if model == PROPHET:
            return _Point(curve, (LOW, HIGH), _between_knots(forecast.prophet_bands, horizon))
        weight = forecast.prophet_weights[horizon - 1]
        combined = weight * (curve + self._level) + (1 - weight) * self._anchor.curve
        distances = self._daily(horizon)
        return _Point(combined, LEVELS, _outward(self._hours[-1].distances, distances) if self._hours else distances)

    def _at_anchor(self) -> float:
        """Return the fitted curve at the newest price."""
        before, after = self._curve.at(self._base), self._curve.at(self._base + 1)
        return before + self._anchor_share * (after - before)

    def _daily(self, horizon: int) -> tuple[float, ...]:
        """Return the quantiles at the close of a day: as far ahead of the newest price as of that at the training."""
        rows, days = self.forecast.forecast_quantiles, horizon - self._elapsed + self._trained
        if self.live is None:
            return rows[horizon - 1]
        after = min(max(math.ceil(days), 1), HORIZON_DAYS)
        start = self._trained if after == 1 else after - 1
        before = self._anchor.distances if after == 1 else rows[after - 2]
        share = (days - start) / (after - start)
        return tuple(mixed(first, last, share) for first, last in zip(before, rows[after - 1], strict=True))


class Curve:
    """Prophet's fitted curve in log price: trend plus seasonalities, before any level correction."""

    def __init__(self, scale: float, trend: Trend, seasonalities: Sequence[Seasonality]) -> None:
        self._scale = scale
        self._start, self._days = trend.start.toordinal(), trend.days
        self._changepoints = trend.changepoints
        self._segments = [(trend.growth, trend.offset)]  # (slope, offset) between two changepoints
        for changepoint, delta in zip(trend.changepoints, trend.deltas, strict=True):
            slope, offset = self._segments[-1]
            self._segments.append((slope + delta, offset - changepoint * delta))
        self._waves = [  # of each order of each seasonality: frequency (radians a day), sine and cosine coefficient
            [
                (2 * math.pi * order / seasonality.period, sine, cosine)
                for order, (sine, cosine) in enumerate(zip(terms[::2], terms[1::2], strict=True), start=1)
            ]
            for seasonality in seasonalities
            for terms in [seasonality.coefficients]
        ]

    def at(self, ordinal: int) -> float:
        """Return the log price at the close of the day with this proleptic Gregorian ordinal."""
        days = ordinal - _EPOCH_ORDINAL
        seasonal = sum(
            sum(sine * math.sin(days * w) + cosine * math.cos(days * w) for w, sine, cosine in waves)
            for waves in self._waves
        )
        return self._scale * (self._trend(self._scaled(ordinal)) + seasonal)

    def bounds(self, first: int, last: int) -> tuple[float, float]:
        """Return bounds of the curve from one ordinal to another, both included.

        They are infinite if a term is so large that the sum loses digits, or a frequency is not a number.
        """
        start, end = self._scaled(first), self._scaled(last)
        farthest = max(abs(start), abs(end))
        terms = [1.0, *(term for slope, offset in self._segments for term in (slope * farthest, offset))]
        frequencies = [w for waves in self._waves for w, _, _ in waves]
        if not all(abs(self._scale * term) < _MOST_TERM for term in terms) or not all(
            math.isfinite(w * _MOST_DAYS) for w in frequencies
        ):
            return -math.inf, math.inf
        corners = [start, *(bend for bend in self._changepoints if start < bend < end), end]
        trend = [self._scale * self._trend(corner) for corner in corners]
        amplitude = abs(self._scale) * sum(abs(a) + abs(b) for waves in self._waves for _, a, b in waves)
        return min(trend) - amplitude, max(trend) + amplitude

    def _scaled(self, ordinal: int) -> float:
        return (ordinal - self._start) / self._days

    def _trend(self, scaled: float) -> float:
        slope, offset = self._segments[bisect_right(self._changepoints, scaled)]
        return slope * scaled + offset


def _between_knots(bands: Sequence[Band], horizon: int) -> tuple[float, float]:
    """Return the ends of the band `horizon` days ahead, 1 to 365, from those at `KNOTS`."""
    index = bisect_left(KNOTS, horizon)
    after = bands[index]
    if KNOTS[index] == horizon:
        return after.low, after.high
    before, share = bands[index - 1], (horizon - KNOTS[index - 1]) / (KNOTS[index] - KNOTS[index - 1])
    return mixed(before.low, after.low, share), mixed(before.high, after.high, share)


def _between(before: _Point, after: _Point, share: float) -> _Point:
    """Return the point at `share` of the time from one to another, which have the same levels."""
    if not share:
        return before
    distances = (mixed(first, last, share) for first, last in zip(before.distances, after.distances, strict=True))
    return _Point(before.curve + share * (after.curve - before.curve), before.levels, tuple(distances))


def _outward(earlier: Sequence[float], distances: Iterable[float]) -> tuple[float, ...]:
    """Return the `distances`, none nearer to the curve than the `earlier` ones."""
    return tuple(
        later if level == 0.5 else min(before, later) if level < 0.5 else max(before, later)
        for level, before, later in zip(LEVELS, earlier, distances, strict=True)
    )


def faults(forecast: PairForecast, served: str = COMBINED) -> list[str]:
    """Return the reasons why this forecast cannot be evaluated at every instant of its range, with prices above 0.

    `served` is the model that answers by default. The prices are bounded without evaluating each day: by the corners of
    the trend and the largest seasonal effect.
    """
    if (terms := sum(len(seasonality.coefficients) for seasonality in forecast.seasonalities)) > _MOST_COEFFICIENTS:
        return [f"its seasonalities have {terms:,} coefficients, more than the {_MOST_COEFFICIENTS} of any model"]
    if served not in {*MODELS, *forecast.models} or (served == PROPHET and not forecast.prophet_bands):
        return [f"its default is the model {served:.40}, of which it has no forecast"]
    lowest, highest = _bounds(forecast)
    if highest >= _MOST_LOG_PRICE:
        return [f"its log price may reach {highest:.4g}; e to more than {_MOST_LOG_PRICE:g} exceeds every number"]
    decimals = price_decimals(forecast.last_close)
    least = max(-_MOST_LOG_PRICE, math.log(0.51) - decimals * math.log(10))  # is not rounded to 0
    if lowest <= least:
        return [f"its log price may fall to {lowest:.4g}; e to less than {least:.4g} is 0 with {decimals} decimals"]
    return []


def _bounds(forecast: PairForecast) -> tuple[float, float]:
    """Return bounds of the log price, quantiles included, over the whole range; infinite if a term is out of bounds.

    Interpolation stays within them: between two closes the curve lies between theirs, and so does each quantile.
    """
    curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
    last, anchor = forecast.last.toordinal(), math.log(forecast.anchor.price)
    future = curve.bounds(last, forecast.end.toordinal())
    combined = [anchor, math.log(forecast.last_close)]
    rows = (*forecast.forecast_quantiles, *forecast.hours)
    for weight in forecast.prophet_weights:
        combined += [weight * (c + forecast.level_correction) + (1 - weight) * anchor for c in future]
    parts: list[tuple[Sequence[float], list[float]]] = [
        (curve.bounds(forecast.first.toordinal() - 1, last), [forecast.fitted_band.low, forecast.fitted_band.high]),
        (future, [end for band in forecast.prophet_bands for end in (band.low, band.high)]),
        (combined, [end for row in rows for end in (row[0], row[-1])]),
        ([end for model in forecast.models.values() for row in model for end in (row[0], row[-1])] or [anchor], []),
    ]
    lowest = highest = anchor
    for curves, distances in parts:
        if not all(abs(value) < _MOST_TERM for value in (*curves, *distances)):  # which NaN is not, either
            return -math.inf, math.inf
        lowest = min(lowest, min(curves) + min(distances, default=0))
        highest = max(highest, max(curves) + max(distances, default=0))
    return lowest, highest
