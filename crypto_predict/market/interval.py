"""Intervals and spans of time."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum

from crypto_predict.errors import InvalidValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # an opening of every interval
FIRST_DAY = date(2009, 1, 3)  # of Bitcoin's first block: no market of a cryptocurrency is older
FIRST_EXPECTED = f"a day from {FIRST_DAY} (Bitcoin's first block) on"


class Interval(Enum):
    """The length of a candle. Candles are aligned to whole multiples since the Unix epoch, in UTC; weeks to Mondays."""

    MINUTE_1 = timedelta(minutes=1)
    MINUTE_5 = timedelta(minutes=5)
    MINUTE_10 = timedelta(minutes=10)
    MINUTE_15 = timedelta(minutes=15)
    MINUTE_30 = timedelta(minutes=30)
    HOUR_1 = timedelta(hours=1)
    HOUR_4 = timedelta(hours=4)
    DAY_1 = timedelta(days=1)
    WEEK_1 = timedelta(weeks=1)

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Read a label such as ``1m`` or ``4h``; raise `InvalidValue`, which lists all, if the text is another."""
        for interval in cls:
            if interval.label == text:
                return interval
        raise InvalidValue("interval", text, f"one of {', '.join(interval.label for interval in cls)}")

    @classmethod
    def of_seconds(cls, seconds: int) -> "Interval":
        """Return the interval of this length; raise `ValueError` if there is none."""
        return cls(timedelta(seconds=seconds))

    @property
    def label(self) -> str:
        """The interval as users write it: ``1m``."""
        unit, count = self.name.split("_")
        return f"{count}{unit[0].lower()}"

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
        return instant - (instant - MONDAY) % self.value

    def ceil(self, instant: datetime) -> datetime:
        """Return the first opening at or after `instant`."""
        return instant + (MONDAY - instant) % self.value


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time."""

    start: datetime  # UTC, included
    end: datetime  # UTC, not included

    def whole(self, interval: Interval) -> "Span":
        """Return the longest part that begins and ends on the grid of `interval`; its end may lie before its start."""
        return Span(interval.ceil(self.start), interval.floor(self.end))

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end
