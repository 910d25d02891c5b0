"""Pairs, intervals, candles, quotes and gaps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import groupby
from pathlib import Path

from crypto_predict.errors import InvalidValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

_PAIR = re.compile(r"([A-Z0-9]{1,20})[/_-]([A-Z0-9]{2,10})")


class Interval(Enum):
    """The length of a candle. Candles are aligned to whole multiples since the Unix epoch, in UTC."""

    MINUTE_1 = timedelta(minutes=1)
    MINUTE_5 = timedelta(minutes=5)
    MINUTE_10 = timedelta(minutes=10)
    HOUR_1 = timedelta(hours=1)
    DAY_1 = timedelta(days=1)

    @property
    def length(self) -> timedelta:
        """The time from a candle's opening to the next one's."""
        return self.value

    @property
    def seconds(self) -> int:
        """`length` in seconds."""
        return self.value // timedelta(seconds=1)

    def floor(self, instant: datetime) -> datetime:
        """Return the opening of the candle that contains `instant`."""
        return instant - (instant - EPOCH) % self.value


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time."""

    start: datetime  # UTC, included
    end: datetime  # UTC, not included

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two currencies: one `base` costs an amount of `quote`. Written ``BTC/USD``, or ``BTC-USD`` in a path."""

    base: str  # 1 to 20 capital letters and digits
    quote: str  # 2 to 10

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Read ``BTC/USD``, ``BTC-USD`` or ``btc_usd``.

        Raises:
            InvalidValue: The text is not a pair.
        """
        match = _PAIR.fullmatch(text.strip().upper())
        if match is None or not text.isascii():
            raise InvalidValue("pair", text, "two currencies such as BTC/USD")
        return cls(match[1], match[2])

    @property
    def slug(self) -> str:
        """The pair as one path segment: ``BTC-USD``."""
        return f"{self.base}-{self.quote}"

    def fill(self, template: Path) -> Path:
        """Insert the currencies for ``{base}`` and ``{quote}`` in a path."""
        return Path(str(template).replace("{base}", self.base).replace("{quote}", self.quote))

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """The name of one series of candles. Prices of different sources are never mixed in one series."""

    source: str  # the id of a `CandleSource`
    pair: Pair
    interval: Interval


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
