"""The forecast for any day or instant, in plain Python, from what was baked.

A day means its close, which is the instant at which the next day begins. An instant between two closes is answered by
interpolation: the curve linearly in log price, the band linearly in its square, since the variance of a random walk
grows linearly in time. On the day after the last candle the anchor lies between: from the last close to the anchor both
prices are known, and from there on the band opens.

Two models answer: `COMBINED`, the forecast that earned its place out of sample, and `PROPHET`, what Prophet alone says:
its fitted curve, which neither sets out from the anchor nor is combined with anything. For days up to the last candle
they are the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from crypto_predict.baked.schema import HORIZON_DAYS, KNOTS, Band, PairForecast, Seasonality, Trend, price_decimals
from crypto_predict.errors import NoProphetInterval, OutOfRange
from crypto_predict.market import DAY

COMBINED = "combined"
PROPHET = "prophet"
MODELS = (COMBINED, PROPHET)

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MOST_DAYS = date.max.toordinal()  # since 1970, in either direction
_MOST_LOG_PRICE = 700.0  # math.exp overflows from 709.8 on
_KNOWN = Band(0.0, 0.0)  # around a price that was observed


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
    """What keeps this forecast from being evaluated: a price that no number can hold, or a frequency that none can."""
    reach = _reach(forecast)
    if reach < _MOST_LOG_PRICE:  # False for NaN too
        return []
    return [f"its log price may reach {reach:.4g}, and e to more than {_MOST_LOG_PRICE:g} is beyond every number"]


def _reach(forecast: PairForecast) -> float:
    """An upper bound of the log price's distance from 0, band included, at any instant of the range."""
    fastest = max((len(s.coefficients) / s.period for s in forecast.seasonalities), default=0.0) * math.pi
    if not math.isfinite(fastest * _MOST_DAYS):
        return math.inf
    boldest = max(1.0, _largest(forecast.prophet_weights))
    curve = _reach_of_curve(forecast) + abs(forecast.level_correction)
    known = max(abs(math.log(price)) for price in (forecast.last_close, forecast.anchor.price))
    bands = (forecast.fitted_band, *forecast.forecast_bands, *forecast.prophet_bands)
    widest = _largest(end for band in bands for end in (band.low, band.high))
    return boldest * curve + (1 + boldest) * known + _largest(forecast.other_increments) + widest


def _reach_of_curve(forecast: PairForecast) -> float:
    """The same of the curve alone, from the close before the first day, where its first instants set out."""
    trend = _PiecewiseLinear(forecast.trend)
    ends = (forecast.first.toordinal() - 1, forecast.end.toordinal())
    corners = [*map(trend.at, ends), *map(trend.at_scaled, forecast.trend.changepoints)]
    waves = sum(abs(value) for seasonality in forecast.seasonalities for value in seasonality.coefficients)
    return abs(forecast.scale) * (_largest(corners) + waves)


def _largest(values: Iterable[float]) -> float:
    """The largest distance from 0, which no NaN hides: infinite where a value is no number."""
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
        return self.at_scaled((ordinal - self._start) / self._days)

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
