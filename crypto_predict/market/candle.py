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
            f"{name} {price} is not a positive number"
            for name, price in prices.items()
            if not (math.isfinite(price) and price > 0)
        ]
        if not (math.isfinite(self.volume) and self.volume >= 0):
            found.append(f"volume {self.volume} is not zero or a positive number")
        if not found and not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            found.append(
                f"open {self.open} and close {self.close} do not lie between low {self.low} and high {self.high}"
            )
        return found


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
        yield Candle(
            open_time=opening,
            open=parts[0].open,
            high=max(part.high for part in parts),
            low=min(part.low for part in parts),
            close=parts[-1].close,
            volume=sum(part.volume for part in parts),
        )


def price_decimals(price: float) -> int:
    """Return the number of decimals that a price is written with: five significant digits, at least cents."""
    return max(2, 4 - math.floor(math.log10(price)))
