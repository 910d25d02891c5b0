"""The minute forecasts of every pair that is collected, each made as soon as its candle is stored.

One thread does the steps of all pairs: it scores the forecasts whose outcome has come, makes new ones, and stores both
in one transaction. Another one prepares one pair at a time: it reads the history, fits the coefficients once a day, and
computes a state anew after candles that came late. Streams and REST wait for neither.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic

from crypto_predict.collecting.live.events import Stored
from crypto_predict.collecting.live.forecasting.series import (
    RETRY_DEFECT,
    RETRY_REFUSED,
    Fitted,
    ForecastSeries,
    Work,
    follow_minutes,
)
from crypto_predict.collecting.live.forecasting.state import ForecastDatabase, fit, state_of
from crypto_predict.collecting.live.forecasting.turns import in_turns
from crypto_predict.errors import DatabaseError, InvalidValue, UnusableHistory
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.logs import event
from crypto_predict.market import SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import CollectedSeries, ForecastStep
from crypto_predict.market.forecast import MinuteModel
from crypto_predict.outages import Outage
from crypto_predict.threads import in_thread

GATHER = 0.1  # seconds: candles of many pairs close together, and one transaction stores their forecasts
RETRY = 5.0  # seconds from one attempt to the next while the database is away
KEEP = timedelta(days=1)  # how long forecasts are stored; their scores stay
STOPPING = 0.5  # seconds of this machine that `stop` waits for the threads

_log = logging.getLogger(__name__)


class Forecasts:
    """Scores and makes the minute forecasts. `run` and `prepare` are parts of a collector; other methods do not wait.

    Whatever fails here is logged, and harms neither collecting nor the other pairs.
    """

    def __init__(self, database: ForecastDatabase, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._series: dict[SeriesKey, ForecastSeries] = {}
        self._models: dict[SeriesKey, Fitted] | None = None  # None: they were not read yet
        # Of both. Held for a moment only, since the event loop and those who store wait for it.
        self._lock = threading.Lock()
        self._stepping, self._preparing = threading.Lock(), threading.Lock()  # held while the threads work
        self._is_stopped = threading.Event()
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # while `run` runs
        self._outage = Outage(clock.monotonic)  # of the database
        self.step_seconds = 0.0  # the newest step took
        self.fit_seconds = 0.0  # all fits took since the start

    def follow(self, series: Sequence[CollectedSeries]) -> None:
        """Forecast the minutes among these series, as the database describes them now, and no others."""
        with self._lock:
            for key, stored in follow_minutes(self._series, series).items():
                self._series.setdefault(key, ForecastSeries(stored)).stored = stored

    def stored(self, news: Stored) -> None:
        """Take candles that are stored now; any thread may call this."""
        with self._lock:
            series = self._series.get(news.series)
            is_due = series is not None and series.arrived(news.candles, news.changed)
        if is_due:
            self._wake()

    async def run(self) -> None:
        """Make forecasts of what is stored, for ever."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._clock.sleep(GATHER)
            await in_thread(self._step, "forecasts")
            if self._outage.failures:
                await self._clock.sleep(RETRY)
                self._arrived.set()

    async def prepare(self) -> None:
        """Prepare the pairs that are due, one at a time, for ever; the machine rests as long as each one took."""
        await in_turns(self._prepare_next, self._clock, "forecast-history")

    def stop(self) -> None:
        """End within a second. A thread that computes ends later, and does not store what it has."""
        self._is_stopped.set()
        end = monotonic() + STOPPING
        for working in (self._stepping, self._preparing):
            if working.acquire(timeout=max(0.0, end - monotonic())):
                working.release()

    def figures(self) -> dict[SeriesKey, dict[str, float | None]]:
        """Return what is measured of each series now; it does not wait."""
        now = self._clock.now()
        with self._lock:
            return {key: series.figures(now) for key, series in self._series.items()}

    def _wake(self) -> None:
        """Begin a step soon."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                self._loop.call_soon_threadsafe(self._arrived.set)

    def _step(self) -> None:
        """Score and forecast what has arrived of every pair, and store it."""
        began = self._clock.monotonic()
        with self._stepping:
            with self._lock:
                followed = list(self._series.items())
            for key, series in followed:
                self._advance(key, series)
            self._store()
        self.step_seconds = self._clock.monotonic() - began

    def _advance(self, key: SeriesKey, series: ForecastSeries) -> None:
        try:
            series.advance(self._lock)
        except Exception:  # noqa: BLE001 a defect in one pair must not harm the others
            _log.exception("%s from %s: its forecasts have failed, and begin again", key.pair, key.source)
            with self._lock:
                series.begin_again(self._clock.monotonic())
        if series.state is None or series.state.newest is None:
            return
        fault, logged, series.fault = series.state.fault, series.fault, series.state.fault
        if fault is not None and logged is None:
            event(_log, logging.INFO, "no minute forecasts", **_facts(key), reason=fault)
        elif fault is None and logged is not None:
            event(_log, logging.INFO, "minute forecasts begin", **_facts(key))

    def _store(self) -> None:
        """Store the pending steps of all pairs in one transaction."""
        with self._lock:
            steps = {key: list(series.pending) for key, series in self._series.items() if series.pending}
        if not steps or self._is_stopped.is_set():
            return
        try:
            self._write(steps)
        except DatabaseError as error:
            if self._outage.failed():
                text = "the database is away; minute forecasts are kept, and stored when it is back"
                event(_log, logging.WARNING, text, reason=error.reason, retry_seconds=RETRY)
            return
        with self._lock:
            for key in steps.keys() & self._series.keys():
                self._series[key].stored_until(steps[key][-1].until)
        if self._outage.over() is not None:
            event(_log, logging.WARNING, "minute forecasts are stored again")

    def _write(self, steps: Mapping[SeriesKey, Sequence[ForecastStep]]) -> None:
        """Write the steps of all pairs; those of a pair in which there is a defect are dropped.

        If the database goes away, what was written is left out the next time.
        """
        try:
            self._database.write_forecasts(steps, KEEP)
        except ValueError:
            for series, some in steps.items():
                try:
                    self._database.write_forecasts({series: some}, KEEP)
                except ValueError:
                    text = "%s from %s: its minute forecasts cannot be stored, and are dropped"
                    _log.exception(text, series.pair, series.source)

    def _prepare_next(self) -> bool:
        """Prepare the series that needs it most; return whether one did."""
        with self._preparing:
            try:
                models = self._models = self._read_models() if self._models is None else self._models
            except DatabaseError:  # the writer reports it
                return False
            if (urgent := self._most_urgent(models)) is not None:
                self._prepare(*urgent, models)
        return urgent is not None

    def _read_models(self) -> dict[SeriesKey, Fitted]:
        """Return the stored coefficients. Those that cannot be used are fitted again."""
        models = {}
        for series, model in self._database.minute_models().items():
            try:
                models[series] = model.fitted_at, Coefficients.from_json(model.content)
            except InvalidValue as error:
                text = "coefficients of minute forecasts are fitted again"
                event(_log, logging.WARNING, text, **_facts(series), reason=error)
        return models

    def _most_urgent(self, models: dict[SeriesKey, Fitted]) -> tuple[Work, datetime, SeriesKey] | None:
        """Return what is to be prepared now, and the newest opening (UTC) that it takes in."""
        seconds, now = self._clock.monotonic(), self._clock.now()
        with self._lock:
            due = [
                (*next_work, key)
                for key, series in self._series.items()
                if (next_work := series.due(seconds, now, models.get(key))) is not None
            ]
            if not due:
                return None
            work, newest, key = min(due)
            self._series[key].begin(work, seconds)
            return work, newest, key

    def _prepare(self, work: Work, newest: datetime, key: SeriesKey, models: dict[SeriesKey, Fitted]) -> None:
        """Prepare a series, and hand over its state to the next step. Coefficients that are fitted anew are stored."""
        began, now, is_stopped = self._clock.monotonic(), self._clock.now(), self._is_stopped.is_set
        coefficients = models[key][1] if key in models else None
        state, fitted, refused, retry = None, None, None, RETRY_DEFECT
        try:
            if work is Work.FIT:
                try:
                    fitted = fit(self._database, key, newest, coefficients, is_stopped)
                except UnusableHistory as error:
                    refused = "; ".join(error.faults)
            usable = fitted or coefficients
            state = state_of(self._database, key, newest, usable, is_stopped, is_first=work is Work.READ)
            if fitted is not None and not is_stopped():
                self._database.write_minute_model(key, MinuteModel(now, fitted.to_json()))
        except DatabaseError:  # the writer reports it
            state, retry = None, RETRY
        except Exception:  # noqa: BLE001 a defect in one pair must not harm the others
            state = None
            _log.exception("%s from %s: minute forecasts cannot be prepared", key.pair, key.source)
        with self._lock:
            series = self._series.get(key)
            if series is None or is_stopped():
                return
            if state is None:
                series.failed(self._clock.monotonic(), retry)
                return
            series.prepared, series.is_rebuild = state, work is Work.REBUILD
            if refused is not None:
                series.next[Work.FIT] = self._clock.monotonic() + RETRY_REFUSED
            if fitted is not None:
                series.fits += 1
                models[key] = now, fitted
        if refused is not None:
            text = "coefficients of minute forecasts cannot be fitted"
            event(_log, logging.WARNING, text, **_facts(key), reason=refused)
        if fitted is not None:
            self.fit_seconds += self._clock.monotonic() - began
            text = "coefficients of minute forecasts fitted"
            event(_log, logging.INFO, text, **_facts(key), candles=fitted.minutes)
        self._wake()


def _facts(series: SeriesKey) -> dict[str, object]:
    return {"source": series.source, "pair": series.pair}
