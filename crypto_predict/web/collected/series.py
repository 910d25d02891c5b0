"""The series of a database: which are there, how complete each one is, and which one answers a question."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated

from crypto_predict.errors import shown
from crypto_predict.market import EPOCH, Interval, Pair
from crypto_predict.market.collected import SERIES_STATES, CollectedSeries
from crypto_predict.market.ports import SeriesReader
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.schemas import TEXT, Schema
from crypto_predict.wording import counted

INTERVAL: Schema = {**TEXT, "enum": [interval.label for interval in Interval]}
STATE: Schema = {**TEXT, "enum": list(SERIES_STATES)}
_LISTED = 20  # series in a message


class NotCollected(Problem):
    """The database holds no series for the `value` of `parameter`, but the `stored` ones."""

    def __init__(self, parameter: str, value: str, stored: Iterable[CollectedSeries]) -> None:
        names = [str(collected.series) for collected in stored]
        more = f" and {counted(len(names) - _LISTED, 'more')}" if len(names) > _LISTED else ""
        contents = f"the database holds {', '.join(names[:_LISTED])}{more}" if names else "the database is empty"
        super().__init__(404, f"{parameter}: {shown(value)} is not collected; {contents}", parameter)


@dataclass(frozen=True, slots=True)
class SeriesState:
    """One series of the database, and how complete it is."""

    pair: Pair
    source: str
    interval: Annotated[str, INTERVAL]
    simulated: bool
    state: Annotated[str, STATE]
    start: datetime | None  # the first opening; None before the first candle
    end: datetime | None  # the newest close, which is not included
    lag_seconds: int | None  # from there to the newest close that can exist
    gaps: int
    missing: int  # candles in these gaps
    since: datetime | None  # how far back it shall be collected; None: from the beginning of the pair
    compared: int  # candles of the live stream that were compared with those of REST
    mismatched: int  # of these, those that differed
    mismatch_rate: float | None  # their share; None before the first comparison


def series(reader: SeriesReader, now: datetime) -> list[SeriesState]:
    """Return the state of every series, sorted by pair, source and interval."""
    return [state(collected, now) for collected in sorted(reader.collected(), key=rank)]


def example(reader: SeriesReader) -> CollectedSeries | None:
    """Return the first series that has candles, if one has; minutes come first, since everything is known of them."""
    filled = [collected for collected in reader.collected() if collected.first_open is not None]
    return min(filled, key=lambda shown: (shown.series.interval is not Interval.MINUTE_1, rank(shown)), default=None)


def state(collected: CollectedSeries, now: datetime) -> SeriesState:
    """Return the state of one series at the instant `now`."""
    lag = collected.lag(now)
    return SeriesState(
        pair=collected.series.pair,
        source=collected.series.source,
        interval=collected.series.interval.label,
        simulated=collected.simulated,
        state=collected.state,
        start=collected.first_open,
        end=collected.newest_close,
        lag_seconds=None if lag is None else max(lag // timedelta(seconds=1), 0),
        gaps=collected.gaps,
        missing=collected.missing,
        since=collected.since,
        compared=collected.compared,
        mismatched=collected.mismatched,
        mismatch_rate=collected.mismatched / collected.compared if collected.compared else None,
    )


def rank(collected: CollectedSeries) -> tuple[Pair, str, int]:
    """Return what series are sorted by."""
    return collected.series.pair, collected.series.source, collected.series.interval.seconds


def of_pair(reader: SeriesReader, pair: Pair, interval: Interval | None = None) -> list[CollectedSeries]:
    """Return the series of a pair, all or those of one interval; if there are none, raise `NotCollected`."""

    def usable(candidates: Sequence[CollectedSeries]) -> list[CollectedSeries]:
        return [collected for collected in candidates if interval in {None, collected.series.interval}]

    stored = usable(reader.collected(pair))
    if not stored:
        raise NotCollected("pair", str(pair), sorted(usable(reader.collected()), key=rank))
    return stored


def choose(
    candidates: Sequence[CollectedSeries], interval: Interval | None, source: str | None
) -> tuple[CollectedSeries, Interval]:
    """Return which series of a pair to read, and the interval of its candles: by default the shortest one.

    Of each source it is the series of the interval, or the shortest that divides it. A real source comes before a
    simulated one, then the one with the newest candle. If none answers the question, raise `NotCollected`.
    """
    of_source = [collected for collected in candidates if source in {None, collected.series.source}]
    if not of_source:
        raise NotCollected("source", source or "", candidates)
    if interval is None:
        default = best(of_source)
        return default, default.series.interval
    usable = [collected for collected in of_source if interval.seconds % collected.series.interval.seconds == 0]
    if not usable:
        raise NotCollected("interval", interval.label, of_source)
    usable.sort(key=lambda collected: collected.series.source)
    stored = [_stored(interval, list(group)) for _, group in groupby(usable, lambda collected: collected.series.source)]
    return max(stored, key=lambda collected: _merit(collected, interval)), interval


def best(candidates: Iterable[CollectedSeries]) -> CollectedSeries:
    """Return the series of a pair that is read where neither an interval nor a source is asked for: see `choose`."""
    return max(
        candidates,
        key=lambda collected: (*_merit(collected, collected.series.interval), -collected.series.interval.seconds),
    )


def _stored(interval: Interval, of_source: Sequence[CollectedSeries]) -> CollectedSeries:
    """Return the series of one source from which candles of `interval` are read."""
    filled = [collected for collected in of_source if collected.newest_close is not None] or of_source
    exact = [collected for collected in filled if collected.series.interval is interval]
    return min(exact or filled, key=lambda collected: collected.series.interval.seconds)


def _merit(collected: CollectedSeries, interval: Interval) -> tuple[bool, bool, datetime]:
    """Return what a better source has more of: candles at all, real ones, new ones."""
    newest = collected.newest_close
    return newest is not None, not collected.simulated, EPOCH if newest is None else interval.floor(newest)
