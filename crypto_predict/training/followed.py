"""Read the prices after a forecast of the past. Only its picture uses them, after the training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from crypto_predict.baked.schema import HORIZON_DAYS
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.history import History, closing_limit
from crypto_predict.market import DAY, Candle, Interval, Span
from crypto_predict.sources.port import Source

_log = logging.getLogger(__name__)


def candles_after(sources: Sequence[Source], history: History, now: datetime) -> list[Candle]:
    """Return the sound daily candles of the `HORIZON_DAYS` days after `history`, ascending, from its own source.

    If the source fails, log a warning and return none.

    Args:
        sources: Must contain the source of `history`.
        history: Daily.
        now: The present, in UTC.
    """
    source = next(source for source in sources if source.name == history.source)
    start = history.candles[-1].open_time + DAY
    try:
        end = min(source.end(history.pair, Interval.DAY_1, closing_limit(None, now)), start + HORIZON_DAYS * DAY)
        if end <= start:
            return []
        span = Span(start, end)
        found = {one.open_time: one for one in source.candles(history.pair, Interval.DAY_1, span) if not one.faults()}
    except (SourceError, UnusableHistory) as error:
        _log.warning("%s: the picture does not show the prices that followed: %s", history.pair, error)
        return []
    return [found[opening] for opening in sorted(found) if opening in span and opening + DAY <= span.end]
