"""The hourly candles of a pair: stored ones, and those that its stored minutes make.

An hour counts if the source was asked for all of its minutes: one of which some are still to come is left out, so that
a forecast never takes a part of an hour for the whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Protocol

from crypto_predict.collecting.live.forecasting.state import stored_candles
from crypto_predict.collecting.windows import uncovered
from crypto_predict.history.columns import Candles
from crypto_predict.market import EPOCH, Candle, Interval, SeriesKey, Span, resample
from crypto_predict.market.ports import CandleReader, CoverageReader

_HOUR = Interval.HOUR_1


class HourReader(CoverageReader, CandleReader, Protocol):
    """What hourly candles are read from."""


def read_hours(
    database: HourReader, minutes: SeriesKey, span: Span, is_stopped: Callable[[], bool]
) -> Iterator[Candle]:
    """Yield the hourly candles that open in `span`, which are whole hours, for a series of minutes; in any order.

    Hours that the source was asked for as such come first. Less is read if `is_stopped` returns true meanwhile.
    """
    hourly = replace(minutes, interval=_HOUR)
    yield from stored_candles(database, hourly, span, is_stopped)
    asked = database.coverage(minutes)
    for part in uncovered(span, database.coverage(hourly)):
        for covered in asked:
            whole = Span(max(part.start, covered.start), min(part.end, covered.end)).whole(_HOUR)
            if whole.start < whole.end:
                yield from resample(stored_candles(database, minutes, whole, is_stopped), whole, _HOUR)


def extended(candles: Candles | None, since: datetime, further: Iterator[Candle]) -> Candles:
    """Return hourly candles with `further` ones in place of those that open at `since` (UTC) or later."""
    if candles is None:
        return Candles.of(further, _HOUR).last_copies()
    before = candles[: int(candles.open_time.searchsorted(int((since - EPOCH).total_seconds())))]
    return Candles.of(chain(before, further), _HOUR).last_copies()
