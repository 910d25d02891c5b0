"""The newest forecasts of a live collector, for the answers of the model: read in one thread, never by a request."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from crypto_predict.baked.live import MINUTES_HOLD, newest
from crypto_predict.baked.schema import PairCard
from crypto_predict.errors import DatabaseError, InvalidValue
from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey, Span
from crypto_predict.market.forecast import HourForecast, MinuteForecast
from crypto_predict.web.collected.database import Connection, Database, Overloaded
from crypto_predict.web.folder.editions import AnyEditions

LOOK_SECONDS = 2.0  # between two looks at the database

Newest = tuple[HourForecast | None, MinuteForecast | None]

_log = logging.getLogger("crypto_predict.server")


class LiveForecasts:
    """Moves the answers of the models in memory on, as far as the database has newer forecasts of its pairs.

    They must be of the very series that the model was trained from: of the same source and what it trades, and real
    where that is real. A database that is away, or a collector that does not run, leaves what was read until it is too
    old; then the model answers alone.
    """

    def __init__(self, editions: AnyEditions, database: Database, clock: Callable[[], datetime]) -> None:
        self._editions, self._database, self._clock = editions, database, clock
        self._newest: Mapping[Pair, Newest] = {}  # as they were read the last time

    def watch(self, stop: threading.Event) -> None:
        """Look at the database now and then, until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # noqa: BLE001 the model goes on without live forecasts
                _log.exception("live forecasts are not used")

    def look(self) -> None:
        """Read the newest forecasts, and move the answers on with those that are fresh."""
        now, loaded = self._clock(), self._editions.loaded()
        models = [pages.snapshot.answers.model for pages in loaded]
        try:
            with self._database.reading() as reader:
                self._newest = {
                    pair: _read(reader, facts, now) for model in models for pair, facts in model.card.pairs.items()
                }
        except (DatabaseError, InvalidValue, Overloaded):  # `Database` logs it
            pass
        for pages, model in zip(loaded, models, strict=True):
            lives = {
                pair: live
                for pair, forecast in model.forecasts.items()
                if (live := newest(forecast, *self._newest.get(pair, (None, None)), now)) is not None
            }
            pages.move_on(lives)


def _read(reader: Connection, facts: PairCard, now: datetime) -> Newest:
    """Return the newest forecasts of the series that a pair of the model was trained from."""
    series = SeriesKey(facts.source.removeprefix("store:"), facts.traded, Interval.MINUTE_1)
    before = Span(EPOCH, now + MINUTES_HOLD)  # later ones are of a clock that was wrong
    hours = next(iter(reader.hour_forecasts(series, before, 1, newest=True)), None)
    minutes = next(iter(reader.minute_forecasts(series, before, 1, newest=True)), None)
    if hours is None and minutes is None:
        return None, None
    stored = (each for each in reader.collected(series.pair) if each.series == series)
    return (hours, minutes) if any(each.simulated == facts.simulated for each in stored) else (None, None)
