"""A forecast series: its inbox, its forecasts not yet stored, and its next fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from threading import Lock
from typing import TypeVar

from crypto_predict.collecting.live.forecasting.state import FULL, ForecastState
from crypto_predict.forecasting.minutes.model import LEAST_MINUTES, Coefficients
from crypto_predict.market import Candle, Interval, SeriesKey
from crypto_predict.market.collected import CollectedSeries, ForecastStep

MOST_PENDING = 60  # steps that wait for the database; of more, the oldest are dropped
MOST_CANDLES = 1_000  # that wait until the history was read, which has them, too

REFIT = timedelta(days=1)  # the age of coefficients at which they are fitted again
# In seconds of the market, from one attempt to the next:
RETRY_REFUSED = 3_600.0  # after a fit that was refused, since prices hardly move
RETRY_DEFECT = 300.0  # after a defect

Fitted = tuple[datetime, Coefficients]  # and when (UTC) they were fitted

_MINUTE = Interval.MINUTE_1.length
_Followed = TypeVar("_Followed")  # what is kept of a series


class Work(IntEnum):
    """What can be prepared for a series, the most urgent first."""

    READ = 1  # its history, for the first time
    REBUILD = 2  # its state, since candles came late or were revised
    FIT = 3  # its coefficients


# As above, from one preparation to the next.
RETRIES = {Work.READ: 0.0, Work.REBUILD: 3_600.0, Work.FIT: 300.0}


def follow_minutes(
    followed: dict[SeriesKey, _Followed], series: Iterable[CollectedSeries]
) -> Mapping[SeriesKey, CollectedSeries]:
    """Return the minutes among these series, and drop what is followed of any other."""
    minutes = {stored.series: stored for stored in series if stored.series.interval is Interval.MINUTE_1}
    for key in followed.keys() - minutes.keys():
        del followed[key]
    return minutes


@dataclass(slots=True)
class ForecastSeries:
    """One series. Seconds are those of the clock."""

    stored: CollectedSeries  # as of the last look at the database
    state: ForecastState | None = None  # None before its history was read
    newest: datetime | None = None  # UTC, the newest opening that has arrived
    inbox: list[Candle] = field(default_factory=list)  # what has arrived and is not in `state`, ascending
    pending: list[ForecastStep] = field(default_factory=list)  # not stored yet
    is_busy: bool = False  # candles are being taken into `state`
    prepared: ForecastState | None = None  # takes the place of `state` with the next step
    is_rebuild: bool = False  # `prepared` is a state computed anew, with the coefficients of before
    since: list[Candle] | None = None  # what `state` has taken in since `begin`; None: nothing is prepared
    is_stale: bool = False  # candles came late, or were revised
    next: dict[Work, float] = field(default_factory=lambda: dict.fromkeys(Work, 0.0))  # seconds, when each may begin
    fault: str | None = None  # why the newest candle had no forecast, as it was logged
    cutoff: datetime | None = None  # UTC, of the newest forecast that is stored
    forecasts: int = 0  # forecasts that are stored, since the start
    fits: int = 0  # since the start
    rebuilds: int = 0  # since the start

    def figures(self, now: datetime) -> dict[str, float | None]:
        """Return what is measured at `now` (UTC)."""
        lag = None if self.cutoff is None else (Interval.MINUTE_1.floor(now) - self.cutoff).total_seconds()
        return {
            "forecast_lag_seconds": None if lag is None else max(0.0, lag),
            "forecasts_total": self.forecasts,
            "forecast_fits_total": self.fits,
            "forecast_rebuilds_total": self.rebuilds,
        }

    def arrived(self, candles: Iterable[Candle], changed: int) -> bool:
        """Take candles that are stored now, of which so many are new or differ; return whether any is the newest.

        What is new and does not follow the newest candle came late, or was revised.
        """
        fresh = sorted(candle for candle in candles if self.newest is None or candle.open_time > self.newest)
        self.is_stale = self.is_stale or len(fresh) < changed
        if fresh:
            self.newest = fresh[-1].open_time
            self.inbox += fresh
            if self.state is None and len(self.inbox) > MOST_CANDLES:
                self.is_stale = True  # what is forgotten may be later than the history that is read
                del self.inbox[:-MOST_CANDLES]
        return bool(fresh)

    def advance(self, lock: Lock) -> None:
        """Apply the candles of the inbox to the state, or to a freshly fitted one. New forecasts become `pending`.

        `lock` is held only while fields change hands: candles of weeks may have arrived.
        """
        with lock:
            ready, self.prepared = self.prepared, None
            state, arrived = self.state, self.inbox
            if state is None:
                if ready is None:
                    return
                state, arrived = ready, [*ready.news, *arrived]
                ready.news.clear()
            self.inbox, self.is_busy = [], True
            since = self.since
        steps = state.step(arrived)
        if ready is not None and ready is not state:
            steps += ready.in_place_of(state, [*(since or ()), *arrived])
        with lock:
            self.is_busy = False
            self.pending = [*self.pending, *steps][-MOST_PENDING:]
            if ready is not None:
                self.rebuilds += self.is_rebuild
                self.state, self.since, self.is_rebuild = ready, None, False
            elif since is not None:
                since += arrived

    def stored_until(self, close: datetime) -> None:
        """Note that the steps up to a close (UTC) are stored."""
        cutoffs = [step.forecast.cutoff for step in self.pending if step.forecast is not None and step.until <= close]
        self.pending = [step for step in self.pending if step.until > close]
        self.forecasts += len(cutoffs)
        self.cutoff = max(cutoffs, default=self.cutoff)

    def due(self, seconds: float, now: datetime, fitted: Fitted | None) -> tuple[Work, datetime] | None:
        """Return what is to be prepared, and the newest opening (UTC) that it takes in; None if nothing is.

        `seconds` and `now` (UTC) are the present on the clock. Without `fitted` it has no coefficients.
        """
        newest = self.newest
        if newest is None and self.stored.newest_close is not None:
            newest = self.stored.newest_close - _MINUTE
        if newest is None or self.prepared is not None or self.is_busy:
            return None
        if self.state is None:
            return (Work.READ, newest) if seconds >= self.next[Work.READ] else None
        if self.inbox:  # what has arrived is taken in first
            return None
        newest = self.state.newest or newest
        if self.is_stale and seconds >= self.next[Work.REBUILD]:
            return Work.REBUILD, newest
        return (Work.FIT, newest) if self._is_fit_due(seconds, now, fitted) else None

    def begin(self, work: Work, seconds: float) -> None:
        """Note that this is prepared from now on."""
        self.is_stale, self.since = False, []
        self.next[work] = seconds + RETRIES[work]

    def failed(self, seconds: float, retry: float = RETRY_DEFECT) -> None:
        """Note that a preparation has failed; whatever is due is tried again after so many seconds."""
        self.is_stale, self.since = True, None
        self.next = dict.fromkeys(Work, seconds + retry)

    def begin_again(self, seconds: float) -> None:
        """Forget the state, whose step has failed. The history is read again, but not at once."""
        self.state = self.prepared = None
        self.is_busy = False
        self.inbox.clear()
        self.failed(seconds)

    def _is_fit_due(self, seconds: float, now: datetime, fitted: Fitted | None) -> bool:
        """Return whether coefficients are to be fitted: daily, and whenever a short history has doubled."""
        first, newest = self.stored.first_open, self.stored.newest_close
        if first is None or newest is None or seconds < self.next[Work.FIT]:
            return False
        history = min((newest - first) // _MINUTE - self.stored.missing, FULL // _MINUTE)
        if history < LEAST_MINUTES:
            return False
        return fitted is None or abs(now - fitted[0]) >= REFIT or history >= 2 * fitted[1].minutes
