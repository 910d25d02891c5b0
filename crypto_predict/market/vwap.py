"""The volume-weighted average price (VWAP) of a session."""

import math
from collections.abc import Sequence
from typing import Any

DAY_SECONDS = 86_400


class Session:
    """The sums of a session, from which its VWAP follows as `StoredCandle` says; the next session begins by itself.

    None also where a sum is too large for a number.
    """

    __slots__ = ("end", "turnover", "volume")

    def __init__(self, opening: int | None = None, turnover: float = 0.0, volume: float = 0.0) -> None:
        """Continue a session after the candle that opens at `opening`, in seconds since 1970; None: begin one."""
        self.end = -math.inf if opening is None else session_end(opening)  # seconds since 1970, not included
        self.turnover, self.volume = turnover, volume

    def add(self, opening: int, candle: Sequence[Any]) -> float | None:
        """Add the next candle, or a tuple with its fields, and return the VWAP up to its end.

        `opening` is in seconds since 1970, after those before.
        """
        if opening >= self.end:
            self.end = session_end(opening)
            self.turnover = self.volume = 0.0
        volume = candle[5]
        if volume:
            self.turnover += (candle[2] + candle[3] + candle[4]) / 3 * volume
            self.volume += volume
        if not self.volume:
            return None
        vwap = self.turnover / self.volume
        return vwap if vwap < math.inf else None


def session_end(opening: int) -> int:
    """Return the end of the session of a candle, in seconds since 1970."""
    return opening - opening % DAY_SECONDS + DAY_SECONDS
