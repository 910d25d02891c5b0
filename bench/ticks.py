"""Candles of 1, 5 and 10 minutes from the ticks of 500 pairs, against pandas' ``resample`` of the same ticks.

Both find out which ticks are repeated, and add up the volume.
"""

import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd

from bench.figures import Figure, in_turn
from crypto_predict.collecting.live.streams.ticks import TickCandles
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import BuiltCandle
from crypto_predict.market.events import TickReceived

PAIRS, TICKS, MINUTES = 500, 600_000, 20
GOAL = 200_000  # ticks a second
START = datetime(2025, 1, 1, tzinfo=UTC)
CANDLES = PAIRS * (MINUTES + MINUTES // 5 + MINUTES // 10)


class SteppedClock(Clock):
    """A clock that is set."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return what was set."""
        return self.seconds


def measure() -> Iterator[Figure]:
    """Measure both in turn."""
    ticks = _ticks()
    rates = in_turn({"ours": lambda: _rate(ticks), "pandas": lambda: _pandas_rate(ticks)}, rounds=3)
    name = f"candles from ticks of {PAIRS} pairs"
    yield Figure(name, rates["ours"], GOAL, "the goal", "/s", 1, at_least=True)
    yield Figure(name, rates["ours"], rates["pandas"], "pandas", "/s", 1, at_least=True)


def _ticks() -> list[TickReceived]:
    """Return ticks in the order of their times, each pair with its own price."""
    chance = random.Random(0)
    pairs = [Pair(f"C{number}", "USDT") for number in range(PAIRS)]
    prices = [100.0 + number for number in range(PAIRS)]
    step = timedelta(minutes=MINUTES) / TICKS
    found = []
    for number in range(TICKS):
        chosen = chance.randrange(PAIRS)
        prices[chosen] *= 1 + chance.gauss(0, 1e-4)
        found.append(TickReceived("bench", pairs[chosen], START + number * step, prices[chosen], 0.25, number))
    return found


def _rate(ticks: Sequence[TickReceived]) -> float:
    """Return the ticks a second, where complete candles are taken once a second of the market."""
    clock = SteppedClock(START)
    candles = TickCandles("bench", clock)
    candles.connected({tick.pair for tick in ticks}, START - timedelta(minutes=1))
    built: list[BuiltCandle] = []
    seconds = MINUTES * 60
    began = time.perf_counter()
    for second in range(seconds + 5):
        for tick in ticks[second * TICKS // seconds : (second + 1) * TICKS // seconds]:
            candles.add(tick)
        clock.seconds = second + 1
        built += [candle for series in candles.close().values() for candle in series]
    taken = time.perf_counter() - began
    assert len(built) == CANDLES, f"{len(built)} candles"
    return TICKS / taken


def _pandas_rate(ticks: Sequence[TickReceived]) -> float:
    """Return the ticks a second, where the ticks of all minutes are given at once."""
    began = time.perf_counter()
    frame = pd.DataFrame(ticks, columns=TickReceived._fields)
    by_pair = frame.drop_duplicates(["pair", "id"]).set_index("time").groupby("pair", sort=False)
    count = 0
    for minutes in (1, 5, 10):
        bars = by_pair.resample(f"{minutes}min")
        count += len(pd.concat([bars["price"].ohlc(), bars["size"].sum()], axis=1))
    taken = time.perf_counter() - began
    assert count == CANDLES, f"{count} candles"
    return TICKS / taken
