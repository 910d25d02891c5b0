"""Read a history from the first source that has a usable one.

A failure moves on to the next source, with two exceptions. Refused keys end the search: whoever set them means that
source. Simulated prices replace only sources that could not be reached. If an exchange or a file was read, but its
history is missing or faulty, the mistake must be corrected.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from crypto_predict.errors import Refused, RefusedKeys, SourceError, Unreachable, UnusableHistory
from crypto_predict.history.audit import FUTURE, IMPOSSIBLE, OFF_GRID, Audit, Defect, place
from crypto_predict.history.columns import CandleBuffer, Candles
from crypto_predict.market import DAY, EPOCH, Candle, Gap, Interval, Pair, Span
from crypto_predict.market.ports import CandleSource, RowSource

MIN_CANDLES = 30  # fewer show neither a trend nor a season
SETTLE = timedelta(seconds=5)  # the longest time that an exchange needs to finish a closed candle

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """The candles of one pair from one source, ready for training."""

    pair: Pair
    interval: Interval
    source: str  # the id of the `CandleSource`
    simulated: bool
    candles: Candles  # ascending, unique, aligned, sound, closed
    gaps: tuple[Gap, ...]  # between two candles, ascending
    quarantined: int  # candles that could not be used
    defects: tuple[Defect, ...] = ()  # of the candles received, one of a kind

    def last(self, days: int) -> History:
        """Return the part that opens within the last `days` days. The defects stay the same."""
        start = self.candles[-1].open_time + self.interval.length - timedelta(days=days)
        kept = self.candles[int(self.candles.open_time.searchsorted(start.timestamp())) :]
        return replace(self, candles=kept, gaps=tuple(gap for gap in self.gaps if gap.start > kept[0].open_time))

    def sha256(self) -> str:
        """Return the digest of interval and candles, for a model card.

        It is taken over UTF-8 text: one line with the interval in seconds, then one line a candle, each ended by a line
        feed: ``2024-05-17T00:00:00Z,open,high,low,close,volume`` with numbers as Python's ``repr`` writes floats.
        """
        digest = hashlib.sha256(f"{self.interval.seconds}\n".encode())
        for candle in self.candles:
            numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
            digest.update(f"{candle.open_time:%Y-%m-%dT%H:%M:%SZ},{','.join(map(repr, numbers))}\n".encode())
        return digest.hexdigest()


Judge = Callable[[History], list[str]]  # the reasons why a history must not be used


def read_history(  # noqa: PLR0913, PLR0917 each is one fact of the question
    sources: Sequence[CandleSource],
    pair: Pair,
    interval: Interval,
    days: int,
    until: date | None,
    now: datetime,
    judge: Judge | None = None,
) -> tuple[History, CandleSource]:
    """Return the history of `pair` from the first of `sources` that has a usable one, and that source.

    Args:
        sources: In order of preference.
        pair: What to read.
        interval: The length of a candle.
        days: The length of the span that is read. It ends with the newest closed candle, and never starts before 1970.
        until: Candles that open after this UTC day are ignored; None: up to now.
        now: The present, in UTC. A candle counts as closed once `SETTLE` has passed since its end.
        judge: Called with the history of each source, even if it is short or empty. It may refuse it.

    Raises:
        RefusedKeys: A source does not accept the keys that are set.
        Refused: All sources failed, and `judge` refused at least one. The reasons name every source.
        UnusableHistory: All sources failed. The faults name every source.
    """
    request = _Request(pair, interval, days, closing_limit(until, now), now)
    reasons: list[str] = []
    reached = refused = False
    for source in sources:
        if source.simulated and reached:
            reasons.append(f"{source.id}: not used, since invented prices stand in only for what cannot be reached")
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
            return history, source
    if refused:
        raise Refused([f"{pair}: {reason}" for reason in reasons])
    raise UnusableHistory(str(pair), reasons)


def closing_limit(until: date | None, now: datetime) -> datetime:
    """Return the instant (UTC) by which a candle must have closed; for `until` and `now` see `read_history`."""
    settled = now - SETTLE
    if until is None or until >= settled.date():
        return settled
    return datetime.combine(until, time.min, UTC) + DAY


def candles_since(
    history: History, source: CandleSource, interval: Interval, most: timedelta, limit: datetime
) -> list[Candle]:
    """Return the candles that followed a history, ascending.

    Args:
        history: Only candles that open after its last close are read.
        source: The source of `history`.
        interval: The length of a candle.
        most: The longest time after the last close; later candles are left out.
        limit: The instant (UTC) by which a candle must have closed.

    Raises:
        SourceError, UnusableHistory: The source does not have such candles.
    """
    start = history.candles[-1].open_time + history.interval.length
    span = Span(start, min(source.newest_close(history.pair, interval, limit), start + most))
    if span.end <= span.start:
        return []
    found = {candle.open_time: candle for candle in source.candles(history.pair, interval, span)}
    return [found[opening] for opening in sorted(found) if opening in span and opening + interval.length <= span.end]


@dataclass(frozen=True, slots=True)
class _Request:
    """What is read from every source."""

    pair: Pair
    interval: Interval
    days: int
    limit: datetime  # UTC; a candle must have closed by then
    now: datetime  # UTC

    def span(self, end: datetime) -> Span:
        """Return the days up to `end`, without those before 1970."""
        return Span(end - min(timedelta(days=self.days), max(end - EPOCH, timedelta(0))), end)

    def rows(self, source: CandleSource, span: Span) -> Iterator[tuple[Candle, int | None]]:
        """Return the candles of `source`, each with its line if they come from a file."""
        if isinstance(source, RowSource):
            return source.rows(self.pair, self.interval, span)
        return ((candle, None) for candle in source.candles(self.pair, self.interval, span))


def _read(source: CandleSource, request: _Request, judge: Judge | None) -> History:
    end = source.newest_close(request.pair, request.interval, request.limit)
    history = _audited(source, request, request.span(end))
    if judge is not None and (reasons := judge(history)):
        raise Refused(reasons)
    _check_usable(history)
    if (close := history.candles[-1].open_time + request.interval.length) < end:
        _log.warning("%s: the newest candle of %s closed %s, not %s", request.pair, source.id, close, end)
    return history


def _audited(source: CandleSource, request: _Request, span: Span) -> History:
    """Read a source and audit what it delivers. The history may be short, or empty."""
    audit, buffer = Audit(request.interval), CandleBuffer(request.interval)
    first, latest = None, span.end - request.interval.length
    for candle, line in request.rows(source, span) if span.start < span.end else ():
        first = first or place(candle.open_time, line)
        counts = candle.open_time > request.now or span.start <= candle.open_time <= latest
        if counts and audit.add(candle, request.now, line):
            buffer.append(candle, line)
    if first is not None and not audit.received:
        limit = f"{span.end:%Y-%m-%d %H:%M}"
        raise UnusableHistory(source.id, [f"no candle closes by {limit}; the first one opens {first}"])
    if not audit.received:
        raise SourceError(source.id, f"no candle of {request.pair} from {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}")
    return History(
        pair=request.pair,
        interval=request.interval,
        source=source.id,
        simulated=source.simulated,
        candles=buffer.candles().last_copies(without=audit.quarantine),
        gaps=audit.gaps(),
        quarantined=len(audit.quarantine),
        defects=audit.defects(),
    )


def _check_usable(history: History) -> None:
    """Raise if a model cannot be fitted to the history."""
    unusable = {FUTURE}  # a clock is wrong, so the last closed candle is unknown
    if history.quarantined > len(history.candles):
        unusable |= {OFF_GRID, IMPOSSIBLE}
    if faults := [str(defect) for defect in history.defects if defect.kind in unusable]:
        raise UnusableHistory(history.source, faults)
    if len(history.candles) < MIN_CANDLES:
        fault = f"{len(history.candles)} usable candles of {history.pair}, {MIN_CANDLES} are needed"
        raise UnusableHistory(history.source, [fault])


def _warned(source: CandleSource, pair: Pair, error: SourceError | UnusableHistory | Refused) -> list[str]:
    """Log why this source is not used, and return the reasons, each with the name of the source."""
    where, faults = source.id, error.reasons if isinstance(error, Refused) else ()
    if isinstance(error, SourceError):
        faults = (error.reason,)
    elif isinstance(error, UnusableHistory):
        # The error names the very file. The id of the source may be a pattern for several files.
        where, faults = error.subject, error.faults
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    _log.warning("%s: no history from %s: %s%s", pair, where, faults[0], more)
    return [f"{where}: {fault}" for fault in faults]


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
