"""Compare the last close of a history with that of another exchange."""

import logging
from collections.abc import Sequence

from crypto_predict.baked.schema import CrossCheck
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.history.failover import History
from crypto_predict.market import Span
from crypto_predict.market.ports import CandleSource, PriceSource

_log = logging.getLogger(__name__)


def compare_last_close(history: History, source: CandleSource, others: Sequence[CandleSource]) -> CrossCheck | None:
    """Return the last close of `history`, which comes from `source`, at the first of `others` that answers.

    Each exchange is asked for one candle. Its failure is only logged. Files and simulated prices are neither compared
    nor asked: they may be copies, or are made up.
    """
    if not isinstance(source, PriceSource):
        return None
    last = history.candles[-1]
    span = Span(last.open_time, history.end)
    for other in others:
        if not isinstance(other, PriceSource) or other.id == source.id:
            continue
        try:
            candles = [
                candle for candle in other.candles(history.pair, history.interval, span) if candle.open_time in span
            ]
            traded = other.traded(history.pair)
        except (SourceError, UnusableHistory) as error:
            _log.warning("%s: the last close is not compared with that of %s: %s", history.pair, other.id, error)
            continue
        if not candles or candles[-1].faults():
            _log.warning("%s: %s does not have a candle to compare with the last one", history.pair, other.id)
            continue
        check = CrossCheck(
            other.id, traded, last.open_time.date(), candles[-1].close, candles[-1].close / last.close - 1
        )
        facts = history.pair, last.close, source.id, check.close, traded, other.id, 100 * check.difference
        _log.info("%s: the last close is %g at %s and %g (%s) at %s, %+.2f %% apart", *facts)
        return check
    return None
