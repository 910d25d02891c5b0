"""Read the prices after a forecast of the past. Only its picture uses them, after the training."""

from __future__ import annotations

import logging
from datetime import datetime

from crypto_predict.baked.schema import HORIZON_DAYS
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.history import History, candles_since, closing_limit
from crypto_predict.market import DAY, Candle, Interval
from crypto_predict.market.ports import CandleSource

_log = logging.getLogger(__name__)


def candles_after(history: History, source: CandleSource, now: datetime) -> list[Candle]:
    """Return the sound daily candles of the `HORIZON_DAYS` days after `history`, ascending.

    If the source fails, log a warning and return none.

    Args:
        history: Daily.
        source: The source of `history`.
        now: The present, in UTC.
    """
    try:
        limit = closing_limit(None, now)
        candles = candles_since(history, source, Interval.DAY_1, HORIZON_DAYS * DAY, limit)
    except (SourceError, UnusableHistory) as error:
        _log.warning("%s: the picture does not show the prices that followed: %s", history.pair, error)
        return []
    return [candle for candle in candles if not candle.faults()]
