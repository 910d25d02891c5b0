"""Candles, quotes and gaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from crypto_predict.market.interval import Interval


@dataclass(frozen=True, slots=True)
class Candle:
    """What a market did in one interval. Prices are in the quote currency, volumes in the base currency."""

    open_time: datetime  # UTC
    open: float
    high: float
    low: float
    close: float
    volume: float

    def faults(self) -> list[str]:
        """Return every reason why a market cannot have made this candle."""
        inside = 0 < self.low <= self.open <= self.high < math.inf and self.low <= self.close <= self.high
        if inside and 0 <= self.volume < math.inf:
            return []
        prices = {"open": self.open, "high": self.high, "low": self.low, "close": self.close}
        found = [
            f"{name} {price} is not a positive number" for name, price in prices.items() if not 0 < price < math.inf
        ]
        if not 0 <= self.volume < math.inf:
            found.append(f"volume {self.volume} is not zero or a positive number")
        bounds = f"low {self.low} and high {self.high}"
        return found or [f"open {self.open} and close {self.close} do not lie between {bounds}"]


@dataclass(frozen=True, slots=True)
class Quote:
    """The top of the order book at one instant. Prices are in the quote currency, sizes in the base currency."""

    time: datetime  # UTC
    bid: float
    bid_size: float
    ask: float
    ask_size: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles that a source does not have."""

    start: datetime  # the first missing opening, included
    end: datetime  # the next opening that exists, not included
    missing: int  # candles


def aggregate(candles: Iterable[Candle], interval: Interval) -> Iterator[Candle]:
    """Join ascending candles into longer ones: first open, highest high, lowest low, last close, summed volume."""
    for opening, group in groupby(candles, key=lambda candle: interval.floor(candle.open_time)):
        parts = list(group)
        high, low = max(part.high for part in parts), min(part.low for part in parts)
        yield Candle(opening, parts[0].open, high, low, parts[-1].close, sum(part.volume for part in parts))


def price_decimals(price: float) -> int:
    """Return the number of decimals that a price is written with: five significant digits, at least cents."""
    return max(2, 4 - math.floor(math.log10(price)))
