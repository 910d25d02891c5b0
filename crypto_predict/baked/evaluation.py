"""The forecast for any day or instant, in plain Python, from what was baked.

A day means its close, which is the instant at which the next day begins. An instant between two closes is answered by
interpolation: the curve linearly in log price, the band linearly in its square, since the variance of a random walk
grows linearly in time. On the day after the last candle the anchor lies between: from the last close to the anchor both
prices are known, and from there on the band opens.

There are two models. `COMBINED` is the combination weighted by out-of-sample evidence; it starts at the anchor.
`PROPHET` is the fitted curve of Prophet alone. For days up to the last candle they are the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise

from crypto_predict.baked.schema import HORIZON_DAYS, KNOTS, Band, PairForecast, Seasonality, Trend
from crypto_predict.errors import NoProphetInterval, OutOfRange
from crypto_predict.market import DAY, price_decimals

COMBINED = "combined"
PROPHET = "prophet"
MODELS = (COMBINED, PROPHET)

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MOST_DAYS = date.max.toordinal()  # since 1970, in either direction
_MOST_LOG_PRICE = 700.0  # math.exp overflows from 709.8 on
_MOST_TERM = 1e6  # of a log price: sums of larger ones lose digits that a price shows
MOST_COEFFICIENTS = 200  # of all seasonalities of a pair, which Prophet gives 26
_KNOWN = Band(0.0, 0.0)  # around a price that was observed
_Bounds = tuple[float, float]  # from the lowest to the highest


@dataclass(frozen=True, slots=True)
class Prediction:
    """A price and its central 80 % interval, in the quote currency: `low` <= `price` <= `high`."""

    price: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Point:
    """The curve and the band around it at one close, in log price."""

    curve: float
    band: Band


class Evaluator:
    """Answers for one pair. Days already answered are remembered, at most as many as the range has, for each model.

    Safe to share between threads: what is remembered is immutable and equal however often it is worked out.
    """

    def __init__(self, forecast: PairForecast) -> None:
        self.forecast = forecast
        self.decimals = price_decimals(forecast.last_close)
        self._curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
        self._first = forecast.first.toordinal()
        self._last = forecast.last.toordinal()
        self._log_anchor = math.log(forecast.anchor.price)
        self._anchor_share = (forecast.anchor.at - forecast.last_close_time) / DAY  # of the day after the last candle
        count = self._last + HORIZON_DAYS - self._first + 2
        self._points: dict[str, list[_Point | None]] = {model: [None] * count for model in MODELS}

    def at_close(self, day: date, model: str = COMBINED) -> Prediction:
        """The prediction for the close of a UTC day: the fitted curve up to the last candle, the forecast after it.

        Args:
            day: In UTC.
            model: One of `MODELS`.

        Raises:
            OutOfRange: The day is not between the first candle and 365 days after the last, both included.
            NoProphetInterval: `PROPHET` is asked for a day after the last candle, and there was no backtest.
        """
        ordinal = day.toordinal()
        if not self._first <= ordinal <= self._last + HORIZON_DAYS:
            raise OutOfRange(day, self.forecast.first, self.forecast.end)
        if ordinal > self._last:
            self._check_interval(day, model)
        point = self._point(ordinal, model)
        return self._priced(point.curve, point.band)

    def at(self, instant: datetime, model: str = COMBINED) -> Prediction:
        """The prediction for an instant, between the closes before and after it.

        Args:
            instant: Aware of its time zone; from the opening of the first candle to 365 days past the last close.
            model: One of `MODELS`.

        Raises:
            OutOfRange: The instant is not.
            NoProphetInterval: `PROPHET` is asked for an instant after the last close, and there was no backtest.
        """
        try:
            utc = instant.astimezone(UTC)
        except OverflowError as error:  # an instant of year 1 or 9999 that is none in UTC
            raise OutOfRange(instant, self.forecast.first, self.forecast.end) from error
        midnight = datetime(utc.year, utc.month, utc.day, tzinfo=UTC)
        ordinal = utc.toordinal() - 1  # the day whose close is this midnight
        if not self._first - 1 <= ordinal <= self._last + HORIZON_DAYS or (
            ordinal == self._last + HORIZON_DAYS and utc > midnight
        ):
            raise OutOfRange(instant, self.forecast.first, self.forecast.end)
        if ordinal > self._last or (ordinal == self._last and utc > midnight):
            self._check_interval(instant, model)
        if utc == midnight:
            point = self._point(ordinal, model)
            return self._priced(point.curve, point.band)
        return self._between(ordinal, (utc - midnight) / DAY, model)

    def _check_interval(self, asked: date | datetime, model: str) -> None:
        if model == PROPHET and not self.forecast.prophet_bands:
            raise NoProphetInterval(asked, self.forecast.last)

    def _between(self, ordinal: int, share: float, model: str) -> Prediction:
        before, after, share = self._neighbours(ordinal, share, model)
        curve = before.curve + share * (after.curve - before.curve)
        return self._priced(curve, _mixed(before.band, after.band, share))

    def _neighbours(self, ordinal: int, share: float, model: str) -> tuple[_Point, _Point, float]:
        """The known points before and after `share` of the day that follows this one, and the share between them."""
        if ordinal != self._last or model == PROPHET:
            return self._point(ordinal, model), self._point(ordinal + 1, model), share
        anchor = _Point(self._log_anchor, _KNOWN)
        if share > self._anchor_share:
            return anchor, self._point(ordinal + 1, model), (share - self._anchor_share) / (1 - self._anchor_share)
        last_close = _Point(math.log(self.forecast.last_close), _KNOWN)
        return last_close, anchor, share / self._anchor_share

    def _point(self, ordinal: int, model: str) -> _Point:
        points, index = self._points[model], ordinal - self._first + 1
        point = points[index]
        if point is None:
            point = points[index] = self._compute_point(ordinal, model)
        return point

    def _compute_point(self, ordinal: int, model: str) -> _Point:
        curve = self._curve.at(ordinal)
        if ordinal <= self._last:
            return _Point(curve, self.forecast.fitted_band)
        if model == PROPHET:
            return _Point(curve, _at_horizon(self.forecast.prophet_bands, ordinal - self._last))
        index = ordinal - self._last - 1
        weight, other = self.forecast.prophet_weights[index], self.forecast.other_increments[index]
        combined = weight * (curve + self.forecast.level_correction) + (1 - weight) * self._log_anchor + other
        return _Point(combined, self.forecast.forecast_bands[index])

    def _priced(self, curve: float, band: Band) -> Prediction:
        return Prediction(
            price=round(math.exp(curve), self.decimals),
            low=round(math.exp(curve + band.low), self.decimals),
            high=round(math.exp(curve + band.high), self.decimals),
        )


def _at_horizon(bands: Sequence[Band], horizon: int) -> Band:
    """The band `horizon` days ahead, 1 to 365, of those at `KNOTS`."""
    after = bisect_left(KNOTS, horizon)
    if KNOTS[after] == horizon:
        return bands[after]
    share = (horizon - KNOTS[after - 1]) / (KNOTS[after] - KNOTS[after - 1])
    return _mixed(bands[after - 1], bands[after], share)


def _mixed(before: Band, after: Band, share: float) -> Band:
    """The band at `share` of the time from one to another."""
    low = -math.sqrt((1 - share) * before.low**2 + share * after.low**2)
    high = math.sqrt((1 - share) * before.high**2 + share * after.high**2)
    return Band(low, high)


def faults(forecast: PairForecast) -> list[str]:
    """What keeps this forecast from being evaluated at every instant of its range, with prices above 0.

    The bounds are those of the trend's corners with every seasonality at its worst: nothing is evaluated day by day.
    """
    if (terms := sum(len(seasonality.coefficients) for seasonality in forecast.seasonalities)) > MOST_COEFFICIENTS:
        return [f"its seasonalities have {terms:,} coefficients, more than the {MOST_COEFFICIENTS} of any model"]
    lowest, highest = _extremes(forecast)
    if not highest < _MOST_LOG_PRICE:  # so is NaN
        return [f"its log price may reach {highest:.4g}, and e to more than {_MOST_LOG_PRICE:g} is beyond every number"]
    decimals = price_decimals(forecast.last_close)
    least = max(-_MOST_LOG_PRICE, math.log(0.51) - decimals * math.log(10))  # what is not rounded to 0
    if not lowest > least:
        return [f"its log price may fall to {lowest:.4g}, and e to less than {least:.4g} is 0 with {decimals} decimals"]
    return []


def _extremes(forecast: PairForecast) -> tuple[float, float]:
    """Bounds of the log price, band included, at any instant of the range; infinite ones if a term is out of bounds."""
    curves = _curve_bounds(forecast)
    if curves is None:
        return -math.inf, math.inf
    (fitted, future), ahead = curves, _bounds_ahead(forecast)
    parts = [(fitted, forecast.fitted_band), *((future, band) for band in forecast.prophet_bands), *ahead]
    # Between two closes the curve lies between theirs, and the band is not wider than the wider one.
    parts += [
        ((min(a[0], b[0]), max(a[1], b[1])), Band(min(p.low, q.low), max(p.high, q.high)))
        for (a, p), (b, q) in pairwise(ahead)
    ]
    lows = [bounds[0] + band.low for bounds, band in parts]
    highs = [bounds[1] + band.high for bounds, band in parts]
    if not _largest((*lows, *highs)) < _MOST_TERM:
        return -math.inf, math.inf
    return min(lows), max(highs)


def _curve_bounds(forecast: PairForecast) -> tuple[_Bounds, _Bounds] | None:
    """Bounds of the curve up to the last close, from the close before the first day, and from there to the end.

    None if a term is so large that sums of such terms lose their digits, or a frequency is not a number.
    """
    trend, scale = _PiecewiseLinear(forecast.trend), forecast.scale
    fastest = max((len(s.coefficients) / s.period for s in forecast.seasonalities), default=0.0) * math.pi
    ends = [forecast.first.toordinal() - 1, forecast.last.toordinal(), forecast.end.toordinal()]
    if not (math.isfinite(fastest * _MOST_DAYS) and abs(scale) * trend.largest_term(ends) < _MOST_TERM):
        return None
    wave = _wave(forecast)
    fitted, future = ([scale * trend.at_scaled(at) for at in trend.corners(*span)] for span in (ends[:2], ends[1:]))
    return (min(fitted) - wave, max(fitted) + wave), (min(future) - wave, max(future) + wave)


def _wave(forecast: PairForecast) -> float:
    """An upper bound of what all seasonalities together can add to the log price."""
    return abs(forecast.scale) * sum(abs(value) for one in forecast.seasonalities for value in one.coefficients)


def _bounds_ahead(forecast: PairForecast) -> list[tuple[_Bounds, Band]]:
    """Bounds of the combined forecast, and the bands around it: at the last close and the anchor, then day by day."""
    trend, wave, last = _PiecewiseLinear(forecast.trend), _wave(forecast), forecast.last.toordinal()
    anchor, close = math.log(forecast.anchor.price), math.log(forecast.last_close)
    found = [((min(anchor, close), max(anchor, close)), _KNOWN)]
    by_horizon = zip(forecast.prophet_weights, forecast.other_increments, forecast.forecast_bands, strict=True)
    for horizon, (weight, other, band) in enumerate(by_horizon, start=1):
        curve = forecast.scale * trend.at(last + horizon) + forecast.level_correction
        middle, slack = weight * curve + (1 - weight) * anchor + other, abs(weight) * wave
        found.append(((middle - slack, middle + slack), band))
    return found


def _largest(values: Iterable[float]) -> float:
    """The largest distance from 0, which no NaN hides: infinite where a value is not a number."""
    sizes = list(map(abs, values))
    return max(sizes) if all(map(math.isfinite, sizes)) else math.inf


class Curve:
    """Prophet's fitted curve in log price: trend plus seasonalities, before any level correction."""

    def __init__(self, scale: float, trend: Trend, seasonalities: Sequence[Seasonality]) -> None:
        self._scale = scale
        self._trend = _PiecewiseLinear(trend)
        self._seasonalities = [_Fourier(seasonality) for seasonality in seasonalities]

    def at(self, ordinal: int) -> float:
        """The log price at the close of the day with this proleptic Gregorian ordinal."""
        days = ordinal - _EPOCH_ORDINAL
        seasonal = sum(seasonality.at(days) for seasonality in self._seasonalities)
        return self._scale * (self._trend.at(ordinal) + seasonal)


class _PiecewiseLinear:
    """The trend with slope and offset of every segment worked out beforehand."""

    def __init__(self, trend: Trend) -> None:
        self._start = trend.start.toordinal()
        self._days = trend.days
        self._changepoints = trend.changepoints
        self._segments = [(trend.growth, trend.offset)]  # (slope, offset) between two changepoints
        for changepoint, delta in zip(trend.changepoints, trend.deltas, strict=True):
            slope, offset = self._segments[-1]
            self._segments.append((slope + delta, offset - changepoint * delta))

    def at(self, ordinal: int) -> float:
        return self.at_scaled(self._scaled(ordinal))

    def corners(self, first: int, last: int) -> list[float]:
        """Where the line bends from one day to another, both included, in scaled time."""
        start, end = self._scaled(first), self._scaled(last)
        return [start, *(bend for bend in self._changepoints if start < bend < end), end]

    def largest_term(self, days: Iterable[int]) -> float:
        """The most that slope times time or an offset can be on these days and between them."""
        farthest = _largest(map(self._scaled, days))
        steepest, highest = (_largest(values) for values in zip(*self._segments, strict=True))
        return max(1.0, farthest * steepest, highest)

    def _scaled(self, ordinal: int) -> float:
        return (ordinal - self._start) / self._days

    def at_scaled(self, scaled: float) -> float:
        slope, offset = self._segments[bisect_right(self._changepoints, scaled)]
        return slope * scaled + offset


class _Fourier:
    """A seasonality with its frequencies worked out beforehand."""

    def __init__(self, seasonality: Seasonality) -> None:
        pairs = zip(seasonality.coefficients[::2], seasonality.coefficients[1::2], strict=True)
        self._terms = [
            (2 * math.pi * order / seasonality.period, sine, cosine)
            for order, (sine, cosine) in enumerate(pairs, start=1)
        ]

    def at(self, days: int) -> float:
        return sum(sine * math.sin(days * w) + cosine * math.cos(days * w) for w, sine, cosine in self._terms)
