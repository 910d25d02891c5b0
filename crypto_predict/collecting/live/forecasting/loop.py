"""The minute forecasts of every pair that is collected, each made as soon as its candle is stored.

One thread does the steps of all pairs: it scores the forecasts whose outcome has come, makes new ones, and stores both
in one transaction. Another one prepares one pair at a time: it reads the history, fits the coefficients once a day, and
computes a state anew after candles that came late. Streams and REST wait for neither.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic

from crypto_predict.collecting.live.forecasting.fits import Preparation, prepare
from crypto_predict.collecting.live.forecasting.series import FAILED_APART, REFUSED_APART, Followed
from crypto_predict.collecting.live.measurements import ForecastFigures
from crypto_predict.collecting.live.threads import apart
from crypto_predict.errors import DatabaseError, InvalidValue
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.logs import event
from crypto_predict.market import Candle, Interval, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import CollectedSeries, ForecastStep, MarketWriter

GATHER = 0.1  # seconds: candles of many pairs close together, and one transaction stores their forecasts
RETRY = 5.0  # seconds from one attempt to the next while the database is away
KEEP = timedelta(days=1)  # how long forecasts are stored; their scores stay
LOOK = 1.0  # seconds from one look for a pair to prepare to the next
STOPPING = 0.5  # seconds of this machine that `stop` waits for the threads

_Models = dict[SeriesKey, tuple[datetime, Coefficients]]  # and when (UTC) they were fitted

_log = logging.getLogger(__name__)


class Forecasts:
    """Scores and makes the minute forecasts. `run` and `prepare` are parts of a collector; other methods do not wait.

    Whatever fails here is logged, and harms neither collecting nor the other pairs.
    """

    def __init__(self, database: MarketWriter, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._followed: dict[SeriesKey, Followed] = {}
        self._faults: dict[SeriesKey, str] = {}  # why a series has no forecasts, as logged
        self._models: _Models | None = None  # None: they were not read yet
        # Of all these. Held for a moment only, since the event loop and those who store wait for it.
        self._lock = threading.Lock()
        self._stepping, self._preparing = threading.Lock(), threading.Lock()  # held while the threads work
        self._is_stopped = threading.Event()
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # while `run` runs
        self._is_away = False
        self._step_seconds = 0.0
        self._fit_seconds = 0.0

    def follow(self, series: Sequence[CollectedSeries]) -> None:
        """Forecast the minutes among these series, as the database describes them now, and no others."""
        minutes = {one.series: one for one in series if one.series.interval is Interval.MINUTE_1}
        with self._lock:
            for key in self._followed.keys() - minutes.keys():
                del self._followed[key]
                self._faults.pop(key, None)
            for key, one in minutes.items():
                if key in self._followed:
                    self._followed[key].stored = one
                else:
                    self._followed[key] = Followed(one)

    def stored(self, series: SeriesKey, candles: Sequence[Candle], changed: int | None = None) -> None:
        """Take candles that are stored now; any thread may call this.

        `changed` of them were new to the database, or differ from what it had; None: all.
        """
        with self._lock:
            one = self._followed.get(series)
            is_due = one is not None and one.arrived(candles, len(candles) if changed is None else changed)
        if is_due:
            self._wake()

    async def run(self) -> None:
        """Make forecasts of what is stored, for ever."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._clock.sleep(GATHER)
            await apart(self._step, "forecasts")
            if self._is_away:
                await self._clock.sleep(RETRY)
                self._arrived.set()

    async def prepare(self) -> None:
        """Prepare the pairs that are due, one at a time, for ever; the machine rests as long as each one took."""
        while True:
            began = self._clock.monotonic()
            is_done = await apart(self._prepare_next, "forecast-history")
            await self._clock.sleep(self._clock.monotonic() - began if is_done else LOOK)

    def stop(self) -> None:
        """End within a second. A thread that computes ends later, and does not store what it has."""
        self._is_stopped.set()
        end = monotonic() + STOPPING
        for working in (self._stepping, self._preparing):
            if working.acquire(timeout=max(0.0, end - monotonic())):
                working.release()

    def figures(self) -> ForecastFigures:
        """Return what is measured now; it does not wait."""
        now = self._clock.now()
        with self._lock:
            series = {key: one.figures(now) for key, one in self._followed.items()}
        return ForecastFigures(self._step_seconds, self._fit_seconds, series)

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
                followed = list(self._followed.items())
            for series, one in followed:
                self._advance(series, one)
            self._store()
        self._step_seconds = self._clock.monotonic() - began

    def _advance(self, series: SeriesKey, one: Followed) -> None:
        try:
            one.advance(self._lock)
        except Exception:  # noqa: BLE001 a defect in one pair must not harm the others
            _log.exception("%s from %s: its forecasts have failed, and begin again", series.pair, series.source)
            with self._lock:
                one.begin_again(self._clock.monotonic())
        if one.track is None or one.track.newest is None:
            return
        fault, known = one.track.fault, self._faults.get(series)
        facts = {"source": series.source, "pair": series.pair}
        if fault is not None and known is None:
            event(_log, logging.INFO, "no minute forecasts", **facts, reason=fault)
            self._faults[series] = fault
        elif fault is None and known is not None:
            event(_log, logging.INFO, "minute forecasts begin", **facts)
            del self._faults[series]

    def _store(self) -> None:
        """Store the pending steps of all pairs in one transaction."""
        with self._lock:
            steps = {series: list(one.pending) for series, one in self._followed.items() if one.pending}
        if not steps or self._is_stopped.is_set():
            return
        try:
            self._write(steps)
        except DatabaseError as error:
            if not self._is_away:
                text = "the database is away; minute forecasts are kept, and stored when it is back"
                event(_log, logging.WARNING, text, reason=error.reason, retry_seconds=RETRY)
            self._is_away = True
            return
        with self._lock:
            for series in steps.keys() & self._followed.keys():
                self._followed[series].stored_until(steps[series][-1].until)
        if self._is_away:
            event(_log, logging.WARNING, "minute forecasts are stored again")
            self._is_away = False

    def _write(self, steps: Mapping[SeriesKey, Sequence[ForecastStep]]) -> None:
        """Write the steps of all pairs; those of a pair in which there is a defect are dropped.

        Raises:
            DatabaseError: The database is away. What was written is left out the next time.
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
                if self._models is None:
                    self._models = self._read_models()
            except DatabaseError:  # the writer reports it
                return False
            found = self._next(self._models)
            if found is not None:
                self._prepare(*found)
        return found is not None

    def _read_models(self) -> _Models:
        """Return the stored coefficients. Those that cannot be used are fitted again."""
        found = {}
        for series, model in self._database.minute_models().items():
            try:
                found[series] = model.fitted_at, Coefficients.from_json(model.content)
            except InvalidValue as error:
                facts = {"source": series.source, "pair": series.pair, "reason": error}
                event(_log, logging.WARNING, "coefficients of minute forecasts are fitted again", **facts)
        return found

    def _next(self, models: _Models) -> tuple[SeriesKey, Preparation] | None:
        """Return what is to be prepared now, the most urgent first."""
        seconds, now = self._clock.monotonic(), self._clock.now()
        with self._lock:
            for series, one in self._followed.items():
                if one.fitted_at is None and series in models:
                    one.fitted_at, one.fitted_on = models[series][0], models[series][1].minutes
            due = [(*found, series) for series, one in self._followed.items() if (found := one.due(seconds, now))]
            if not due:
                return None
            work, newest, series = min(due)
            self._followed[series].begin(work, seconds)
            coefficients = models[series][1] if series in models else None
            return series, Preparation(series, newest, work, coefficients)

    def _prepare(self, series: SeriesKey, wanted: Preparation) -> None:
        """Prepare a series, and hand over what results to the next step."""
        began, now = self._clock.monotonic(), self._clock.now()
        found, apart = None, FAILED_APART
        try:
            found = prepare(self._database, wanted, now, self._is_stopped.is_set)
        except DatabaseError:  # the writer reports it
            apart = RETRY
        except Exception:  # noqa: BLE001 a defect in one pair must not harm the others
            _log.exception("%s from %s: minute forecasts cannot be prepared", series.pair, series.source)
        with self._lock:
            one = self._followed.get(series)
            if one is None:
                return
            if found is None:
                one.failed(self._clock.monotonic(), apart)
                return
            one.prepared = found
            if found.refused is not None:
                one.next_fit = self._clock.monotonic() + REFUSED_APART
            if found.fitted is not None and self._models is not None:
                one.fitted_at, one.fitted_on, one.fits = now, found.fitted.minutes, one.fits + 1
                self._models[series] = now, found.fitted
        facts = {"source": series.source, "pair": series.pair}
        if found.refused is not None:
            event(
                _log,
                logging.WARNING,
                "coefficients of minute forecasts cannot be fitted",
                **facts,
                reason=found.refused,
            )
        if found.fitted is not None:
            self._fit_seconds += self._clock.monotonic() - began
            event(_log, logging.INFO, "coefficients of minute forecasts fitted", **facts, candles=found.fitted.minutes)
        self._wake()
