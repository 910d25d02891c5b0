"""Coverage and gaps: what the source was asked for, and which candles it did not return.

A gap is a run of missing openings in a covered span, with a stored candle before and after it. So openings before the
first candle of a series are not a gap, nor are those after the newest one or those that were not asked for.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from sqlalchemy import Connection, bindparam, delete, func, select, update

from crypto_predict.market import StoredGap
from crypto_predict.market.collected import MOST_ATTEMPTS, QUARANTINED
from crypto_predict.store import bulk, tables
from crypto_predict.store.columns import MONDAY_SECONDS, among, microseconds, seconds_up
from crypto_predict.store.storing import Change, Openings, Symbol, united
from crypto_predict.store.tables import coverage, gaps, price_history, quarantine

OPEN, FINAL = "open", "the source does not have it"
NOT_RETURNED, PARTLY = "not returned by the source", "partly quarantined"

_SECOND = 1_000_000  # microseconds
_COLUMNS = ("start_time", "end_time", "cause", "attempts", "verdict", "found_at_us")
_Row = tuple[int, int, str, int, str, int]  # _COLUMNS
_UNCOVER = delete(coverage).where(coverage.c.series == bindparam("key"), coverage.c.start_time == bindparam("start"))


def cover(
    connection: Connection, answered: Mapping[int, Sequence[Openings]], changes: Sequence[Change]
) -> Mapping[int, Sequence[Openings]]:
    """Add spans to the coverage of each series, in few statements; return what it was beyond the candles before.

    A series whose coverage grows gets a new version, unless its `changes` have given it one.
    """
    columns, spans = coverage.c, [span for added in answered.values() for span in added]
    since = [span.start for span in spans] + [change.newest_end for change in changes]
    query = (
        select(columns.series, columns.start_time, columns.end_time)
        .where(among(connection, [columns.series], ([series] for series in answered)))
        .where(columns.end_time >= min(since), columns.start_time <= max(span.end for span in spans))
        .order_by(columns.series, columns.start_time)
    )
    before: Mapping[int, list[Openings]] = defaultdict(list)
    for series, start, end in connection.execute(query):
        before[series].append(Openings(start, end))
    gone, grown = [], []
    for series, added in answered.items():
        after = list(united([*before[series], *added]))
        starts = {span.start for span in after}
        gone += [{"key": series, "start": span.start} for span in before[series] if span.start not in starts]
        grown += [(series, *span) for span in after if span not in before[series]]
    if gone:
        connection.execute(_UNCOVER, gone)
    bulk.upsert(connection, coverage, iter(grown))
    if outdated := {series for series, *_ in grown} - {change.symbol.id for change in changes if len(change)}:
        table = tables.symbols
        connection.execute(update(table).where(table.c.id.in_(outdated)).values(version=table.c.version + 1))
    return before


def cover_candles(connection: Connection, changes: Sequence[Change], now: int) -> None:
    """Add the interval of each written candle to the coverage, and find gaps again if needed; `now` in us."""
    answered = {
        change.symbol.id: [Openings(opening, opening + change.symbol.interval) for opening in change.openings]
        for change in changes
    }
    before = cover(connection, answered, changes)
    for change in changes:
        # what was asked for after the newest candle, and is not there, is a gap once a later candle is
        is_asked_beyond = any(span.end > change.newest_end for span in before[change.symbol.id])
        if change.new and (is_asked_beyond or not change.is_appended):
            renew(connection, change.symbol, now, change.span, None)


def restore(connection: Connection, series: int, known: Sequence[StoredGap]) -> None:
    """Write what another database knew of the gaps of a locked series that have the same ends there and here."""
    facts = ("cause", "attempts", "verdict", "found_at_us")
    columns = gaps.c
    same = [columns[name] == bindparam(f"of_{name}") for name in ("series", "start_time", "end_time")]
    statement = update(gaps).where(*same)
    rows = [
        {
            "of_series": series,
            "of_start_time": seconds_up(gap.start),
            "of_end_time": seconds_up(gap.end),
            "known_cause": gap.cause,
            "known_attempts": gap.attempts,
            "known_verdict": gap.verdict,
            "known_found_at_us": microseconds(gap.found_at),
        }
        for gap in known
    ]
    connection.execute(statement.values({name: bindparam(f"known_{name}") for name in facts}), rows)


def renew(connection: Connection, symbol: Symbol, now: int, changed: Openings, answered: Openings | None) -> None:
    """Find the gaps of a locked series again around `changed`: every opening whose candle or coverage changed.

    Those whose first opening is in `answered` count an attempt. `now` is in microseconds.
    """
    opening, own = price_history.c.open_time, price_history.c.series == symbol.id
    before = connection.execute(select(func.max(opening)).where(own, opening < changed.start)).scalar()
    after = connection.execute(select(func.min(opening)).where(own, opening >= changed.end)).scalar()
    around = Openings(changed.start if before is None else before, changed.end if after is None else after)
    columns = gaps.c
    overlapping = (columns.series == symbol.id) & (columns.start_time < around.end) & (columns.end_time > around.start)
    query = select(*(columns[name] for name in _COLUMNS)).where(overlapping).order_by(columns.start_time)
    old = cast("list[_Row]", [tuple(row) for row in connection.execute(query)])
    holes = list(_holes(connection, symbol, around))
    rejected = _rejected(connection, symbol, Openings(holes[0].start, holes[-1].end)) if holes else ()
    new = []
    for hole in holes:
        count = bisect_left(rejected, hole.end) - bisect_left(rejected, hole.start)
        is_whole = count * symbol.interval == hole.end - hole.start
        new.append(_row(hole, old, answered, (QUARANTINED if is_whole else PARTLY) if count else NOT_RETURNED, now))
    if new != old:
        connection.execute(delete(gaps).where(overlapping))
        bulk.insert(connection, gaps, ("series", *_COLUMNS), [(symbol.id, *row) for row in new])


def _holes(connection: Connection, symbol: Symbol, around: Openings) -> Iterator[Openings]:
    """Return the runs of covered openings between two neighbouring candles."""
    opening, step = price_history.c.open_time, symbol.interval
    within = (price_history.c.series == symbol.id) & opening.between(around.start, around.end)
    first, end, count = connection.execute(
        select(func.min(opening), func.max(opening), func.count()).where(within)
    ).one()
    if not count or end - first == (count - 1) * step:  # quicker than what follows, and nearly always true
        return
    neighbours = select(opening, func.lead(opening).over(order_by=opening).label("next")).where(within).subquery()
    last, following = neighbours.c.open_time, neighbours.c.next
    parted = connection.execute(select(last, following).where(following - last > step).order_by(last)).all()
    if not parted:
        return
    columns = coverage.c
    covered = connection.execute(
        select(columns.start_time, columns.end_time)
        .where(columns.series == symbol.id)
        .where(columns.start_time < parted[-1][1], columns.end_time > parted[0][0])
        .order_by(columns.start_time)
    ).all()
    for candle, next_candle in parted:
        for start, end in covered:
            hole = Openings(max(candle + step, start), min(next_candle, end))
            if hole.start < hole.end:
                yield hole


def _row(hole: Openings, old: Sequence[_Row], answered: Openings | None, cause: str, now: int) -> _Row:
    """Return the row of a gap, with what is known about the `old` gaps, ascending, of which it is a part."""
    first = bisect_right(old, hole.start, key=lambda row: row[1])
    parts = old[first : bisect_left(old, hole.end, lo=first, key=lambda row: row[0])]
    # the openings by which a gap has grown were asked for once
    is_recorded = any(row[0] <= hole.start and row[1] >= hole.end for row in parts)
    again = answered is not None and answered.start <= hole.start < answered.end  # once, even if asked for in pieces
    attempts = parts[0][3] + again if is_recorded else 1
    found_at = min((row[5] for row in parts), default=now)
    return hole.start, hole.end, cause, attempts, OPEN if attempts < MOST_ATTEMPTS else FINAL, found_at


def _rejected(connection: Connection, symbol: Symbol, span: Openings) -> Sequence[int]:
    """Return the openings of a span whose candles were rejected, ascending, in one query for all gaps."""
    opening = quarantine.c.open_time_us
    rows = connection.execute(
        select(opening)
        .distinct()
        .where(quarantine.c.series == symbol.id)
        .where(opening >= span.start * _SECOND, opening < span.end * _SECOND)
        .where((opening - MONDAY_SECONDS * _SECOND) % (symbol.interval * _SECOND) == 0)
        .order_by(opening)
    )
    return [opening_us // _SECOND for (opening_us,) in rows]
