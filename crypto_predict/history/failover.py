"""Read a history from the first source that has a usable one, and compare it with another exchange.

A failure moves on to the next source, with two exceptions. Refused keys end the search: the user wants that source.
Simulated prices replace only sources that could not be reached. If an exchange or a file was read, but its history is
missing or faulty, the mistake must be corrected.

As long as an exchange answers, the next one is not asked. Once it is in trouble, which its attempts may overcome, the
next exchange is read meanwhile, so that those which cannot be reached are found at the same time. The order of
preference decides, and not who answers first.

A stale history, which lacks the `STALE` newest candles that can exist or more, is used only if no source has a fresh
one.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import chain, islice
from threading import Lock

import numpy as np

from crypto_predict.baked.schema import CrossCheck
from crypto_predict.errors import Refused, RefusedKeys, SourceError, Unreachable, UnusableHistory
from crypto_predict.history.audit import FUTURE, IMPOSSIBLE, OFF_GRID, Audit, place
from crypto_predict.history.columns import Candles
from crypto_predict.market import DAY, EPOCH, Candle, Gap, Interval, Pair, Span, digest
from crypto_predict.market.ports import CandleSource, PriceSource, RowSource
from crypto_predict.sources.network.retry import noticing_trouble
from crypto_predict.threads import started

MIN_CANDLES = 30  # fewer show neither a trend nor a season
STALE = 2  # newest candles missing: an exchange may be late with one
SETTLE = timedelta(seconds=5)  # the longest time that an exchange needs to finish a closed candle

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """The candles of one pair from one source, ready for training."""

    pair: Pair
    traded: Pair  # whose prices these are: BTC/USDT for BTC/USD at an exchange without dollars
    interval: Interval
    source: str  # the id of the `CandleSource`
    simulated: bool
    candles: Candles  # ascending, unique, aligned, sound, closed
    quarantined: int  # candles that could not be used
    defects: Mapping[str, str] = field(default_factory=dict)  # of the candles received, by kind; see `Audit`
    passed_over: tuple[str, ...] = ()  # why each preferred source was not used, with its name

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps between two candles, ascending."""
        openings, step = self.candles.open_time, self.interval.seconds
        (before,) = np.nonzero(np.diff(openings) > step)
        ends = zip((openings[before] + step).tolist(), openings[before + 1].tolist(), strict=True)
        second = timedelta(seconds=1)
        return tuple(Gap(EPOCH + start * second, EPOCH + end * second, (end - start) // step) for start, end in ends)

    @property
    def end(self) -> datetime:
        """The close of the last candle, in UTC."""
        return self.candles[-1].open_time + self.interval.length

    def last(self, days: int) -> "History":
        """Return the part that opens within the last `days` days. The defects stay the same."""
        start = self.end - timedelta(days=days)
        candles = self.candles[int(self.candles.open_time.searchsorted(start.timestamp())) :]
        return replace(self, candles=candles)

    def sha256(self) -> str:
        """Return the digest of interval and candles, for a model card; see `market.digest`."""
        return digest(self.candles, self.interval)


_Reading = tuple[datetime, History]  # the newest close that can exist (UTC), and what was read
Judge = Callable[[History], list[str]]  # the reasons why a history must not be used


def read_history(  # noqa: PLR0913, PLR0917 each is one fact of the question
    sources: Sequence[CandleSource],
    pair: Pair,
    interval: Interval,
    days: int,
    until: date | None,
    now: datetime,
    judge: Judge | None = None,
    *,
    is_further: bool = False,
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
        is_further: Whether another history of the pair was read from the source, so that the log has said what it is.

    Raises:
        RefusedKeys: A source does not accept the keys that are set.
        Refused: All sources failed, and `judge` refused at least one. The reasons name every source.
        UnusableHistory: All sources failed. The faults name every source.
    """
    limit = closing_limit(until, now)
    reasons: list[str] = []
    passed_over: list[str] = []  # one line a source
    stale: list[tuple[History, CandleSource, str]] = []
    reached = refused = False

    def read(source: CandleSource) -> _Reading:
        end = source.newest_close(pair, interval, limit)
        start = end - min(timedelta(days=days), max(end - EPOCH, timedelta(0)))
        return end, _audited(source, pair, interval, Span(start, end), now)

    reading = _readings(sources, read)
    for number, source in enumerate(sources):
        if source.simulated and reached:
            reasons.append(f"{source.id}: not used, since simulated prices replace only unreachable sources")
            continue
        try:
            end, history = reading(number)
            if judge is not None and (objections := judge(history)):
                raise Refused(objections)
            _check_usable(history)
        except RefusedKeys:
            raise
        except (SourceError, UnusableHistory, Refused) as error:
            reached = reached or not isinstance(error, Unreachable)
            refused = refused or isinstance(error, Refused)
            causes = _reasons(source, error)
            reasons += causes
            passed_over.append(f"{causes[0]} (and {len(causes) - 1} more)" if len(causes) > 1 else causes[0])
            _log.warning("%s: no history from %s", pair, passed_over[-1])
        else:
            newest = end if isinstance(source, RowSource) else interval.floor(limit)  # a file may be as old as it is
            if history.end < newest:
                _log.warning("%s: the newest candle of %s closed %s, not %s", pair, source.id, history.end, newest)
            if newest - history.end < STALE * interval.length:
                return _chosen(history, passed_over, is_further=is_further), source
            reached = True
            reason = f"{source.id}: stale, its newest candle closed {history.end:%Y-%m-%d %H:%M}"
            stale.append((history, source, reason))
            passed_over.append(reason)
    if stale:
        history, source, reason = max(stale, key=lambda candidate: candidate[0].end)
        passed_over.remove(reason)
        return _chosen(history, passed_over, is_further=is_further), source
    if refused:
        raise Refused([f"{pair}: {reason}" for reason in reasons])
    raise UnusableHistory(str(pair), reasons)


def _readings(sources: Sequence[CandleSource], read: Callable[[CandleSource], _Reading]) -> Callable[[int], _Reading]:
    """Return what reads a source, or raises its error: exchanges in threads, the next one when one is in trouble."""
    begun: dict[int, Future[_Reading]] = {}  # by the place of the source
    lock = Lock()

    def begin(number: int) -> None:
        with lock:
            if number < len(sources) and number not in begun and isinstance(sources[number], PriceSource):
                begun[number] = started(lambda: read_exchange(number), "question")

    def read_exchange(number: int) -> _Reading:
        try:
            with noticing_trouble(lambda: begin(number + 1)):
                return read(sources[number])
        except RefusedKeys:  # ends the search
            raise
        except (SourceError, UnusableHistory):
            begin(number + 1)
            raise

    def result(number: int) -> _Reading:
        begin(number)
        return begun[number].result() if number in begun else read(sources[number])

    return result


def closing_limit(until: date | None, now: datetime) -> datetime:
    """Return the instant (UTC) by which a candle must have closed; for `until` and `now` see `read_history`."""
    settled = now - SETTLE
    if until is None or until >= settled.date():
        return settled
    return datetime.combine(until, time.min, UTC) + DAY


def candles_since(
    history: History, source: CandleSource, interval: Interval, most: timedelta, limit: datetime
) -> list[Candle]:
    """Return the candles of `interval` that follow a history in its source, ascending.

    They close at most the time `most` after the last close of the history, and by `limit` (UTC). Errors of the source
    are raised.
    """
    span = Span(history.end, min(source.newest_close(history.pair, interval, limit), history.end + most))
    if span.end <= span.start:
        return []
    candles = {candle.open_time: candle for candle in source.candles(history.pair, interval, span)}
    return [
        candles[opening] for opening in sorted(candles) if opening in span and opening + interval.length <= span.end
    ]


def compare_last_close(history: History, source: CandleSource, others: Sequence[CandleSource]) -> CrossCheck | None:
    """Return the last close of `history`, which comes from `source`, at the first of `others` that answers.

    Each exchange is asked for one candle. Its failure is only logged. Files and simulated prices are neither compared
    nor asked: they may be copies, or are made up.
    """
    if not isinstance(source, PriceSource):
        return None
    last = history.candles[-1]
    span = Span(last.open_time, history.end)
    for other in others:
        if not isinstance(other, PriceSource) or other.id == source.id:
            continue
        try:
            candles = [
                candle for candle in other.candles(history.pair, history.interval, span) if candle.open_time in span
            ]
            traded = other.traded(history.pair)
        except (SourceError, UnusableHistory) as error:
            _log.warning("%s: the last close is not compared with that of %s: %s", history.pair, other.id, error)
            continue
        if not candles or candles[-1].faults():
            _log.warning("%s: %s does not have a candle to compare with the last one", history.pair, other.id)
            continue
        check = CrossCheck(
            other.id, traded, last.open_time.date(), candles[-1].close, candles[-1].close / last.close - 1
        )
        facts = history.pair, last.close, source.id, check.close, traded, other.id, 100 * check.difference
        _log.info("%s: the last close is %g at %s and %g (%s) at %s, %+.2f %% apart", *facts)
        return check
    return None


def _audited(source: CandleSource, pair: Pair, interval: Interval, span: Span, now: datetime) -> History:
    """Read a source and audit what it delivers. The history may be short, or empty."""
    rows: Iterable[tuple[Candle, int | None]] = ()
    if span.start < span.end and isinstance(source, RowSource):
        rows = source.rows(pair, interval, span)
    elif span.start < span.end:
        rows = ((candle, None) for candle in source.candles(pair, interval, span))
    audit, latest, rows = Audit(interval), span.end - interval.length, iter(rows)
    first = list(islice(rows, 1))
    candles = Candles.of_rows(
        (
            (candle, line)
            for candle, line in chain(first, rows)
            if (candle.open_time > now or span.start <= candle.open_time <= latest) and audit.add(candle, now, line)
        ),
        interval,
    )
    if first and not audit.received:
        opening = place(first[0][0].open_time, first[0][1])
        raise UnusableHistory(
            source.id, [f"no candle closes by {span.end:%Y-%m-%d %H:%M}; the first one opens {opening}"]
        )
    if not audit.received:
        raise SourceError(source.id, f"no candle of {pair} from {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}")
    return History(
        pair=pair,
        traded=source.traded(pair),
        interval=interval,
        source=source.id,
        simulated=source.simulated,
        candles=candles.last_copies(without=audit.quarantine),
        quarantined=len(audit.quarantine),
        defects=audit.defects(),
    )


def _check_usable(history: History) -> None:
    """Raise if a model cannot be fitted to the history."""
    unusable = {FUTURE}  # a clock is wrong, so the last closed candle is unknown
    if history.quarantined > len(history.candles):
        unusable |= {OFF_GRID, IMPOSSIBLE}
    faults = [defect for kind, defect in history.defects.items() if kind in unusable]
    if not faults and len(history.candles) < MIN_CANDLES:
        faults = [f"{len(history.candles)} usable candles of {history.pair}, {MIN_CANDLES} are needed"]
    if faults:
        raise UnusableHistory(history.source, faults)


def _reasons(source: CandleSource, error: SourceError | UnusableHistory | Refused) -> list[str]:
    """Return why this source is not used, each reason with the name of the source."""
    if isinstance(error, UnusableHistory):  # names the very file; the id of the source may be a pattern for several
        return [f"{error.subject}: {fault}" for fault in error.faults]
    return [f"{source.id}: {fault}" for fault in (error.reasons if isinstance(error, Refused) else (error.reason,))]


def _chosen(history: History, passed_over: Sequence[str], *, is_further: bool) -> History:
    """Log which history is used and why, unless the log has said so."""
    pair, source, missing = history.pair, history.source, sum(gap.missing for gap in history.gaps)
    chosen = replace(history, passed_over=tuple(passed_over))
    if is_further:
        return chosen
    counts = len(history.candles), source, missing, history.quarantined
    _log.info("%s: %d candles from %s, %d missing, %d quarantined", pair, *counts)
    if passed_over:
        _log.info("%s: %s is used, since others are not: %s", pair, source, "; ".join(passed_over))
    if history.traded != pair:
        _log.warning("%s: the prices of %s are those of %s", pair, source, history.traded)
    if history.simulated:
        _log.warning(_SIMULATED, pair)
    return chosen


_SIMULATED = """
********************************************************************************
***  SIMULATED PRICES for %s: no exchange was used, this market is invented.
***  The forecast says nothing about any real price. Never trade or publish on it.
********************************************************************************"""
