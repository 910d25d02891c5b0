"""Intervals and spans of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


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
