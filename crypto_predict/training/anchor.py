"""The newest price there is, from which a forecast sets out."""

from __future__ import annotations

import logging
from datetime import datetime

from crypto_predict.baked.schema import Anchor
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.forecasting.gate.quality import anchor_faults
from crypto_predict.history import History, candles_since
from crypto_predict.market import DAY, Candle, Interval
from crypto_predict.market.ports import CandleSource
from crypto_predict.settings import GateThresholds

_log = logging.getLogger(__name__)


def newest_price(
    history: History, source: CandleSource, limit: datetime, thresholds: GateThresholds
) -> tuple[Anchor, list[str]]:
    """The close of the last closed hourly candle, or of the last daily one where there is no newer, and its faults.

    A price at fault is not used: the anchor is the last daily close then.

    Args:
        history: Daily.
        source: The source of `history`.
        limit: The instant (UTC) by which a candle must have closed.
        thresholds: Of the gate.
    """
    last = history.candles[-1]
    hours = _hours(history, source, limit)
    if hours and not (faults := anchor_faults(hours, last, thresholds)):
        return Anchor(hours[-1].open_time + Interval.HOUR_1.length, hours[-1].close), []
    return Anchor(last.open_time + DAY, last.close), faults if hours else []


def _hours(history: History, source: CandleSource, limit: datetime) -> list[Candle]:
    """The closed hourly candles since the last daily close; none where they cannot be had, which costs hours only."""
    if Interval.HOUR_1 not in source.intervals:
        return []
    try:
        # Without the hour that would complete the next daily candle: with it the day itself would be known.
        return candles_since(history, source, Interval.HOUR_1, DAY - Interval.HOUR_1.length, limit)
    except (SourceError, UnusableHistory) as error:
        _log.warning("%s: no hourly candles, the forecast sets out from the last daily close: %s", history.pair, error)
        return []
