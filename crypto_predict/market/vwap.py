"""The volume-weighted average price (VWAP) of a session."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

DAY_SECONDS = 86_400


def session_vwaps(openings: Iterable[int], candles: Iterable[Sequence[Any]]) -> Iterator[float | None]:
    """Return for each candle the VWAP of its session up to its end. A session is a UTC day.

    ``VWAP = sum(typical price * volume) / sum(volume)`` over the candles of the session so far, where the typical price
    is ``(high + low + close) / 3``. A candle without volume keeps the VWAP before it; None before the first volume of a
    session, and where a sum is too large for a number.

    Args:
        openings: In seconds since 1970, ascending, from the first one of a session on.
        candles: The candles that open then. Each is a `Candle`, or a tuple with its fields.
    """
    session_end = -math.inf
    vwap = None
    for opening, candle in zip(openings, candles, strict=True):
        if opening >= session_end:
            session_end = opening - opening % DAY_SECONDS + DAY_SECONDS
            turnover = total = 0.0
            vwap = None
        volume = candle[5]
        if volume:
            turnover += (candle[2] + candle[3] + candle[4]) / 3 * volume
            total += volume
            vwap = turnover / total
            if not vwap < math.inf:
                vwap = None
        yield vwap
