"""The series of a database: which are there, how complete each one is, and which one answers a question."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, NamedTuple, TypeVar

from crypto_predict.errors import shown
from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey
from crypto_predict.market.ports import SERIES_STATES, CollectedSeries, LastPrice, MarketReader
from crypto_predict.web.http.errors import WebError
from crypto_predict.web.http.schemas import TEXT, Schema
from crypto_predict.wording import counted

INTERVAL: Schema = {**TEXT, "enum": [interval.label for interval in Interval]}
STATE: Schema = {**TEXT, "enum": list(SERIES_STATES)}
_LISTED = 20  # series in a message


class NotCollected(WebError):
    """The database holds no series for the value `asked` of `parameter`, but those in `known`."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, parameter: str, asked: str, known: Iterable[CollectedSeries]) -> None:
        names = [str(one.series) for one in known]
        more = f" and {counted(len(names) - _LISTED, 'more')}" if len(names) > _LISTED else ""
        held = f"the database holds {', '.join(names[:_LISTED])}{more}" if names else "the database is empty"
        super().__init__(f"{parameter}: {shown(asked)} is not collected; {held}")
        self.parameter = parameter


K = TypeVar("K", CollectedSeries, LastPrice)


class Example(NamedTuple):
    """A series to show in the documentation, and the day of its first candle."""

    series: SeriesKey
    day: date


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


def series(reader: MarketReader, now: datetime) -> list[SeriesState]:
    """Return the state of every series, sorted by pair, source and interval."""
    found = sorted(reader.collected(), key=lambda one: rank(one.series))
    return [state(one, now) for one in found]


def example(reader: MarketReader) -> Example | None:
    """Return the first series that has candles, if one has; minutes come first, since everything is known of them."""
    found = sorted(reader.collected(), key=lambda one: (one.series.interval is not Interval.MINUTE_1, rank(one.series)))
    return next((Example(one.series, one.first_open.date()) for one in found if one.first_open is not None), None)


def state(one: CollectedSeries, now: datetime) -> SeriesState:
    """Return the state of one series at the instant `now`."""
    lag = one.lag(now)
    return SeriesState(
        pair=one.series.pair,
        source=one.series.source,
        interval=one.series.interval.label,
        simulated=one.simulated,
        state=one.state,
        start=one.first_open,
        end=one.newest_close,
        lag_seconds=None if lag is None else max(lag // timedelta(seconds=1), 0),
        gaps=one.gaps,
        missing=one.missing,
        since=one.since,
        compared=one.compared,
        mismatched=one.mismatched,
        mismatch_rate=one.mismatched / one.compared if one.compared else None,
    )


def rank(key: SeriesKey) -> tuple[Pair, str, int]:
    """Return what series are sorted by."""
    return key.pair, key.source, key.interval.seconds


def of_pair(reader: MarketReader, pair: Pair, interval: Interval | None = None) -> list[CollectedSeries]:
    """Return the series of a pair, at least one: all, or those of one interval.

    Raises:
        NotCollected: The database does not hold any.
    """

    def usable(found: Sequence[CollectedSeries]) -> list[CollectedSeries]:
        return [one for one in found if interval in {None, one.series.interval}]

    found = usable(reader.collected(pair))
    if not found:
        raise NotCollected("pair", str(pair), sorted(usable(reader.collected()), key=lambda one: rank(one.series)))
    return found


def choose(
    found: Sequence[CollectedSeries], interval: Interval | None, source: str | None
) -> tuple[CollectedSeries, Interval]:
    """Return which series of a pair to read, and the interval of its candles: by default the shortest one.

    Of each source it is the series of the interval, or the shortest that divides it. A real source comes before a
    simulated one, then the one with the newest candle.

    Raises:
        NotCollected: None of the series answers the question.
    """
    of_source = [one for one in found if source in {None, one.series.source}]
    if not of_source:
        raise NotCollected("source", source or "", found)
    if interval is None:
        default = best(of_source)
        return default, default.series.interval
    usable = [one for one in of_source if interval.seconds % one.series.interval.seconds == 0]
    if not usable:
        raise NotCollected("interval", interval.label, of_source)
    names = sorted({one.series.source for one in usable})
    stored = [_stored(interval, [one for one in usable if one.series.source == name]) for name in names]
    return max(stored, key=lambda one: _merit(one, interval)), interval


def best(found: Iterable[K]) -> K:
    """Return the series of a pair that is read where neither an interval nor a source is asked for: see `choose`."""
    return max(found, key=lambda one: (*_merit(one, one.series.interval), -one.series.interval.seconds))


def _stored(interval: Interval, of_source: Sequence[CollectedSeries]) -> CollectedSeries:
    """Return the series of one source from which candles of `interval` are read."""
    filled = [one for one in of_source if one.newest_close is not None] or of_source
    exact = [one for one in filled if one.series.interval is interval]
    return min(exact or filled, key=lambda one: one.series.interval.seconds)


def _merit(one: CollectedSeries | LastPrice, interval: Interval) -> tuple[bool, bool, datetime]:
    """Return what a better source has more of: candles at all, real ones, new ones."""
    newest = one.newest_close
    return newest is not None, not one.simulated, EPOCH if newest is None else interval.floor(newest)
