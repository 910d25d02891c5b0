"""The state from which the minute forecasts of a series are computed, and their scores. It uses no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from crypto_predict.forecasting.minutes.features import MinuteState
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.forecasting.minutes.outcomes import DayVolatility, is_usable, scores_of
from crypto_predict.market import Candle, Interval
from crypto_predict.market.collected import ForecastStep
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteForecast, MinuteScores

UNFITTED = "its coefficients are not fitted yet"

_MINUTE = Interval.MINUTE_1.length


class ForecastState:
    """The state of one series, and those of its forecasts whose outcomes may still come.

    `learn` takes in the past, in time order; gaps are allowed. `step` takes in what is new.
    """

    def __init__(self, coefficients: Coefficients | None, forecasts: Iterable[MinuteForecast] = ()) -> None:
        """Start without a candle. `forecasts` were made before; without `coefficients` no more are made."""
        self.newest: datetime | None = None  # UTC, the newest opening
        self.fault: str | None = UNFITTED  # why the newest candle has no forecast; None if it has one
        self.news: list[Candle] = []  # which the first `step` is to take in
        self._coefficients, self._state, self._day = coefficients, MinuteState(), DayVolatility()
        self._forecasts = {forecast.cutoff: forecast for forecast in forecasts}
        self._volatility: dict[datetime, float] = {}  # of the last day, at the cutoffs of these forecasts

    def learn(self, candle: Candle) -> None:
        """Take in a candle of the past."""
        self._state.add(candle)
        self._day.add(candle)
        self.newest = candle.open_time
        close = candle.open_time + _MINUTE
        if close in self._forecasts:
            self._volatility[close] = self._day.volatility()

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
        self.fault = self._state.fault()
        if self._coefficients is None:
            self.fault = self.fault or UNFITTED
        if self._coefficients is None or self.fault is not None:
            return None
        forecast = self._coefficients.forecast(self._state)
        if not is_usable(forecast):
            self.fault = "a defect: a price of its forecast is not a positive number"
            return None
        self._forecasts[forecast.cutoff] = forecast
        self._volatility[forecast.cutoff] = self._day.volatility()
        return forecast
