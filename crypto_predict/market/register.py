"""The register of outages: the interruptions of many streams, joined into events, each with what became of its minutes.

An outage belongs to one source and one side. On the side of the exchange a stream was recorded as disconnected, or the
exchange had answered that it is not available. On ours nothing was recorded: the collector did not run, or did not
follow the pair. A quiet minute, in which a connected stream had nothing to send, is not an outage.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar

from crypto_predict.errors import InvalidValue
from crypto_predict.market.candle import StoredGap
from crypto_predict.market.collected import MOST_ATTEMPTS, QUARANTINED, StreamSpan, StreamState
from crypto_predict.market.interval import Interval, Span
from crypto_predict.market.pair import Pair

UNRECORDED = timedelta(seconds=1)  # between two states, from which it counts that nothing was recorded
SILENT = timedelta(seconds=60)  # a running collector stores the states of its streams every 15 s
NOT_RECORDED = "the collector did not run, or did not follow these pairs"

_COLLECTOR = "collector"
_TIME = "%Y%m%dT%H%M%SZ"
_MINUTE = Interval.MINUTE_1


class Cause(Enum):
    """Why streams were not connected."""

    EXCHANGE = "exchange"  # it had answered that it is not available
    CONNECTION = "connection"  # a connection ended or became silent, or could not be made
    COLLECTOR = "collector"  # nothing was recorded

    @property
    def is_ours(self) -> bool:
        """Whether the outage is one of the collector, and not of the exchange or the way to it."""
        return self is Cause.COLLECTOR


class Fate(Enum):
    """What became of a minute in which a stream was not connected throughout."""

    FILLED = "filled"  # its candle is stored: REST had it, or the stream sent it nevertheless
    AWAITED = "awaited"  # its candle is missing, and the source is still to be asked for it
    LOST = "lost"  # the source does not have it
    REJECTED = "rejected"  # what the source has cannot be a candle


@dataclass(frozen=True, slots=True)
class OutageKey:
    """The name of an outage, which stays: the instant is in it, and near its start."""

    source: str
    is_ours: bool
    at: datetime  # UTC, whole seconds

    @classmethod
    def parse(cls, text: str) -> "OutageKey":
        """Read ``binance-20261125T162800Z`` or ``binance-collector-20261125T162800Z``, or raise `InvalidValue`."""
        name, _, time = text.rpartition("-")
        source = name.removesuffix(f"-{_COLLECTOR}")
        try:
            at = datetime.strptime(time, _TIME).replace(tzinfo=UTC)
        except ValueError:
            at = None
        if at is None or not source or f"{at:{_TIME}}" != time:
            raise InvalidValue("id", text, "the id of an outage, such as binance-20261125T162800Z")
        return cls(source, source != name, at)

    def __str__(self) -> str:
        side = [_COLLECTOR] if self.is_ours else []
        return "-".join([self.source, *side, f"{self.at:{_TIME}}"])


@dataclass(frozen=True, slots=True)
class RegisteredOutage:
    """One outage: streams of one source that were not connected, and what became of their minutes."""

    source: str
    cause: Cause
    reason: str
    span: Span  # from the last sign of life to the next; as far as it is known if it is not over
    is_over: bool
    pairs: tuple[Pair, ...]  # sorted
    minutes: Mapping[Fate, int]  # of the pairs, counted one by one

    @property
    def key(self) -> OutageKey:
        """Its name."""
        return OutageKey(self.source, self.cause.is_ours, self.span.start.replace(microsecond=0))

    @property
    def touched(self) -> Span:
        """The minutes that it touches."""
        return _touched(self.span)


@dataclass(frozen=True, slots=True)
class PairRecord:
    """What is stored of the minutes of one pair. Spans are ascending and apart."""

    pair: Pair
    is_active: bool  # whether it is collected now
    streams: Sequence[StreamSpan]
    covered: Sequence[Span]  # of the openings from the first candle to the newest one, those that were asked for
    gaps: Sequence[StoredGap]


class _Interruption(NamedTuple):
    """A span in which one stream was not connected, for one cause."""

    span: Span
    cause: Cause
    reason: str
    is_over: bool
    record: PairRecord


def outages(source: str, records: Iterable[PairRecord], now: datetime) -> list[RegisteredOutage]:
    """Return the outages of a source up to `now` (UTC), ascending on each of the two sides.

    Interruptions of one side that touch the same minute are one outage, whatever the pairs. Time before the first
    state of a pair does not count, nor does time after the last one if the pair is no longer collected.
    """
    interruptions = [part for record in records for part in _interruptions(record, now)]
    interruptions.sort(key=lambda part: (part.cause.is_ours, part.span.start))
    registered = []
    for _, of_side in groupby(interruptions, key=lambda part: part.cause.is_ours):
        registered += [_joined(source, group, now) for group in _groups(of_side)]
    return registered


def _interruptions(record: PairRecord, now: datetime) -> Iterator[_Interruption]:
    """Yield the interruptions of one stream up to `now`, those of each run without a connection in any order."""
    run: list[list[StreamSpan]] = [[]]  # not connected: the states without time between them that is not recorded
    until: datetime | None = None
    for stream in record.streams:
        if stream.span.start >= now:
            break
        if until is not None and stream.span.start - until > UNRECORDED:
            yield _Interruption(Span(until, stream.span.start), Cause.COLLECTOR, NOT_RECORDED, True, record)
            run.append([])
        if stream.state is StreamState.CONNECTED:
            yield from _of_run(run, record, is_over=True)
            run = [[]]
        else:
            run[-1].append(stream)
        until = min(stream.span.end, now)
    if until is None:
        return
    is_silent = now - until > SILENT
    if record.is_active and is_silent:
        yield _Interruption(Span(until, now), Cause.COLLECTOR, NOT_RECORDED, False, record)
    yield from _of_run(run, record, is_over=is_silent or not record.is_active)


def _of_run(run: Sequence[Sequence[StreamSpan]], record: PairRecord, *, is_over: bool) -> Iterator[_Interruption]:
    """Yield the recorded interruptions of a run without a connection; `is_over` is about the last one.

    An exchange that was down before and after a time that was not recorded is taken to have been down throughout.
    """
    parts = [list(part) for part in run if part]
    down = [number for number, part in enumerate(parts) if any(_is_down(stream) for stream in part)]
    if down:
        parts[down[0] : down[-1] + 1] = [[stream for part in parts[down[0] : down[-1] + 1] for stream in part]]
    for number, part in enumerate(parts):
        cause = Cause.EXCHANGE if any(_is_down(stream) for stream in part) else Cause.CONNECTION
        telling = [stream for stream in part if _is_down(stream)] or part
        reason = next((stream.reason for stream in telling if stream.reason), "")
        is_last = number == len(parts) - 1
        yield _Interruption(Span(part[0].span.start, part[-1].span.end), cause, reason, is_over or not is_last, record)


def _is_down(stream: StreamSpan) -> bool:
    return stream.state is StreamState.EXCHANGE_DOWN


def _groups(ascending: Iterable[_Interruption]) -> Iterator[list[_Interruption]]:
    """Yield the interruptions of one side that touch the same minutes, directly or through others."""
    group: list[_Interruption] = []
    end: datetime | None = None
    for part in ascending:
        touched = _touched(part.span)
        if end is None or touched.start >= end:
            if group:
                yield group
            group, end = [], touched.end
        group.append(part)
        end = max(end, touched.end)
    if group:
        yield group


def _joined(source: str, group: Sequence[_Interruption], now: datetime) -> RegisteredOutage:
    """Return the outage that these interruptions are."""
    causes = {part.cause for part in group}
    cause = next(cause for cause in Cause if cause in causes)
    spans = [part.span for part in group]
    by_pair: dict[Pair, list[_Interruption]] = defaultdict(list)
    for part in group:
        by_pair[part.record.pair].append(part)
    counts = Counter[Fate]()
    for parts in by_pair.values():
        counts += _fates([part.span for part in parts], parts[0].record, now)
    return RegisteredOutage(
        source=source,
        cause=cause,
        reason=next((part.reason for part in group if part.cause is cause and part.reason), ""),
        span=Span(min(span.start for span in spans), min(max(span.end for span in spans), now)),
        is_over=all(part.is_over for part in group),
        pairs=tuple(sorted(by_pair)),
        minutes=counts,
    )


def _fates(spans: Sequence[Span], record: PairRecord, now: datetime) -> Counter[Fate]:
    """Count the closed minutes that these ascending spans touch, by what became of them."""
    counts, until = Counter[Fate](), spans[0].start
    for span in spans:
        touched = _touched(span)
        minutes = Span(max(touched.start, _MINUTE.floor(until)), min(touched.end, _MINUTE.floor(now)))
        until = max(until, touched.end)
        if minutes.start >= minutes.end:
            continue
        gaps = _overlapping(record.gaps, minutes)
        covered = sum(_minutes(minutes, part) for part in _overlapping(record.covered, minutes))
        counts[Fate.AWAITED] += (minutes.end - minutes.start) // _MINUTE.length - covered
        counts[Fate.FILLED] += covered - sum(_minutes(minutes, gap) for gap in gaps)
        for gap in gaps:
            counts[fate(gap)] += _minutes(minutes, gap)
    return counts


def fate(gap: StoredGap) -> Fate:
    """Return what has become of the minutes of a gap."""
    if gap.attempts < MOST_ATTEMPTS:
        return Fate.AWAITED
    return Fate.REJECTED if gap.cause == QUARANTINED else Fate.LOST


def _touched(span: Span) -> Span:
    return Span(_MINUTE.floor(span.start), _MINUTE.ceil(span.end))


class _Bounds(Protocol):
    @property
    def start(self) -> datetime: ...

    @property
    def end(self) -> datetime: ...


_B = TypeVar("_B", bound=_Bounds)


def _overlapping(parts: Sequence[_B], span: Span) -> Sequence[_B]:
    """Return those of ascending, separate parts that overlap `span`."""
    first = bisect_right(parts, span.start, key=lambda part: part.end)
    return parts[first : bisect_left(parts, span.end, lo=first, key=lambda part: part.start)]


def _minutes(span: Span, part: _Bounds) -> int:
    """Return the minutes that both have, which begin and end on whole minutes."""
    return (min(span.end, part.end) - max(span.start, part.start)) // _MINUTE.length


def reconciled(
    known: Sequence[RegisteredOutage], current: Sequence[RegisteredOutage], since: datetime
) -> list[RegisteredOutage]:
    """Return what replaces the `known` outages of a source, if those from `since` (UTC) on are the `current` ones.

    An outage that was known keeps its start, and so its name. One that began before `since` stays, and keeps its pairs:
    what it was made of may have been deleted. A later one stays only if it is still one: a clock that was wrong for a
    while leaves times without a record, which are recorded after all once it is right.
    """
    result, matched = list[RegisteredOutage](), set[OutageKey]()
    touching = [(old, old.touched) for old in known]
    for outage in current:
        minutes = outage.touched
        earlier = [
            old
            for old, touched in touching
            if touched.start < minutes.end
            and minutes.start < touched.end
            and old.cause.is_ours == outage.cause.is_ours
            and old.key not in matched
        ]
        matched.update(old.key for old in earlier)
        result.append(_continued(outage, earlier, since) if earlier else outage)
    return [*(old for old in known if old.span.start < since and old.key not in matched), *result]


def _continued(outage: RegisteredOutage, earlier: Sequence[RegisteredOutage], since: datetime) -> RegisteredOutage:
    """Return an outage with the start of the earlier ones that it continues."""
    start = min(old.span.start for old in earlier)
    pairs = {pair for old in earlier if old.span.start < since for pair in old.pairs}
    span = Span(min(start, outage.span.end), outage.span.end)
    return replace(outage, span=span, pairs=tuple(sorted(pairs.union(outage.pairs))))
