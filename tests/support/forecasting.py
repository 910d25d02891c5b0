"""Minute forecasts at work: minutes go into a database, one after the other, as a collector stores them."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from crypto_predict.collecting.live.collector import Part
from crypto_predict.collecting.live.events import Stored
from crypto_predict.collecting.live.forecasting.loop import Forecasts
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import MinuteRecord
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteForecast
from crypto_predict.store import Database, WritableDatabase
from tests.support.live import until
from tests.support.minutes import EVER, MANY, MINUTE, START

BTC = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
ETH = SeriesKey("binance", Pair("ETH", "USDT"), Interval.MINUTE_1)
SPEED = 60.0


class Collected:
    """A database into which candles are stored, with the forecasts of what is stored."""

    def __init__(self, database: WritableDatabase, forecasts: Forecasts, clock: Clock) -> None:
        self.database, self.forecasts, self.clock = database, forecasts, clock

    def follow(self, *series: SeriesKey) -> None:
        """Look at the database as a collector does now and then."""
        self.forecasts.follow([collected for collected in self.database.collected() if collected.series in series])

    def store(self, candles: Sequence[Candle], series: SeriesKey = BTC) -> None:
        """Store candles; the forecasts hear of them."""
        changed = keep(self.database, candles, series)
        self.forecasts.stored(Stored(series, candles, changed, by_stream=True))

    def forecast(self, candle: Candle, series: SeriesKey = BTC) -> MinuteForecast:
        """Wait until the forecast at the close of a candle is stored, and return it."""
        close = candle.open_time + MINUTE
        until(lambda: cutoffs(self.database, series)[-1:] == [close], f"a forecast of {series.pair} at {close}")
        return forecasts_of(self.database, series)[-1]

    def store_each(self, candles: Iterable[Candle], series: SeriesKey = BTC) -> None:
        """Store candles one after the other, each once the one before has its forecast."""
        for candle in candles:
            self.store([candle], series)
            self.forecast(candle, series)


def keep(database: WritableDatabase, candles: Sequence[Candle], series: SeriesKey = BTC) -> int:
    """Store candles without a word to anybody; return how many are new or changed."""
    database.follow(series, simulated=False)
    return database.write(series, candles, Span(candles[0].open_time, candles[-1].open_time + MINUTE))


@contextmanager
def forecasting(database: WritableDatabase, *series: SeriesKey, clock: Clock | None = None) -> Iterator[Collected]:
    """Forecast these series, as far as they are in the database, inside the context."""
    clock = clock or Clock(START + timedelta(days=2), SPEED)
    forecasts = Forecasts(database, clock)
    collected = Collected(database, forecasts, clock)
    collected.follow(*(series or (BTC,)))
    with at_work(forecasts.run, forecasts.prepare, stop=forecasts.stop):
        yield collected


@contextmanager
def at_work(*parts: Part, stop: Callable[[], object]) -> Iterator[None]:
    """Run parts of a collector in an event loop of their own inside the context."""
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def run() -> None:
        tasks = [asyncio.create_task(part()) for part in parts]
        await ending.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="forecasting")
    thread.start()
    try:
        yield
    finally:
        stop()
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


def forecasts_of(database: Database, series: SeriesKey = BTC) -> list[MinuteForecast]:
    return list(database.minute_forecasts(series, EVER, MANY))


def cutoffs(database: Database, series: SeriesKey = BTC) -> list[datetime]:
    return [forecast.cutoff for forecast in forecasts_of(database, series)]


def scored(record: MinuteRecord | None) -> dict[int, int]:
    """Return the number of scored forecasts by horizon."""
    return {} if record is None else {score.horizon_minutes: score.forecasts for score in record.scores}


def outcomes(database: Database, series: SeriesKey = BTC) -> dict[int, list[float]]:
    """Return by horizon the absolute errors of all stored forecasts whose outcome is stored, in time order."""
    closes = {candle.candle.open_time + MINUTE: candle.candle.close for candle in database.candles(series, EVER, MANY)}
    made = forecasts_of(database, series)
    return {
        horizon: errors
        for horizon in range(1, MINUTES_AHEAD + 1)
        if (
            errors := [
                abs(math.log(closes[forecast.cutoff + horizon * MINUTE] / forecast.points[horizon - 1]))
                for forecast in made
                if forecast.cutoff + horizon * MINUTE in closes
            ]
        )
    }


def eventually_scored(database: Database, expected: Callable[[], dict[int, int]], series: SeriesKey = BTC) -> None:
    until(lambda: scored(database.minute_records().get(series)) == expected(), "every outcome is scored")
