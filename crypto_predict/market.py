"""The vocabulary of the market: Pair, Interval, Span and Candle.

Every instant is a time-zone-aware datetime in UTC. A candle is named by its opening instant, which it includes; it ends
where the next one opens, which it does not include.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from crypto_predict.errors import InvalidValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

_PAIR = re.compile(r"([A-Z0-9]{2,10})[/_-]([A-Z0-9]{2,10})")


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two currencies: one `base` costs so many `quote`. Written ``BTC/USD``, or ``BTC-USD`` in a path."""

    base: str  # capital letters and digits
    quote: str

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Read ``BTC/USD``, ``BTC-USD`` or ``btc_usd``.

        Raises:
            InvalidValue: The text is nothing of the kind.
        """
        match = _PAIR.fullmatch(text.strip().upper())
        if match is None or not text.isascii():
            raise InvalidValue("pair", text, "two currencies such as BTC/USD")
        return cls(match[1], match[2])

    @property
    def slug(self) -> str:
        """The pair as one path segment: ``BTC-USD``."""
        return f"{self.base}-{self.quote}"

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


class Interval(Enum):
    """How long a candle lasts. Candles are aligned to whole multiples since the Unix epoch, in UTC."""

    MINUTE_1 = timedelta(minutes=1)
    MINUTE_5 = timedelta(minutes=5)
    MINUTE_10 = timedelta(minutes=10)
    HOUR_1 = timedelta(hours=1)
    DAY_1 = timedelta(days=1)

    @property
    def length(self) -> timedelta:
        """The time from a candle's opening to the next one's."""
        return self.value

    def floor(self, instant: datetime) -> datetime:
        """The opening of the candle that `instant` falls into."""
        return instant - (instant - EPOCH) % self.value


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time."""

    start: datetime  # UTC, included
    end: datetime  # UTC, not included

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


@dataclass(frozen=True, slots=True)
class Candle:
    """What a market did in one interval. Prices are in the quote currency, the volume in the base currency."""

    open_time: datetime  # UTC
    open: float
    high: float
    low: float
    close: float
    volume: float
    line: int | None = field(default=None, kw_only=True, compare=False, repr=False)  # of the file it comes from

    def faults(self) -> list[str]:
        """Everything that no real candle can be; nothing where the candle is sound."""
        prices = {"open": self.open, "high": self.high, "low": self.low, "close": self.close}
        found = [f"{name} {price} is not a positive number" for name, price in prices.items() if not _positive(price)]
        if not (math.isfinite(self.volume) and self.volume >= 0):
            found.append(f"volume {self.volume} is not zero or a positive number")
        if not found and not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            found.append(
                f"open {self.open} and close {self.close} do not lie between low {self.low} and high {self.high}"
            )
        return found


def _positive(price: float) -> bool:
    return math.isfinite(price) and price > 0
