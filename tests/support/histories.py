"""Histories for tests that need no source."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from math import exp, pi, sin
from pathlib import Path
from random import Random

from crypto_predict.history import Candles, History
from crypto_predict.market import Candle, Interval, Pair
from crypto_predict.sources.csv_file import MOST_LINES, read_csv

BTC = Pair("BTC", "USD")
START = datetime(2021, 1, 1, tzinfo=UTC)


def wandering(day: int) -> float:
    """Return a close with a trend, a yearly and a weekly season, and no repetition."""
    return 20_000 * exp(0.0004 * day + 0.2 * sin(day / 58) + 0.01 * sin(day * 2.4) + 0.03 * sin(day * day))


def _moves(days: int) -> list[float]:
    """Return log prices whose moves repeat half of the move before."""
    random, move, path = Random(7), 0.0, [20.7]
    for _ in range(days):
        move = 0.5 * move + 0.008 * random.gauss(0, 1)
        path.append(path[-1] + move)
    return path


_PATH = _moves(1000)


def rhythmic(day: int) -> float:
    """Return a close of about 10^9 that can be forecast: moves continue, and the weekly season is 3 %."""
    return exp(_PATH[day + 1] + 0.03 * sin(2 * pi * day / 7))


def flat(_: int) -> float:
    return 250.0


def make_candle(open_time: datetime, close: float, opened: float | None = None) -> Candle:
    """Return a sound candle that opens at `opened`, by default near its close."""
    first = close * 0.999 if opened is None else opened
    return Candle(open_time, first, max(first, close) * 1.01, min(first, close) * 0.99, close, 12.5)


def make_history(
    days: int = 900, close: Callable[[int], float] = wandering, missing: frozenset[int] = frozenset()
) -> History:
    """Return a daily history from 2021-01-01 on, without the days in `missing`."""
    present = [day for day in range(days) if day not in missing]
    return history_of([make_candle(START + timedelta(days=day), close(day), close(day - 1)) for day in present])


def history_of(
    candles: Iterable[Candle],
    pair: Pair = BTC,
    source: str = "file:hand-made.csv",
    interval: Interval = Interval.DAY_1,
    *,
    simulated: bool = False,
) -> History:
    """Return a history of these candles, unchanged."""
    return History(pair, pair, interval, source, simulated, Candles.of(candles, interval), 0)


def read_candles(path: Path, base: str | None = None, most_lines: int = MOST_LINES) -> list[Candle]:
    return [candle for candle, _ in read_csv(path, most_lines, base)]


def as_csv(history: History) -> str:
    rows = [f"{c.open_time:%Y-%m-%d},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in history.candles]
    return "\n".join(["time,open,high,low,close,volume", *rows, ""])
