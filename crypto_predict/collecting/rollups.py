"""Rollups of what is stored already: those that an earlier version has left, or all of them again."""

import time
from collections.abc import Sequence
from datetime import datetime
from threading import Event
from typing import Protocol

from crypto_predict.collecting.fetching import Progress
from crypto_predict.market import DAY, Interval
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import RollupWriter, SeriesReader

PAUSE = 0.25  # seconds between two months, in which others write


class RollupDatabase(SeriesReader, RollupWriter, Protocol):
    """A database whose rollups are made."""


def complete(database: RollupDatabase, stop: Event) -> None:
    """Make the rollups that are missing, beside whoever writes, the newest first; `stop` ends it after a month."""
    for collected in database.collected():
        is_rolled = collected.is_rolled
        while not is_rolled and not stop.is_set():
            began = time.monotonic()
            is_rolled = database.roll_up(collected.series) is None
            stop.wait(max(PAUSE, time.monotonic() - began))


def rebuild(database: RollupDatabase, stored: Sequence[CollectedSeries], progress: Progress) -> str:
    """Make all rollups of series again, the newest first; return one line for each series."""
    spans = {
        collected.series: (Interval.DAY_1.floor(collected.first_open), Interval.DAY_1.ceil(collected.newest_close))
        for collected in stored
        if collected.first_open is not None and collected.newest_close is not None
    }
    days = {series: (end - start) // DAY for series, (start, end) in spans.items()}
    progress.expect(sum(days[series] * (DAY // series.interval.length) for series in spans))
    for series, (start, end) in spans.items():
        position: datetime | None = end
        while position is not None:
            following = database.roll_up(series, position)
            progress.advance(str(series), (position - (following or start)) // series.interval.length)
            position = following
    lines = [f"{series}: the longer candles of {count} days were made again" for series, count in days.items()]
    return "\n".join(lines) or "no candles are stored"
