"""What the rows of the tables mean. A row that may have been altered, and means nothing, is an error."""

import json
import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from crypto_predict.errors import shown
from crypto_predict.market import Candle, Interval, Quote, SeriesKey, Span, StoredCandle, StoredGap
from crypto_predict.market.collected import (
    SERIES_STATES,
    BuiltCandle,
    CollectedSeries,
    Quarantined,
    StreamSpan,
    StreamState,
)
from crypto_predict.market.forecast import MinuteModel
from crypto_predict.store.columns import instant, instant_us, number, series_of, text, whole

_Row = Row[*tuple[Any, ...]]


def collected_of(row: _Row, price: object = None, earlier: object = None) -> CollectedSeries:
    """Return a series, with two prices if the query has them: that of the newest candle, and an earlier one."""
    key = series_of(row)
    first, last = (None if at is None else instant(at) for at in (row.first_open, row.last_open))
    if (first is None) != (last is None) or (first is not None and last is not None and first > last):
        raise ValueError(f"its first opening {first} and its last one {last} contradict each other")
    if row.state not in SERIES_STATES:
        raise ValueError(f"{row.state} is not one of {', '.join(SERIES_STATES)}")
    return CollectedSeries(
        series=key,
        simulated=row.simulated,
        state=row.state,
        first_open=first,
        newest_close=None if last is None else last + key.interval.length,
        gaps=row.gaps or 0,
        missing=int(row.length or 0) // key.interval.seconds,
        since=None if row.since is None else instant(row.since),
        compared=whole(row.compared),
        mismatched=whole(row.mismatched),
        version=whole(row.version),
        candles=whole(row.candles),
        is_rolled=row.unrolled is None,
        price=_price(price),
        earlier=_price(earlier),
    )


def _price(value: object) -> float | None:
    return value if isinstance(value, float) and 0 < value < math.inf else None


def span_of(row: Sequence[Any]) -> Span:
    """Return the span of a row that begins with its ends in seconds."""
    span = Span(instant(row[0]), instant(row[1]))
    if span.start >= span.end:
        raise ValueError("it ends before it begins")
    return span


def candle_of(row: Sequence[Any]) -> StoredCandle:
    """Return a candle whose numbers can be those of a market, each by itself: `history` judges what they mean."""
    opening, first, high, low, close, volume, quote, trades, taker_base, taker_quote, vwap = row
    # written out, because answers have thousands of them
    if not (
        0 < first < math.inf
        and 0 < high < math.inf
        and 0 < low < math.inf
        and 0 < close < math.inf
        and 0 <= volume < math.inf
        and (quote is None or 0 <= quote < math.inf)
        and (trades is None or 0 <= trades < math.inf)
        and (taker_base is None or 0 <= taker_base < math.inf)
        and (taker_quote is None or 0 <= taker_quote < math.inf)
        and (vwap is None or 0 <= vwap < math.inf)
    ):
        raise ValueError(f"{shown(str(row[1:]))} are not numbers of a market")
    candle = Candle(instant(opening), first, high, low, close, volume, quote, trades, taker_base, taker_quote)
    return StoredCandle(candle, vwap)


def quarantined_of(row: _Row) -> Quarantined:
    """Return a rejected candle, whose numbers need not be those of a market."""
    numbers = json.loads(row[1])
    if not all(value is None or isinstance(value, int | float) for value in numbers):
        raise ValueError("its numbers are not numbers")
    return Quarantined(Candle(instant_us(row[0]), *numbers), text(row[2]))


def quote_of(row: Sequence[Any]) -> Quote:
    """Return the best bid and ask at a time."""
    return Quote(instant_us(row[0]), *map(number, row[1:]))


def built_of(row: Sequence[Any]) -> BuiltCandle:
    """Return a candle that was built from ticks."""
    opening, first, high, low, close, ticks, late, partial, volume = row
    prices = number(first), number(high), number(low), number(close)
    size = None if volume is None else number(volume)
    return BuiltCandle(instant(opening), *prices, whole(ticks), whole(late), bool(partial), size)


def stream_of(row: _Row) -> StreamSpan:
    """Return a span in which a stream was in one state."""
    start, end, state, reason = row
    return StreamSpan(Span(instant_us(start), instant_us(end)), StreamState(state), text(reason))


def minute_model_of(row: _Row) -> tuple[SeriesKey, MinuteModel]:
    """Return what the minute forecasts of a series are computed from, beside the series."""
    return series_of(row), MinuteModel(instant_us(row.fitted_at_us), text(row.content))


def gap_of(row: Sequence[Any], interval: Interval) -> StoredGap:
    """Return the gap of a row that has the columns of `gaps` without its series."""
    span, (*_, cause, attempts, verdict, found_at) = span_of(row), row
    missing = (span.end - span.start) // interval.length
    return StoredGap(span.start, span.end, missing, text(cause), whole(attempts), text(verdict), instant_us(found_at))
