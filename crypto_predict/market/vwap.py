"""The volume-weighted average price (VWAP) of a session."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

DAY_SECONDS = 86_400


def session_vwaps(candles: Iterable[tuple[int, float, float, float, float]]) -> Iterator[float | None]:
    """Return for each candle the VWAP of its session up to its end. A session is a UTC day.

    ``VWAP = sum(typical price * volume) / sum(volume)`` over the candles of the session so far, where the typical price
    is ``(high + low + close) / 3``. A candle without volume keeps the VWAP before it; None before the first volume of a
    session, and where a sum is too large for a number.

    Args:
        candles: Ascending, from the first one of a session on: opening in seconds since 1970, high, low, close, volume.
    """
    session = None
    vwap = None
    for opening, high, low, close, volume in candles:
        if opening // DAY_SECONDS != session:
            session, vwap = opening // DAY_SECONDS, None
            turnover = total = 0.0
        if volume:
            turnover += (high + low + close) / 3 * volume
            total += volume
            vwap = turnover / total
            if not vwap < math.inf:
                vwap = None
        yield vwap
