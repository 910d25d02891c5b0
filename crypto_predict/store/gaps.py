"""Coverage and gaps: what the source was asked for, and which candles it did not return.

A gap is a run of missing openings in a covered span, with a stored candle before and after it. So openings before the
first candle of a series are not a gap, nor are those after the newest one or those that were not asked for.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, bindparam, delete, func, select, update

from crypto_predict.market import Interval, Span
from crypto_predict.market.collected import MOST_ATTEMPTS
from crypto_predict.store import bulk, tables
from crypto_predict.store.columns import seconds_up
from crypto_predict.store.storing import Symbol

OPEN, FINAL = "open", "the source does not have it"
NOT_RETURNED, QUARANTINED, PARTLY = "not returned by the source", "quarantined", "partly quarantined"

_SECOND = 1_000_000  # microseconds
_COLUMNS = ("start_time", "end_time", "cause", "attempts", "verdict", "found_at_us")


@dataclass(frozen=True, slots=True)
class Asked:
    """The openings of a series that its source was asked for, in seconds since 1970."""

    start: int  # included
    end: int  # not included

    @classmethod
    def of(cls, span: Span, interval: Interval) -> "Asked | None":
        """Return the whole intervals of a span; None if it does not have any."""
        whole = span.whole(interval)
        return cls(seconds_up(whole.start), seconds_up(whole.end)) if whole.start < whole.end else None


_Row = tuple[int, int, str, int, str, int]  # _COLUMNS
_UNCOVER = delete(tables.coverage).where(
    tables.coverage.c.series == bindparam("key"), tables.coverage.c.start_time == bindparam("start")
)


@dataclass(frozen=True, slots=True)
class Written:
    """The candles of one series that were written in a transaction, each of which covers its own interval."""

    symbol: Symbol  # as it was before
    openings: Sequence[int]  # ascending, at least one
    new: bool  # whether one of them was not stored before


def cover_candles(connection: Connection, written: Sequence[Written], now: int) -> None:
    """Add the intervals of candles to the coverage, in few statements for all series; find gaps again if needed.

    Args:
        connection: Of the transaction in which they were written.
        written: Of one series each.
        now: In microseconds.
    """
    columns = tables.coverage.c
    query = (
        select(columns.series, columns.start_time, columns.end_time)
        .where(columns.series.in_([one.symbol.id for one in written]))
        .where(columns.end_time >= min(min(one.openings[0], _newest_end(one)) for one in written))
        .order_by(columns.series, columns.start_time)
    )
    spans: Mapping[int, list[Asked]] = defaultdict(list)
    for series, start, end in connection.execute(query):
        spans[series].append(Asked(start, end))
    gone, grown = [], []
    for batch in written:
        series, before = batch.symbol.id, spans[batch.symbol.id]
        own = [Asked(opening, opening + batch.symbol.step) for opening in batch.openings]
        after = list(_united([*before, *own]))
        covered, starts = set(before), {span.start for span in after}
        gone += [{"key": series, "start": span.start} for span in before if span.start not in starts]
        grown += [(series, span.start, span.end) for span in after if span not in covered]
    if gone:
        connection.execute(_UNCOVER, gone)
    bulk.upsert(connection, tables.coverage, iter(grown))
    unchanged = {one.symbol.id for one in written if not one.new}
    _renumber(connection, unchanged & {series for series, _, _ in grown})
    for batch in written:
        # what was asked for after the newest candle, and is not there, is a gap once a later candle is
        beyond = any(span.end > _newest_end(batch) for span in spans[batch.symbol.id])
        appended = batch.symbol.last_open is None or batch.openings[0] > batch.symbol.last_open
        if batch.new and (beyond or not appended):
            changed = Asked(batch.openings[0], batch.openings[-1] + batch.symbol.step)
            Gaps(connection, batch.symbol.id, batch.symbol.step, now).renew(changed, None)


def _renumber(connection: Connection, series: set[int]) -> None:
    """Give series a new version, since their coverage has changed."""
    if series:
        columns = tables.symbols.c
        connection.execute(update(tables.symbols).where(columns.id.in_(series)).values(version=columns.version + 1))


def _newest_end(batch: Written) -> int:
    """Return the end of the newest candle before the write, or else the start of the first one of the write."""
    last_open = batch.symbol.last_open
    return batch.openings[0] if last_open is None else last_open + batch.symbol.step


def _united(spans: Sequence[Asked]) -> Iterator[Asked]:
    """Return spans in ascending order, merged where they overlap or touch."""
    ascending = sorted(spans, key=lambda span: span.start)
    merged = ascending[0]
    for span in ascending[1:]:
        if span.start > merged.end:
            yield merged
            merged = span
        else:
            merged = Asked(merged.start, max(merged.end, span.end))
    yield merged


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of one series in one transaction, which excludes other writers of the series."""

    connection: Connection
    series: int  # its number
    step: int  # the seconds of its interval
    now: int  # in microseconds

    def cover(self, answered: Asked) -> None:
        """Add a span to the coverage, merged with those that it overlaps or touches."""
        columns = tables.coverage.c
        touching = (
            (columns.series == self.series)
            & (columns.start_time <= answered.end)
            & (columns.end_time >= answered.start)
        )
        rows = self.connection.execute(select(columns.start_time, columns.end_time).where(touching))
        overlapping = [tuple(row) for row in rows]
        merged = (
            min([answered.start, *(start for start, _ in overlapping)]),
            max([answered.end, *(end for _, end in overlapping)]),
        )
        if overlapping != [merged]:
            self.connection.execute(delete(tables.coverage).where(touching))
            names = ("series", "start_time", "end_time")
            bulk.insert(self.connection, tables.coverage, names, [(self.series, *merged)])
            _renumber(self.connection, {self.series})

    def renew(self, changed: Asked, answered: Asked | None) -> None:
        """Find the gaps again around `changed`, a span with every opening whose candle or coverage changed.

        Those whose first opening is in `asked` count an attempt.
        """
        opening = tables.price_history.c.open_time
        own = tables.price_history.c.series == self.series
        before = self.connection.execute(select(func.max(opening)).where(own, opening < changed.start)).scalar()
        after = self.connection.execute(select(func.min(opening)).where(own, opening >= changed.end)).scalar()
        around = Asked(changed.start if before is None else before, changed.end if after is None else after)
        columns = tables.gaps.c
        overlapping = (
            (columns.series == self.series) & (columns.start_time < around.end) & (columns.end_time > around.start)
        )
        query = select(*(columns[name] for name in _COLUMNS)).where(overlapping).order_by(columns.start_time)
        old = cast("list[_Row]", [tuple(row) for row in self.connection.execute(query)])
        holes = list(self._holes(around))
        rejected = self._rejected(Asked(holes[0].start, holes[-1].end)) if holes else ()
        new = [self._row(hole, old, answered, rejected) for hole in holes]
        if new != old:
            self.connection.execute(delete(tables.gaps).where(overlapping))
            bulk.insert(self.connection, tables.gaps, ("series", *_COLUMNS), [(self.series, *row) for row in new])

    def _holes(self, around: Asked) -> Iterator[Asked]:
        """Return the runs of covered openings between two neighbouring candles."""
        opening = tables.price_history.c.open_time
        within = (tables.price_history.c.series == self.series) & opening.between(around.start, around.end)
        first, end, count = self.connection.execute(
            select(func.min(opening), func.max(opening), func.count()).where(within)
        ).one()
        if not count or end - first == (count - 1) * self.step:  # quicker than what follows, and nearly always true
            return
        neighbours = select(opening, func.lead(opening).over(order_by=opening).label("next")).where(within).subquery()
        last, following = neighbours.c.open_time, neighbours.c.next
        apart = self.connection.execute(
            select(last, following).where(following - last > self.step).order_by(last)
        ).all()
        if not apart:
            return
        columns = tables.coverage.c
        covered = self.connection.execute(
            select(columns.start_time, columns.end_time)
            .where(columns.series == self.series)
            .where(columns.start_time < apart[-1][1], columns.end_time > apart[0][0])
            .order_by(columns.start_time)
        ).all()
        for candle, next_candle in apart:
            for start, end in covered:
                hole = Asked(max(candle + self.step, start), min(next_candle, end))
                if hole.start < hole.end:
                    yield hole

    def _row(self, hole: Asked, old: Sequence[_Row], answered: Asked | None, rejected: Sequence[int]) -> _Row:
        """Return the row of a gap, with what is known about the older gaps of which it is a part.

        `old` and `rejected` are ascending.
        """
        first = bisect_right(old, hole.start, key=lambda row: row[1])
        parts = old[first : bisect_left(old, hole.end, lo=first, key=lambda row: row[0])]
        # the openings by which a gap has grown were asked for once
        is_recorded = any(row[0] <= hole.start and row[1] >= hole.end for row in parts)
        again = (
            answered is not None and answered.start <= hole.start < answered.end
        )  # once, even if asked for in pieces
        attempts = parts[0][3] + again if is_recorded else 1
        found_at = min((row[5] for row in parts), default=self.now)
        cause = self._cause(hole, bisect_left(rejected, hole.end) - bisect_left(rejected, hole.start))
        return hole.start, hole.end, cause, attempts, OPEN if attempts < MOST_ATTEMPTS else FINAL, found_at

    def _rejected(self, span: Asked) -> Sequence[int]:
        """Return the openings of a span whose candles were rejected, ascending, in one query for all gaps."""
        opening = tables.quarantine.c.open_time_us
        rows = self.connection.execute(
            select(opening)
            .distinct()
            .where(tables.quarantine.c.series == self.series)
            .where(opening >= span.start * _SECOND, opening < span.end * _SECOND)
            .where(opening % (self.step * _SECOND) == 0)
            .order_by(opening)
        )
        return [opening_us // _SECOND for (opening_us,) in rows]

    def _cause(self, hole: Asked, rejected: int) -> str:
        """Return why the candles of a hole are missing, of which so many were rejected."""
        if not rejected:
            return NOT_RETURNED
        return QUARANTINED if rejected * self.step == hole.end - hole.start else PARTLY
