"""A filler at work on a market in motion, which lives faster than this machine's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from crypto_predict.collecting.live.fetching.filler import Filler
from crypto_predict.collecting.live.pairs import Roster
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, Shard
from crypto_predict.market.ports import CandleSource
from crypto_predict.store import WritableDatabase
from tests.support.live import minutes_of
from tests.support.minutes import EVER, MANY, MINUTE


def candles_in(database: WritableDatabase, series: SeriesKey, until: datetime | None = None) -> list[Candle]:
    span = Span(EVER.start, EVER.end if until is None else until)
    return [candle.candle for candle in database.candles(series, span, MANY)]


@contextmanager
def filling(
    database: WritableDatabase,
    sources: Mapping[str, CandleSource],
    clock: Clock,
    pairs: Sequence[Pair] = (),
    since: datetime | None = None,
    **options: Any,
) -> Iterator[Filler]:
    """Follow the minutes of these pairs from each source inside the context, and fill them."""
    for source in sources.values():
        for pair in pairs:
            series = minutes_of(source.id, source.traded(pair))
            database.follow(series, simulated=source.simulated)
            database.set_state(series, ACTIVE, since)
    roster = Roster(database, Shard(), sources, clock)
    filler = Filler(database, sources, clock, **options)
    roster.refresh()
    filler.follow(list(roster.series.values()))
    try:
        yield filler
    finally:
        filler.stop()


def later(clock: Clock, minutes: int) -> datetime:
    """Return the full minute so many minutes from now."""
    return Interval.MINUTE_1.floor(clock.now()) + minutes * MINUTE
