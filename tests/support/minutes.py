"""Minutes: own-made ones, whose numbers follow from their opening, and real ones with the gaps of their exchange."""

import csv
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey, Span

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
