"""History fit for training: read from the first source that has it, checked, its gaps recorded and never filled.

Which failures move on to the next source: all of them, with one exception. Invented prices stand in only for sources
that could not deliver (unreachable, or without a single candle of the pair), never for data that was read and found
faulty: a file with a typing error must be repaired, not replaced by a simulation.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from crypto_predict.baked.schema import Gap
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import DAY, EPOCH, Candle, Interval, Pair, Span
from crypto_predict.sources.port import Source

MIN_CANDLES = 30  # fewer say nothing about a trend, let alone a season
SETTLE = timedelta(seconds=5)  # how long an exchange may take to finish a candle that has closed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class History:
    """The candles of one pair from one source, fit for training."""

    pair: Pair
    interval: Interval
    source: str
    simulated: bool  # whether the prices are invented
    candles: tuple[Candle, ...]  # ascending, unique, aligned, sound, closed
    gaps: tuple[Gap, ...]  # between two candles; ascending
    quarantined: int  # candles the source sent that no market can have made

    def sha256(self) -> str:
        """The digest of interval and candles, for a model card.

        It is taken over UTF-8 text: one line with the interval in seconds, then one line a candle, each ended by a line
        feed: ``2024-05-17T00:00:00Z,open,high,low,close,volume`` with numbers as Python's ``repr`` writes floats.
        """
        text = "".join(f"{line}\n" for line in self._canonical_lines())
        return hashlib.sha256(text.encode()).hexdigest()

    def _canonical_lines(self) -> Iterator[str]:
        yield str(self.interval.length // timedelta(seconds=1))
        for candle in self.candles:
            numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
            yield ",".join([f"{candle.open_time:%Y-%m-%dT%H:%M:%SZ}", *(repr(float(number)) for number in numbers)])


def read_history(  # noqa: PLR0913, PLR0917 each is one fact of the question
    sources: Sequence[Source], pair: Pair, interval: Interval, days: int, until: date | None, now: datetime
) -> History:
    """The history of `pair` from the first of `sources` that has a usable one.

    Args:
        sources: In order of preference.
        pair: What to read.
        interval: How long a candle lasts.
        days: The span read: so many days up to the newest closed candle, and never before 1970.
        until: Candles that open after this UTC day are ignored; None: up to now.
        now: The present, in UTC. A candle counts as closed once `SETTLE` has passed since its end.

    Raises:
        UnusableHistory: No source has one; the reason of each is among the faults.
    """
    request = _Request(pair, interval, days, _limit(until, now), now)
    reasons: list[str] = []
    faulty = False
    for source in sources:
        if source.simulated and faulty:
            reasons.append(f"{source.name}: not used, since invented prices must not hide faulty data")
            continue
        try:
            history = _read(source, request)
        except (SourceError, UnusableHistory) as error:
            faulty = faulty or isinstance(error, UnusableHistory)
            reasons += _warned(source, pair, error)
        else:
            _log_outcome(history)
            return history
    raise UnusableHistory(str(pair), reasons)


def find_gaps(candles: Iterable[Candle], interval: Interval) -> tuple[Gap, ...]:
    """What is missing between ascending candles; what lies before the first and after the last is no gap."""
    return tuple(
        Gap(start=before.open_time + interval.length, end=after.open_time, missing=missing)
        for before, after in pairwise(candles)
        if (missing := (after.open_time - before.open_time) // interval.length - 1) > 0
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked of every source alike."""

    pair: Pair
    interval: Interval
    days: int
    limit: datetime  # UTC; a candle must have closed by then
    now: datetime  # UTC

    def span(self, end: datetime) -> Span:
        """The days up to `end`, none of them before 1970."""
        return Span(end - min(timedelta(days=self.days), max(end - EPOCH, timedelta(0))), end)

    def faults(self, candle: Candle) -> list[str]:
        """What no candle of this interval can be."""
        if self.interval.floor(candle.open_time) != candle.open_time:
            return [f"it opens between two candles of {self.interval.length}"]
        return candle.faults()


def _limit(until: date | None, now: datetime) -> datetime:
    """The instant by which a candle must have closed to be read."""
    settled = now - SETTLE
    if until is None or until >= settled.date():
        return settled
    return datetime.combine(until, time.min, UTC) + DAY


def _read(source: Source, request: _Request) -> History:
    end = source.end(request.pair, request.interval, request.limit)
    received = _received(source, request, request.span(end))
    sound = [candle for candle in received if not request.faults(candle)]
    _check_enough(source, request, received, sound)
    if (close := sound[-1].open_time + request.interval.length) < end:
        _log.warning("%s: the newest candle of %s closed %s, not %s", request.pair, source.name, close, end)
    return History(
        pair=request.pair,
        interval=request.interval,
        source=source.name,
        simulated=source.simulated,
        candles=tuple(sound),
        gaps=find_gaps(sound, request.interval),
        quarantined=len(received) - len(sound),
    )


def _received(source: Source, request: _Request, span: Span) -> list[Candle]:
    """The closed candles that the source has in `span`, ascending; the last copy of a repeated one wins."""
    found: dict[datetime, Candle] = {}
    for candle in source.candles(request.pair, request.interval, span) if span.start < span.end else ():
        if candle.open_time > request.now:
            raise UnusableHistory(source.name, [f"a candle opens at {candle.open_time}, which lies in the future"])
        if span.start <= candle.open_time and candle.open_time + request.interval.length <= span.end:
            found[candle.open_time] = candle
    if not found:
        raise SourceError(source.name, f"no candle of {request.pair} from {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}")
    return [found[opening] for opening in sorted(found)]


def _check_enough(source: Source, request: _Request, received: Sequence[Candle], sound: Sequence[Candle]) -> None:
    quarantined = len(received) - len(sound)
    if quarantined * 2 > len(received):
        first = next(candle for candle in received if request.faults(candle))
        example = f"the first, of {first.open_time}: {'; '.join(request.faults(first))}"
        raise UnusableHistory(source.name, [f"{quarantined} of {len(received)} candles are impossible; {example}"])
    if len(sound) < MIN_CANDLES:
        raise UnusableHistory(source.name, [f"{len(sound)} usable candles of {request.pair}, {MIN_CANDLES} are needed"])


def _warned(source: Source, pair: Pair, error: SourceError | UnusableHistory) -> list[str]:
    """The reasons why this source is out, each with its name; the log has heard of the first."""
    faults = error.faults if isinstance(error, UnusableHistory) else (error.reason,)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    _log.warning("%s: no history from %s: %s%s", pair, source.name, faults[0], more)
    return [f"{source.name}: {fault}" for fault in faults]


def _log_outcome(history: History) -> None:
    missing = sum(gap.missing for gap in history.gaps)
    _log.info(
        "%s: %d candles from %s, %d missing, %d quarantined",
        *(history.pair, len(history.candles), history.source, missing, history.quarantined),
    )
    if history.simulated:
        _log.warning(_SIMULATED, history.pair)


_SIMULATED = """
********************************************************************************
***  SIMULATED PRICES for %s: no exchange was used, this market is invented.
***  The forecast says nothing about any real price. Never trade or publish on it.
********************************************************************************"""
