"""Fits coefficients, and computes the state of a series from the stored candles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol

from threadpoolctl import threadpool_limits

from crypto_predict.collecting.live.forecasting.state import ForecastState
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.history.columns import Candles
from crypto_predict.market import Candle, Interval, SeriesKey, Span
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteForecast, MinuteModel
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


@dataclass(frozen=True, slots=True)
class Preparation:
    """A piece of work for one series."""

    series: SeriesKey
    newest: datetime  # UTC, the newest opening that is taken in
    kind: Work
    coefficients: Coefficients | None  # that it has


@dataclass(frozen=True, slots=True)
class Prepared:
    """A state that has taken in its history."""

    state: ForecastState
    news: Sequence[Candle] = ()  # the candles that follow: outcomes that are not scored yet
    fitted: Coefficients | None = None  # if they are new
    refused: str | None = None  # why they could not be fitted


def prepare(
    database: ForecastDatabase, work: Preparation, now: datetime, is_stopped: Callable[[], bool]
) -> Prepared | None:
    """Read the history of a series, and return its state; None if `is_stopped` returns true meanwhile.

    If the coefficients are due, fit them and store them as of `now` (UTC).

    Raises:
        DatabaseError: The database cannot be used.
    """
    fitted, refused = None, None
    if work.kind is Work.FIT:
        columns = Candles.of(_candles(database, work, FULL, is_stopped), Interval.MINUTE_1)
        if is_stopped():
            return None
        try:
            with threadpool_limits(1):  # the streams need the other cores
                fitted = Coefficients.fit(columns, work.coefficients)
        except UnusableHistory as error:
            refused = "; ".join(error.faults)
    until, forecasts = _stored(database, work) if work.kind is Work.READ else (work.newest + _MINUTE, ())
    state, news = ForecastState(fitted or work.coefficients, forecasts), list[Candle]()
    for candle in _candles(database, work, WARM, is_stopped):
        if candle.open_time < until:
            state.learn(candle)
        else:
            news.append(candle)
    if is_stopped():
        return None
    if fitted is not None:
        database.write_minute_model(work.series, MinuteModel(now, fitted.to_json()))
    return Prepared(state, news, fitted, refused)


def _stored(database: ForecastDatabase, work: Preparation) -> tuple[datetime, Sequence[MinuteForecast]]:
    """Return the close up to which the outcomes are scored, and the forecasts whose outcomes may still come.

    Without scores and forecasts, only the newest candle is new: it gets the first forecast.
    """
    record = database.minute_record(work.series)
    cutoffs = Span(work.newest - WARM, work.newest + 2 * _MINUTE)
    forecasts = database.minute_forecasts(work.series, cutoffs, MINUTES_AHEAD, newest=True)
    closes = [forecast.cutoff for forecast in forecasts[-1:]] + ([record.until] if record is not None else [])
    return max(closes, default=work.newest), forecasts


def _candles(
    database: CandleReader, work: Preparation, length: timedelta, is_stopped: Callable[[], bool]
) -> Iterator[Candle]:
    """Yield the stored candles of so long a time up to the newest one that is taken in."""
    end = work.newest + _MINUTE
    start = end - length
    while start < end and not is_stopped():
        page = database.candles(work.series, Span(start, end), PAGE)
        yield from (stored.candle for stored in page)
        start = page[-1].candle.open_time + _MINUTE if len(page) == PAGE else end
