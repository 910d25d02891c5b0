"""History fit for training: read from the first source that has it, checked, its gaps recorded and never filled.

What a fit cannot use is left out and counted: repeated candles (the last copy stays), candles that no market can have
made, candles off the grid. Whether a history with such defects may be used at all is for the caller's `Judge` to say.

Which failures move on to the next source: all of them, with two exceptions. Keys that are refused end the search, since
whoever set them means that source. Invented prices stand in only for sources that could not be reached, never for
what was read and found faulty or missing: a file or a pair with a typing error must be corrected, not replaced by a
simulation.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from crypto_predict.errors import Refused, RefusedKeys, SourceError, Unreachable, UnusableHistory
from crypto_predict.market import DAY, EPOCH, Candle, Gap, Interval, Pair, Span
from crypto_predict.sources.port import Source

MIN_CANDLES = 30  # fewer say nothing about a trend, let alone a season
SETTLE = timedelta(seconds=5)  # how long an exchange may take to finish a candle that has closed

# What so many candles do that no sound feed delivers.
REPEATED = "repeat an opening"
UNORDERED = "stand after a later one"
FUTURE = "open in the future"
OFF_GRID = "open where none can"
IMPOSSIBLE = "are impossible"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that a sound feed never delivers, and how often a source did."""

    kind: str  # "repeat an opening": what so many candles do
    count: int  # candles
    received: int  # candles, sound ones included
    first: str  # what was wrong with the first, and where

    def __str__(self) -> str:
        return f"{self.count} of {self.received} candles {self.kind}; the first: {self.first}"


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
    defects: tuple[Defect, ...] = ()  # of what the source sent, one of a kind

    def last(self, days: int) -> History:
        """The candles that open within the last `days` days, as a history of their own; the defects stay with it."""
        start = self.candles[-1].open_time + self.interval.length - timedelta(days=days)
        candles = tuple(candle for candle in self.candles if candle.open_time >= start)
        return replace(self, candles=candles, gaps=find_gaps(candles, self.interval))

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


Judge = Callable[[History], list[str]]  # why this history must not be used; nothing where it may


def read_history(  # noqa: PLR0913, PLR0917 each is one fact of the question
    sources: Sequence[Source],
    pair: Pair,
    interval: Interval,
    days: int,
    until: date | None,
    now: datetime,
    judge: Judge | None = None,
) -> History:
    """The history of `pair` from the first of `sources` that has a usable one.

    Args:
        sources: In order of preference.
        pair: What to read.
        interval: How long a candle lasts.
        days: The span read: so many days up to the newest closed candle, and never before 1970.
        until: Candles that open after this UTC day are ignored; None: up to now.
        now: The present, in UTC. A candle counts as closed once `SETTLE` has passed since its end.
        judge: Is shown each source's history, be it short or empty, and may refuse it; None: what can be used is used.

    Raises:
        RefusedKeys: A source does not accept the keys that are set.
        Refused: No source has one, and `judge` refused at least one; the reason of each source is among the reasons.
        UnusableHistory: No source has one; the reason of each is among the faults.
    """
    request = _Request(pair, interval, days, closing_limit(until, now), now)
    reasons: list[str] = []
    reached = refused = False
    for source in sources:
        if source.simulated and reached:
            reasons.append(f"{source.name}: not used, since invented prices stand in only for what cannot be reached")
            continue
        try:
            history = _read(source, request, judge)
        except RefusedKeys:
            raise
        except (SourceError, UnusableHistory, Refused) as error:
            reached = reached or not isinstance(error, Unreachable)
            refused = refused or isinstance(error, Refused)
            reasons += _warned(source, pair, error)
        else:
            _log_outcome(history)
            return history
    if refused:
        raise Refused([f"{pair}: {reason}" for reason in reasons])
    raise UnusableHistory(str(pair), reasons)


def closing_limit(until: date | None, now: datetime) -> datetime:
    """The instant (UTC) by which a candle must have closed to be read, as `read_history` takes `until` and `now`."""
    settled = now - SETTLE
    if until is None or until >= settled.date():
        return settled
    return datetime.combine(until, time.min, UTC) + DAY


def hours_since(source: Source, history: History, limit: datetime) -> list[Candle]:
    """The hourly candles since the last close of a daily history, ascending, as `source` has them.

    Args:
        source: The one that the history came from.
        history: Daily.
        limit: The instant (UTC) by which a candle must have closed. The hour that would complete the next daily candle
            is left out in any case: with it the day itself would be known.

    Raises:
        SourceError, UnusableHistory: The source has no such candles to give.
    """
    start, hour = history.candles[-1].open_time + DAY, Interval.HOUR_1.length
    span = Span(start, min(source.end(history.pair, Interval.HOUR_1, limit), start + DAY - hour))
    if span.end <= span.start:
        return []
    found = {candle.open_time: candle for candle in source.candles(history.pair, Interval.HOUR_1, span)}
    return [found[opening] for opening in sorted(found) if opening in span and opening + hour <= span.end]


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

    def aligned(self, candle: Candle) -> bool:
        """Whether the candle opens where candles of this interval do."""
        return self.interval.floor(candle.open_time) == candle.open_time


def _read(source: Source, request: _Request, judge: Judge | None) -> History:
    end = source.end(request.pair, request.interval, request.limit)
    delivery = _Delivery(request, request.span(end))
    delivery.take(source)
    history = delivery.history(source)
    if judge is not None and (reasons := judge(history)):
        raise Refused(reasons)
    _check_usable(source, delivery, history)
    if (close := history.candles[-1].open_time + request.interval.length) < end:
        _log.warning("%s: the newest candle of %s closed %s, not %s", request.pair, source.name, close, end)
    return history


class _Delivery:
    """What one source delivers: its closed candles, and what is wrong with them."""

    def __init__(self, request: _Request, span: Span) -> None:
        self._request = request
        self._span = span
        self._above: Candle | None = None
        self._unsound: set[datetime] = set()
        self._kinds: Counter[str] = Counter()
        self._first: dict[str, str] = {}  # the first of each kind
        self._count = 0
        self.found: dict[datetime, Candle] = {}  # by opening; the last copy of a repeated one wins

    def take(self, source: Source) -> None:
        """Ask the source.

        Raises:
            SourceError: It could not deliver, or has no candle at all.
            UnusableHistory: It has none that closes in time.
        """
        first = None
        if self._span.start < self._span.end:
            for candle in source.candles(self._request.pair, self._request.interval, self._span):
                first = first or candle
                self._sort(candle)
        if not self._count:
            self._raise_empty(source, first)

    def history(self, source: Source) -> History:
        """What can be used of it."""
        candles = tuple(self.found[opening] for opening in sorted(self.found.keys() - self._unsound))
        return History(
            pair=self._request.pair,
            interval=self._request.interval,
            source=source.name,
            simulated=source.simulated,
            candles=candles,
            gaps=find_gaps(candles, self._request.interval),
            quarantined=len(self.found) - len(candles),
            defects=self.defects(),
        )

    def defects(self, *kinds: str) -> tuple[Defect, ...]:
        """The defects of these kinds; of every kind where none is said."""
        return tuple(
            Defect(kind, count, self._count, self._first[kind])
            for kind, count in self._kinds.items()
            if not kinds or kind in kinds
        )

    def _sort(self, candle: Candle) -> None:
        """Note what is wrong with a candle, and keep it if it closes in time."""
        if candle.open_time > self._request.now:
            self._count += 1
            self._note(FUTURE, lambda: _place(candle))
        elif (
            self._span.start <= candle.open_time and candle.open_time + self._request.interval.length <= self._span.end
        ):
            self._count += 1
            self._note_position(candle)
            self._note_faults(candle)
            self._above = self.found[candle.open_time] = candle

    def _note_position(self, candle: Candle) -> None:
        above, earlier = self._above, self.found.get(candle.open_time)
        if earlier is not None:
            self._note(REPEATED, lambda: f"{_place(candle)} after {_place(earlier)}")
        elif above is not None and candle.open_time < above.open_time:
            self._note(UNORDERED, lambda: f"{_place(candle)} after {_place(above)}")

    def _note_faults(self, candle: Candle) -> None:
        self._unsound.discard(candle.open_time)  # of two copies the last one counts
        if not self._request.aligned(candle):
            self._note(OFF_GRID, lambda: self._off_grid(candle))
        elif faults := candle.faults():
            self._note(IMPOSSIBLE, lambda: f"{_place(candle)}: {'; '.join(faults)}")
        else:
            return
        self._unsound.add(candle.open_time)

    def _off_grid(self, candle: Candle) -> str:
        since = f", {candle.open_time - self._above.open_time} after the one before" if self._above else ""
        length = self._request.interval.length
        grid = "a day at 00:00 UTC" if length == DAY else f"every {length} from 00:00 UTC on"
        return f"{_place(candle)}{since}; one {grid} is expected"

    def _note(self, kind: str, describe: Callable[[], str]) -> None:
        self._kinds[kind] += 1
        if kind not in self._first:
            self._first[kind] = describe()

    def _raise_empty(self, source: Source, first: Candle | None) -> None:
        if first is not None:
            limit = f"{self._span.end:%Y-%m-%d %H:%M}"
            raise UnusableHistory(source.name, [f"no candle closes by {limit}; the first one opens {_place(first)}"])
        span = f"from {self._span.start:%Y-%m-%d} to {self._span.end:%Y-%m-%d}"
        raise SourceError(source.name, f"no candle of {self._request.pair} {span}")


def _check_usable(source: Source, delivery: _Delivery, history: History) -> None:
    """Refuse what no model can be fitted to, whoever judges."""
    unusable = [FUTURE]  # a clock is wrong somewhere, and nobody knows which candle is the last
    if history.quarantined * 2 > len(delivery.found):
        unusable += [OFF_GRID, IMPOSSIBLE]
    if faults := delivery.defects(*unusable):
        raise UnusableHistory(source.name, [str(fault) for fault in faults])
    if len(history.candles) < MIN_CANDLES:
        fault = f"{len(history.candles)} usable candles of {history.pair}, {MIN_CANDLES} are needed"
        raise UnusableHistory(source.name, [fault])


def _place(candle: Candle) -> str:
    """The candle's opening, and its line in the file where it comes from one."""
    opening = candle.open_time.isoformat(" ").removesuffix("+00:00").removesuffix(" 00:00:00")
    return opening if candle.line is None else f"{opening} in line {candle.line}"


def _warned(source: Source, pair: Pair, error: SourceError | UnusableHistory | Refused) -> list[str]:
    """The reasons why this source is out, each with its name; the log has heard of the first."""
    faults = _faults(error)
    # A file's error names the very file, where its source may stand for one of each pair.
    where = error.subject if isinstance(error, UnusableHistory) else source.name
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    _log.warning("%s: no history from %s: %s%s", pair, where, faults[0], more)
    return [f"{where}: {fault}" for fault in faults]


def _faults(error: SourceError | UnusableHistory | Refused) -> tuple[str, ...]:
    if isinstance(error, SourceError):
        return (error.reason,)
    return error.reasons if isinstance(error, Refused) else error.faults


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
