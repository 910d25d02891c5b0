"""Histories made by hand, for tests that need one without a source."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import exp, pi, sin
from random import Random

from crypto_predict.history import History
from crypto_predict.market import Candle, Interval, Pair

START = datetime(2021, 1, 1, tzinfo=UTC)


def wandering(day: int) -> float:
    """A close that trends, swings through the year and the week, and never repeats."""
    return 20_000 * exp(0.0004 * day + 0.2 * sin(day / 58) + 0.01 * sin(day * 2.4) + 0.03 * sin(day * day))


def _moves(days: int) -> list[float]:
    """Log prices, each move of which takes half of the one before with it."""
    random, move, path = Random(7), 0.0, [20.7]
    for _ in range(days):
        move = 0.5 * move + 0.008 * random.gauss(0, 1)
        path.append(path[-1] + move)
    return path


_PATH = _moves(1000)


def rhythmic(day: int) -> float:
    """A close that can be forecast, of around 10^9: its moves go on, and it swings through the week by 3 %."""
    return exp(_PATH[day + 1] + 0.03 * sin(2 * pi * day / 7))


def flat(_: int) -> float:
    """A close that never moves."""
    return 250.0


def make_candle(open_time: datetime, close: float, opened: float | None = None) -> Candle:
    """A sound candle that opens at `opened`, or near its close where nothing is said."""
    first = close * 0.999 if opened is None else opened
    return Candle(open_time, first, max(first, close) * 1.01, min(first, close) * 0.99, close, 12.5)


def make_history(
    days: int = 900, close: Callable[[int], float] = wandering, missing: frozenset[int] = frozenset()
) -> History:
    """A daily history of so many days from 2021-01-01, without the days in `missing`; each opens where one closed."""
    kept = [day for day in range(days) if day not in missing]
    candles = tuple(make_candle(START + timedelta(days=day), close(day), close(day - 1)) for day in kept)
    return History(Pair("BTC", "USD"), Interval.DAY_1, "file:hand-made.csv", False, candles, (), 0)


def as_csv(history: History) -> str:
    """The history as the text of a CSV file."""
    rows = [f"{c.open_time:%Y-%m-%d},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in history.candles]
    return "\n".join(["time,open,high,low,close,volume", *rows, ""])
