"""The state from which the minute forecasts of a series are computed, and how it comes from the stored candles.

Everything is read up to an opening (UTC), or less if `is_stopped` returns true meanwhile. Errors are `DatabaseError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from threadpoolctl import threadpool_limits

from crypto_predict.forecasting.minutes.features import Minutes, MinuteState
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.forecasting.minutes.outcomes import is_usable, scores_of
from crypto_predict.history.columns import Candles
from crypto_predict.market import Candle, Interval, SeriesKey, Span
from crypto_predict.market.collected import ForecastStep
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteForecast, MinuteScores
from crypto_predict.market.ports import CandleReader, ForecastReader, ForecastWriter, RecordReader

WARM = timedelta(days=14)  # of candles that a state is computed from: the longest half-life is a week
FULL = timedelta(days=28)  # of candles that coefficients are fitted on, at most: every weekday four times
PAGE = 5_000  # candles that are objects at a time
UNFITTED = "its coefficients are not fitted yet"

_MINUTE = Interval.MINUTE_1.length


class ForecastDatabase(CandleReader, ForecastReader, RecordReader, ForecastWriter, Protocol):
    """What minute forecasts are computed from and stored in."""


class ForecastState:
    """The state of one series, and those of its forecasts whose outcomes may still come.

    `learn` takes in the past, in time order; gaps are allowed. `step` takes in what is new.
    """

    def __init__(self, coefficients: Coefficients | None, forecasts: Iterable[MinuteForecast] = ()) -> None:
        """Start without a candle. `forecasts` were made before; without `coefficients` no more are made."""
        self.newest: datetime | None = None  # UTC, the newest opening
        self.fault: str | None = UNFITTED  # why the newest candle has no forecast; None if it has one
        self.news: list[Candle] = []  # which the first `step` is to take in
        self._coefficients, self._state = coefficients, MinuteState()
        self._forecasts = {forecast.cutoff: forecast for forecast in forecasts}
        self._volatility: dict[datetime, float] = {}  # of the last day, at the cutoffs of these forecasts

    def learn(self, candle: Candle) -> None:
        """Take in a candle of the past."""
        self._state.add(candle)
        self.newest = candle.open_time
        close = candle.open_time + _MINUTE
        if close in self._forecasts:
            self._volatility[close] = self._state.volatility()

    def step(self, candles: Sequence[Candle]) -> list[ForecastStep]:
        """Take in the candles that are newer than the state; return what they add to the record of the series.

        Each candle is the outcome of up to 15 forecasts. Only the newest candle gets a forecast; for the older ones the
        outcome is known.
        """
        steps, news = [], self._news(candles)
        for candle in news:
            scores = self._scores(candle)
            self.learn(candle)
            forecast = self._forecast() if candle is news[-1] else None
            if scores or forecast is not None:
                steps.append(ForecastStep(forecast, candle.open_time + _MINUTE, scores))
        return steps

    def in_place_of(self, older: ForecastState, since: Iterable[Candle]) -> list[ForecastStep]:
        """Take over the forecasts of an older state, and the candles that it has taken in `since`.

        If its newest candle did not get a forecast, return the step with that of this state.
        """
        self._forecasts, self._volatility, self.fault = older._forecasts, older._volatility, older.fault
        for candle in self._news(since):
            self.learn(candle)
        if self.fault is None or (forecast := self._forecast()) is None:
            return []
        return [ForecastStep(forecast, forecast.cutoff, ())]

    def _news(self, candles: Iterable[Candle]) -> list[Candle]:
        """Return the candles that follow those that were taken in, ascending; the last one of an opening."""
        newest = self.newest
        news = {candle.open_time: candle for candle in candles if newest is None or candle.open_time > newest}
        return [news[opening] for opening in sorted(news)]

    def _scores(self, candle: Candle) -> tuple[MinuteScores, ...]:
        """Return the scores of the forecasts whose outcome a candle is, by horizon, and forget older ones."""
        close = candle.open_time + _MINUTE
        for cutoff in [cutoff for cutoff in self._forecasts if close - cutoff > MINUTES_AHEAD * _MINUTE]:
            del self._forecasts[cutoff]
            self._volatility.pop(cutoff, None)
        due = {
            (close - cutoff) // _MINUTE: (forecast, self._volatility[cutoff])
            for cutoff, forecast in self._forecasts.items()
            if cutoff < close and cutoff in self._volatility
        }
        return scores_of(due, candle.close)

    def _forecast(self) -> MinuteForecast | None:
        self.fault = self._state.fault() or (UNFITTED if self._coefficients is None else None)
        if self._coefficients is None or self.fault is not None:
            return None
        forecast = self._coefficients.forecast(self._state)
        if not is_usable(forecast):
            self.fault = "a defect: a price of its forecast is not a positive number"
            return None
        self._forecasts[forecast.cutoff] = forecast
        self._volatility[forecast.cutoff] = self._state.volatility()
        return forecast


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
    columns = Candles.of(stored_candles(database, series, _until(newest, FULL), is_stopped), Interval.MINUTE_1)
    if is_stopped():
        return None
    with threadpool_limits(1):  # the streams need the other cores
        return Coefficients.fit(Minutes.of(columns), before)


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
        record = database.minute_records(series).get(series)
        cutoffs = Span(newest - WARM, newest + 2 * _MINUTE)
        forecasts = database.minute_forecasts(series, cutoffs, MINUTES_AHEAD, newest=True)
        closes = [forecast.cutoff for forecast in forecasts[-1:]] + ([record.until] if record is not None else [])
        until, state = max(closes, default=newest), ForecastState(coefficients, forecasts)
    for candle in stored_candles(database, series, _until(newest, WARM), is_stopped):
        if candle.open_time < until:
            state.learn(candle)
        else:
            state.news.append(candle)
    return state


def stored_candles(
    database: CandleReader, series: SeriesKey, span: Span, is_stopped: Callable[[], bool]
) -> Iterator[Candle]:
    """Yield the stored candles that open in `span`, ascending."""
    start = span.start
    while start < span.end and not is_stopped():
        page = database.candles(series, Span(start, span.end), PAGE)
        yield from (stored.candle for stored in page)
        start = page[-1].candle.open_time + series.interval.length if len(page) == PAGE else span.end


def _until(newest: datetime, length: timedelta) -> Span:
    """Return the span of this length whose last minute opens at `newest`."""
    end = newest + _MINUTE
    return Span(end - length, end)
