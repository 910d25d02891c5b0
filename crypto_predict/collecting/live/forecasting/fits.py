"""Fits coefficients, and computes the state of a series from the stored candles.

Everything is read up to an opening (UTC), or less if `is_stopped` returns true meanwhile. Errors are `DatabaseError`.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol

from threadpoolctl import threadpool_limits

from crypto_predict.collecting.live.forecasting.state import ForecastState
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.history.columns import Candles
from crypto_predict.market import Candle, Interval, SeriesKey, Span
from crypto_predict.market.forecast import MINUTES_AHEAD
from crypto_predict.market.ports import CandleReader, ForecastReader, ForecastWriter, RecordReader

WARM = timedelta(days=14)  # of candles that a state is computed from: the longest half-life is a week
FULL = timedelta(days=28)  # of candles that coefficients are fitted on, at most: every weekday four times
PAGE = 5_000  # candles that are objects at a time

_MINUTE = Interval.MINUTE_1.length


class ForecastDatabase(CandleReader, ForecastReader, RecordReader, ForecastWriter, Protocol):
    """What minute forecasts are computed from and stored in."""


class Work(IntEnum):
    """What can be prepared for a series, the most urgent first."""

    READ = 1  # its history, for the first time
    REBUILD = 2  # its state, since candles came late or were revised
    FIT = 3  # its coefficients


def fit(
    database: ForecastDatabase,
    series: SeriesKey,
    newest: datetime,
    before: Coefficients | None,
    is_stopped: Callable[[], bool],
) -> Coefficients | None:
    """Return new coefficients, starting from those of `before`; None if `is_stopped` returns true meanwhile.

    Raises:
        UnusableHistory: They cannot be fitted on these candles.
    """
    columns = Candles.of(_candles(database, series, newest, FULL, is_stopped), Interval.MINUTE_1)
    if is_stopped():
        return None
    with threadpool_limits(1):  # the streams need the other cores
        return Coefficients.fit(columns, before)


def state_of(  # noqa: PLR0913 each is one fact
    database: ForecastDatabase,
    series: SeriesKey,
    newest: datetime,
    coefficients: Coefficients | None,
    is_stopped: Callable[[], bool],
    *,
    is_first: bool,
) -> ForecastState:
    """Return a state that has taken in the stored candles.

    The first one of a process gets the stored forecasts whose outcomes may still come; the candles that are not scored
    yet are its `news`. Without scores and forecasts, only the newest candle is new: it gets the first forecast.
    """
    until, state = newest + _MINUTE, ForecastState(coefficients)
    if is_first:
        record = database.minute_record(series)
        cutoffs = Span(newest - WARM, newest + 2 * _MINUTE)
        forecasts = database.minute_forecasts(series, cutoffs, MINUTES_AHEAD, newest=True)
        closes = [forecast.cutoff for forecast in forecasts[-1:]] + ([record.until] if record is not None else [])
        until, state = max(closes, default=newest), ForecastState(coefficients, forecasts)
    for candle in _candles(database, series, newest, WARM, is_stopped):
        if candle.open_time < until:
            state.learn(candle)
        else:
            state.news.append(candle)
    return state


def _candles(
    database: CandleReader, series: SeriesKey, newest: datetime, length: timedelta, is_stopped: Callable[[], bool]
) -> Iterator[Candle]:
    end = newest + _MINUTE
    start = end - length
    while start < end and not is_stopped():
        page = database.candles(series, Span(start, end), PAGE)
        yield from (stored.candle for stored in page)
        start = page[-1].candle.open_time + _MINUTE if len(page) == PAGE else end
