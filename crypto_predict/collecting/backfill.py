"""What ``--backfill`` and ``--once`` fetch of a series."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from crypto_predict.collecting.fetching import Collected, Fetch, Run, candles_in
from crypto_predict.collecting.windows import REVISED, asked_again, is_due, is_final, uncovered
from crypto_predict.errors import RefusedKeys, SourceError, UnusableHistory
from crypto_predict.history import closing_limit
from crypto_predict.market import Interval, Pair, SeriesKey, Span, StoredGap
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import CandleSource
from crypto_predict.wording import counted

_log = logging.getLogger(__name__)


def backfill(run: Run, sources: Sequence[CandleSource], pair: Pair, interval: Interval, start: datetime) -> Collected:
    """Fetch what is missing of `pair` from `start` (UTC) on, from the first of `sources` that delivers.

    Once a source has delivered, another one does not take its place in this run: its `SourceError` is raised, and what
    it delivered is stored. Raise `RefusedKeys` if a source does not accept the set keys, `UnusableHistory` with
    the faults of every source if none has delivered, and `SeriesHeld` if another process collects the same.
    """
    reasons = []
    for source in sources:
        collected = None
        try:
            if interval not in source.intervals:
                labels = ", ".join(supported.label for supported in Interval if supported in source.intervals)
                raise UnusableHistory(source.id, [f"it has candles of {labels}, but not of {interval.label}"])
            series = SeriesKey(source.id, source.traded(pair), interval)
            collected = Collected(series)
            announce(source, pair, series)
            with run.database.hold(series):
                _collect(run, source, collected, start, lambda gap: not is_final(gap))
        except (SourceError, UnusableHistory) as error:
            if isinstance(error, RefusedKeys) or (collected is not None and collected.windows):
                raise
            faults = error.faults if isinstance(error, UnusableHistory) else (error.reason,)
            _log.warning("%s: not collected from %s: %s", pair, source.id, "; ".join(faults))
            reasons += [f"{source.id}: {fault}" for fault in faults]
        else:
            return collected
    raise UnusableHistory(str(pair), reasons)


def catch_up(run: Run, source: CandleSource, stored: CollectedSeries) -> Collected:
    """Fetch what is missing of a stored series: up to now, between what is stored, and the gaps that are due.

    A series without candles begins today. Errors are those of `backfill`.
    """
    series, collected = stored.series, Collected(stored.series)
    with run.database.hold(series):
        covered = run.database.coverage(series)
        start = covered[0].start if covered else Interval.DAY_1.floor(run.now)
        _collect(run, source, collected, start, lambda gap: is_due(gap, run.now))
    return collected


def announce(source: CandleSource, pair: Pair, series: SeriesKey) -> None:
    """Log which prices are collected."""
    _log.info("%s: collecting candles of %s from %s", pair, series.interval.label, source.id)
    if series.pair != pair:
        text = "%s: %s trades %s in its place; the candles are stored and served as %s"
        _log.warning(text, pair, source.id, series.pair, series.pair)
    if source.simulated:
        _log.warning("%s: SIMULATED PRICES: this market is invented", pair)


def _collect(
    run: Run, source: CandleSource, collected: Collected, start: datetime, is_wanted: Callable[[StoredGap], bool]
) -> None:
    """Ask for everything that is missing from `start` on, ascending."""
    series, interval = collected.series, collected.series.interval
    end = source.newest_close(series.pair, interval, closing_limit(run.until, run.now))
    wanted = Span(interval.ceil(start), end)
    if wanted.end <= wanted.start:
        return
    stored = next((entry for entry in run.database.collected() if entry.series == series), None)
    fetch = Fetch(run, source, collected, stored)
    pieces = list(uncovered(wanted, run.database.coverage(series)))
    if pieces and pieces[-1].start == fetch.newest_close:
        pieces[-1] = Span(max(wanted.start, fetch.newest_close - REVISED * interval.length), wanted.end)
    gaps = [gap for gap in run.database.gaps(series, wanted) if is_wanted(gap)]
    pieces = sorted([*pieces, *asked_again(gaps, wanted, interval)], key=lambda piece: piece.start)
    wanted_candles = sum(candles_in(piece, interval) for piece in pieces)
    run.expect(wanted_candles)
    try:
        for piece in pieces:
            fetch.oldest_first(piece)
    finally:
        run.expect(fetch.questioned - wanted_candles)
    if fetch.newest_close is None and not run.stopped.is_set():
        days = f"from {wanted.start:%Y-%m-%d %H:%M} to {wanted.end:%Y-%m-%d %H:%M} UTC"
        rejected = f", and {counted(collected.quarantined, 'rejected row')}" if collected.quarantined else ""
        raise SourceError(source.id, f"no candle of {series.pair} {days}{rejected}")
