"""The prices that one pair is trained on, the newest price, and the prices that followed a forecast of the past."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_predict.baked.schema import HORIZON_DAYS, Anchor
from crypto_predict.errors import Refused, SourceError, UnusableHistory
from crypto_predict.forecasting.gate.quality import anchor_faults, history_faults
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.history import MIN_CANDLES, History, candles_since, closing_limit, read_history
from crypto_predict.market import DAY, Candle, Interval, Pair
from crypto_predict.market.ports import CandleSource
from crypto_predict.training.settings import GatePlan, HistoryRequest

# Days read before those that a fit sees. With them, the first forecasts of the backtest have a year behind them, and
# the interval starts from more days than it is scored on.
WARM_UP = 365

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PairHistory:
    """The prices that one pair is trained on."""

    history: History  # of as many days as a fit sees
    past: History  # the same with the warm-up before it
    source: CandleSource  # of both
    anchor: Anchor  # the newest price, where the forecast starts
    faults: tuple[str, ...]  # found by a gate that is not enforced


def read_pair(
    sources: Sequence[CandleSource], pair: Pair, request: HistoryRequest, gate: GatePlan, now: datetime
) -> PairHistory:
    """Read the history of one pair, and the newest price.

    Raises:
        Refused: The gate is enforced and accepts the history of no source, or not the newest price.
        UnusableHistory: No source has a usable history.
    """
    limit = closing_limit(request.until, now)

    def judge(history: History) -> list[str]:
        return history_faults(history, gate.thresholds, limit, request.days)

    days = request.days + WARM_UP
    past, source = read_history(
        sources, pair, Interval.DAY_1, days, request.until, now, judge if gate.enforced else None
    )
    history = past.last(request.days)
    if len(history.candles) < MIN_CANDLES:  # the others are warm-up, from before a gap
        fault = f"{len(history.candles)} usable candles in the last {request.days} days, {MIN_CANDLES} are needed"
        raise UnusableHistory(f"{pair} from {history.source}", [fault])
    anchor, faults = newest_price(history, source, limit, gate.thresholds)
    if gate.enforced and faults:
        raise Refused([f"{pair}: {history.source}: {fault}" for fault in faults])
    return PairHistory(history, past, source, anchor, () if gate.enforced else (*judge(past), *faults))


def newest_price(
    history: History, source: CandleSource, limit: datetime, thresholds: GateThresholds
) -> tuple[Anchor, list[str]]:
    """Return the close of the newest closed hourly candle, or of the last daily one if there is no newer; its faults.

    A price with faults is not used: the anchor is then the last daily close. `history` is daily, and a candle must have
    closed by `limit` (UTC).
    """
    last = history.candles[-1]
    hours = _hours(history, source, limit)
    faults = anchor_faults(hours, last, thresholds) if hours else []
    if not hours or faults:
        return Anchor(last.open_time + DAY, last.close), faults
    return Anchor(hours[-1].open_time + Interval.HOUR_1.length, hours[-1].close), []


def _hours(history: History, source: CandleSource, limit: datetime) -> list[Candle]:
    """Return the closed hourly candles since the last daily close; without them the forecast is only less fresh."""
    if Interval.HOUR_1 not in source.intervals:
        return []
    try:
        # The last hour of the day is left out: with it, the day itself would be known.
        return candles_since(history, source, Interval.HOUR_1, DAY - Interval.HOUR_1.length, limit)
    except (SourceError, UnusableHistory) as error:
        _log.warning("%s: no hourly candles, the forecast starts at the last daily close: %s", history.pair, error)
        return []


def candles_after(history: History, source: CandleSource, now: datetime) -> list[Candle]:
    """Return the sound daily candles of the `HORIZON_DAYS` days after `history`, ascending, from the same source.

    If the source fails, log a warning and return none. Only pictures show these candles, after the training.
    """
    try:
        limit = closing_limit(None, now)
        candles = candles_since(history, source, Interval.DAY_1, HORIZON_DAYS * DAY, limit)
    except (SourceError, UnusableHistory) as error:
        _log.warning("%s: the picture does not show the prices that followed: %s", history.pair, error)
        return []
    return [candle for candle in candles if not candle.faults()]
