"""Forecasts of the next 24 hours of every pair, each made once the hour before it is stored.

They are those of a training (`forecasting.distribution.hours`), of the pair's own hours: what is learned is learned
anew for each forecast, since that takes a tenth of a second for 90 days. The hours are kept in memory, and the new ones
are read from the database. Candles that came late, or were revised, are in the next forecast.

One thread does one pair at a time, and rests as long as each took: streams and minute forecasts wait for it nowhere.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from threadpoolctl import threadpool_limits

from crypto_predict.collecting.live.events import Stored
from crypto_predict.collecting.live.forecasting.hour_candles import HourReader, extended, read_hours
from crypto_predict.collecting.live.forecasting.series import follow_minutes
from crypto_predict.collecting.live.forecasting.turns import in_turns
from crypto_predict.errors import DatabaseError
from crypto_predict.forecasting.distribution.hours import LEAST_HISTORY, Hours, learn
from crypto_predict.history.columns import Candles
from crypto_predict.logs import event
from crypto_predict.market import EPOCH, Interval, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.forecast import HourForecast
from crypto_predict.market.ports import HourForecastWriter
from crypto_predict.wording import counted

MOST_HISTORY = timedelta(days=365)  # of hours, as a training uses by default
REREAD = timedelta(days=1)  # after which all hours are read again: another process may have added some
KEEP = timedelta(days=7)  # how long forecasts are stored
# In seconds of the market, from one attempt to the next:
RETRY_AWAY = 5.0  # while the database is away
RETRY_OPEN = 20.0  # while minutes of the newest hour are missing, which REST may still have
RETRY_SHORT = 300.0  # while the history is too short, or after a defect
STOPPING = 0.5  # seconds of this machine that `stop` waits for the thread

_HOUR = Interval.HOUR_1

_log = logging.getLogger(__name__)


class HourDatabase(HourReader, HourForecastWriter, Protocol):
    """What forecasts of hours are made of and stored in."""


@dataclass(slots=True)
class HourSeries:
    """The hours of one series of minutes. Seconds are those of the clock."""

    newest: datetime | None = None  # UTC, the newest close that is stored
    candles: Candles | None = None  # its whole hours up to `newest`
    read_at: datetime | None = None  # UTC, when all of them were read
    late: datetime | None = None  # UTC, from where on they are read again
    next: float = 0.0  # seconds, when the next forecast may begin
    cutoff: datetime | None = None  # UTC, of the newest forecast that is stored
    fault: str | None = None  # why there is none, as it was logged
    forecasts: int = 0  # that were stored, since the start

    def end(self) -> datetime | None:
        """Return the end of the newest hour (UTC) that may be whole; None before the first candle."""
        return None if self.newest is None else _HOUR.floor(self.newest)

    def stored(self, news: Stored) -> None:
        """Take note of candles that are stored now."""
        if news.series.interval is not _HOUR:
            close = max(candle.open_time for candle in news.candles) + news.series.interval.length
            self.newest = max(close, self.newest or close)
        if news.changed:
            first = _HOUR.floor(min(candle.open_time for candle in news.candles))
            self.late = min(first, self.late or first)

    def is_due(self, seconds: float) -> bool:
        """Return whether there is an hour after the newest forecast."""
        end = self.end()
        return end is not None and seconds >= self.next and (self.cutoff is None or end > self.cutoff)


class HourForecasts:
    """Makes the forecasts of hours. `run` is a part of a collector; the other methods do not wait.

    Whatever fails here is logged, and harms neither collecting nor the other pairs.
    """

    def __init__(self, database: HourDatabase, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._series: dict[SeriesKey, HourSeries] = {}  # by the key of the minutes
        self._lock = threading.Lock()  # of the series; held for a moment only
        self._working = threading.Lock()  # held while the thread works
        self._is_stopped = threading.Event()
        self.seconds = 0.0  # all forecasts took since the start

    def follow(self, series: Sequence[CollectedSeries]) -> None:
        """Forecast the hours of the minutes among these series, as the database describes them now, and no others."""
        with self._lock:
            for key, stored in follow_minutes(self._series, series).items():
                followed = self._series.setdefault(key, HourSeries())
                followed.newest = max(filter(None, (followed.newest, stored.newest_close)), default=None)

    def stored(self, news: Stored) -> None:
        """Take note of candles that are stored now; any thread may call this."""
        minutes = SeriesKey(news.series.source, news.series.pair, Interval.MINUTE_1)
        with self._lock:
            if minutes in self._series and news.series.interval in {Interval.MINUTE_1, _HOUR} and news.candles:
                self._series[minutes].stored(news)

    async def run(self) -> None:
        """Forecast the pairs that are due, one at a time, for ever."""
        await in_turns(self._forecast_next, self._clock, "forecast-hours")

    def stop(self) -> None:
        """End within a second. A thread that computes ends later, and does not store what it has."""
        self._is_stopped.set()
        if self._working.acquire(timeout=STOPPING):
            self._working.release()

    def figures(self) -> dict[SeriesKey, dict[str, float | None]]:
        """Return what is measured of each series now; it does not wait."""
        hour = _HOUR.floor(self._clock.now())
        with self._lock:
            return {
                key: {
                    "hour_forecast_lag_seconds": None
                    if series.cutoff is None
                    else max(0.0, (hour - series.cutoff).total_seconds()),
                    "hour_forecasts_total": series.forecasts,
                }
                for key, series in self._series.items()
            }

    def _forecast_next(self) -> bool:
        """Forecast the pair whose newest forecast is the oldest, if one is due; return whether one was."""
        began = self._clock.monotonic()
        with self._working:
            with self._lock:
                due = [(series.cutoff or EPOCH, key) for key, series in self._series.items() if series.is_due(began)]
                if not due:
                    return False
                key = min(due)[1]
                series = self._series[key]
            retry = self._attempt(key, series)
            with self._lock:
                series.next = self._clock.monotonic() + retry
        self.seconds += self._clock.monotonic() - began
        return True

    def _attempt(self, key: SeriesKey, series: HourSeries) -> float:
        """Make the next forecast of a pair, if its hours can carry one; return the seconds until the next attempt."""
        try:
            candles, end = self._read(key, series)
            if not len(candles) or _close(candles) != end:
                return RETRY_OPEN
            if (fault := _fault(candles)) is not None:
                self._note(key, series, fault)
                return RETRY_SHORT
            with threadpool_limits(1):  # the streams need the other cores
                forecast = forecast_of(candles)
            if not self._is_stopped.is_set():
                self._database.write_hour_forecast(key, forecast, KEEP)
                self._note(key, series, None)
                series.cutoff, series.forecasts = forecast.cutoff, series.forecasts + 1
        except DatabaseError:  # the writer reports it
            return RETRY_AWAY
        except Exception:  # noqa: BLE001 a defect in one pair must not harm the others
            _log.exception("%s from %s: its hours cannot be forecast", key.pair, key.source)
            series.candles = None
            return RETRY_SHORT
        return 0.0

    def _read(self, key: SeriesKey, series: HourSeries) -> tuple[Candles, datetime]:
        """Return the hours of a pair as they are stored now, and the end of the newest one that may be whole (UTC)."""
        now = self._clock.now()
        with self._lock:
            candles, late, end = series.candles, series.late, series.end() or now
            series.late = None
        start = end - MOST_HISTORY
        if candles is None or series.read_at is None or abs(now - series.read_at) >= REREAD:
            candles, since, series.read_at = None, start, now
        else:
            since = max(start, min(filter(None, (late, _close(candles) if len(candles) else start))))
        series.candles = None  # if this fails, all of them are read again
        hours = read_hours(self._database, key, Span(since, end), self._is_stopped.is_set)
        series.candles = candles = extended(candles, since, hours)
        return candles, end

    def _note(self, key: SeriesKey, series: HourSeries, fault: str | None) -> None:
        """Log why a pair has no forecast, once, and that its forecasts begin."""
        if fault is not None and series.fault is None:
            event(_log, logging.INFO, "no forecasts of hours", source=key.source, pair=key.pair, reason=fault)
        if fault is None and (series.fault is not None or not series.forecasts):
            event(_log, logging.INFO, "forecasts of hours begin", source=key.source, pair=key.pair)
        series.fault = fault


def forecast_of(candles: Candles) -> HourForecast:
    """Return the forecast at the newest close of hours, of which there are `LEAST_HISTORY` or more."""
    distribution, _ = learn(Hours.of(candles))
    rows = tuple(map(tuple, distribution.ahead().tolist()))
    return HourForecast(_close(candles), float(candles.close[-1]), rows)


def _fault(candles: Candles) -> str | None:
    """Return why these hours cannot carry a forecast; None if they can."""
    if len(candles) < LEAST_HISTORY:
        return f"{counted(len(candles), 'hour')} of history, {LEAST_HISTORY:,} are needed"
    return None


def _close(candles: Candles) -> datetime:
    """Return the newest close (UTC)."""
    return EPOCH + timedelta(seconds=int(candles.open_time[-1])) + _HOUR.length
