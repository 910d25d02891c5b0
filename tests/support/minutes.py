"""Minutes: own-made ones, whose numbers follow from their opening, and real ones with the gaps of their exchange."""

import csv
import gzip
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import ForecastStep
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteForecast, MinuteScores

MINUTES = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
START = datetime(2024, 5, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVER = Span(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
MANY = 10**9
_REAL = Path(__file__).parents[3] / "shared" / "data" / "bitfinex_BTC-USD_1m_2019Q1.csv.gz"


def candle(minute: int) -> Candle:
    """Return the candle that opens `minute` minutes after `START`, or before if it is negative."""
    price = 100 + minute % 97 / 7
    volume = minute % 5 / 3
    return Candle(
        START + minute * MINUTE, price, price + 3, price - 2, price + 1, volume, volume * price, 17, 0.5, 0.25
    )


def candles(first: int, last: int) -> list[Candle]:
    """Return the candles from `first` to `last`, the latter not included."""
    return [candle(minute) for minute in range(first, last)]


def span(first: int, last: int) -> Span:
    """Return the span of the minutes from `first` to `last`, the latter not included."""
    return Span(START + first * MINUTE, START + last * MINUTE)


def vwap(session: Sequence[Candle]) -> float | None:
    """Return the VWAP at the end of a session's candles, straight from its definition."""
    turnover, volume = 0.0, 0.0  # `sum` adds floats differently in some versions of Python
    for candle in session:
        turnover += (candle.high + candle.low + candle.close) / 3 * candle.volume
        volume += candle.volume
    return turnover / volume if volume else None


def vwaps(ascending: Sequence[Candle]) -> list[float | None]:
    """Return the VWAP of the session of each candle up to its end, each one computed anew."""
    days = [candle.open_time.date() for candle in ascending]
    return [vwap(ascending[days.index(day) : end]) for end, day in enumerate(days, 1)]


def real_minutes(days: int) -> list[Candle]:
    """Return the real minutes of BTC/USD in the first days of 2019. They have no optional values."""
    if not _REAL.exists():
        pytest.skip("the real minutes of BTC/USD are not on this machine")
    end = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(days=days)
    with gzip.open(_REAL, "rt", newline="") as file:
        rows = iter(csv.reader(file))
        next(rows)  # the names of the columns
        result = (_real_candle(*row) for row in rows)
        return list(takewhile(lambda candle: candle.open_time < end, result))


def _real_candle(milliseconds: str, *values: str) -> Candle:
    first, high, low, close, volume = map(float, values)
    return Candle(EPOCH + timedelta(milliseconds=int(milliseconds)), first, high, low, close, volume)


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
