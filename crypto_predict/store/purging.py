"""Deleting what is too old, a limited number of rows at a time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg.errors import LockNotAvailable
from sqlalchemy import Column, ColumnElement, Connection, bindparam, delete, func, select, update
from sqlalchemy.exc import OperationalError

from crypto_predict.market import Interval
from crypto_predict.store import partitions, rollups, tables
from crypto_predict.store.columns import among, microseconds, seconds_up
from crypto_predict.store.storing import Openings
from crypto_predict.store.tables import (
    built_candles,
    coverage,
    forecasts,
    hour_forecasts,
    price_history,
    streams,
    symbols,
    top_of_book,
)

_SECOND = 1_000_000  # microseconds
_NO_CANDLES = dict.fromkeys(("last_open", "session_turnover", "session_volume"))
_Condition = ColumnElement[bool]


def purge(connection: Connection, interval: Interval, before: datetime, limit: int) -> int:
    """Delete at most `limit` rows of `interval` that lie before an instant (UTC), or a month; return how many."""
    end, end_us = seconds_up(interval.ceil(before)), microseconds(before)
    dropped = _detach(connection, interval, end)
    if dropped >= limit:
        return dropped
    left = limit - dropped
    old = (symbols.c.interval == interval.seconds) & (symbols.c.first_open < end)
    for (series,) in connection.execute(select(symbols.c.id).where(old).order_by(symbols.c.id)).all():
        if left > 0:
            left -= _purge_candles(connection, series, end, left)
    left -= _purge(connection, built_candles.c.open_time, end, left, built_candles.c.interval == interval.seconds)
    if interval is Interval.MINUTE_1:
        left -= _purge(connection, top_of_book.c.time_us, end_us, left)
        left -= _purge(connection, streams.c.start_us, end_us, left, streams.c.end_us <= end_us)
        for table in (forecasts, hour_forecasts):  # those of series that are still forecast are newer
            left -= _purge(connection, table.c.cutoff, end, left)
    return limit - left


def _detach(connection: Connection, interval: Interval, end: int) -> int:
    """Detach the first month of PostgreSQL that has candles of `interval` and ends by `end`; return how many they were.

    It is detached here, and dropped by `partitions.drop_detached` once that is committed, so that nobody waits for the
    disk. Candles of other intervals stay. Where readers do not let it go in time, nothing is dropped.
    """
    own, columns = symbols.c.interval == interval.seconds, symbols.c
    since = connection.execute(select(func.min(columns.first_open)).where(own)).scalar()
    partition = None if since is None else partitions.passed(connection, since, end)
    if partition is None:
        return 0
    try:
        with connection.begin_nested():
            counts = partitions.count(connection, partition)
            query = select(columns.id).where(own, columns.first_open < partition.end).order_by(columns.id)
            ours = [series for (series,) in connection.execute(query.with_for_update()).all()]
            _forget(connection, partition.end, {series: counts.get(series, 0) for series in ours})
            partitions.detach(connection, partition, counts.keys() - set(ours))
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return 0
        raise
    return sum(counts.get(series, 0) for series in ours)


def _purge_candles(connection: Connection, series: int, end: int, limit: int) -> int:
    """Delete the first candles of a series before `end`, and what is known of the time in which they were."""
    row = select(symbols.c.first_open).where(symbols.c.id == series).with_for_update()
    first_open = connection.execute(row).scalar_one()
    opening, own = price_history.c.open_time, price_history.c.series == series
    cut = _cut(connection, opening, [own, opening >= first_open], end, limit)
    removed = connection.execute(delete(price_history).where(own, opening < cut)).rowcount
    _forget(connection, cut, {series: removed})
    return removed


def _forget(connection: Connection, cut: int, removed: Mapping[int, int]) -> None:
    """Forget what is known of locked series before `cut`, where so many candles of each are deleted."""
    columns, opening = symbols.c, price_history.c.open_time

    def own(series: Column[int]) -> _Condition:
        return among(connection, [series], ([number] for number in removed))

    oldest = select(func.min(opening)).where(price_history.c.series == bindparam("key"), opening >= cut)
    connection.execute(
        update(symbols)
        .where(columns.id == bindparam("key"))
        .values(
            candles=columns.candles - bindparam("removed"),
            version=columns.version + 1,
            first_open=oldest.scalar_subquery(),
        ),
        [{"key": series, "removed": count} for series, count in removed.items()],
    )
    connection.execute(update(symbols).where(own(columns.id), columns.first_open.is_(None)).values(_NO_CANDLES))
    covered, start = own(coverage.c.series), coverage.c.start_time
    rolled = select(columns.id).where(columns.unrolled.is_(None))  # otherwise nothing is left of what is deleted
    gone = select(coverage.c.series, start, coverage.c.end_time).where(covered, start < cut)
    spans: dict[int, list[Openings]] = defaultdict(list)
    for series, begin, end in connection.execute(gone.where(coverage.c.series.in_(rolled))):
        spans[series].append(Openings(begin, min(end, cut)))
    rollups.keep(connection, spans)
    connection.execute(delete(coverage).where(covered, coverage.c.end_time <= cut))
    connection.execute(update(coverage).where(covered, start < cut).values(start_time=cut))
    first_open = select(columns.first_open).where(columns.id == tables.gaps.c.series).scalar_subquery()
    for table, time, begin in (
        (tables.gaps, tables.gaps.c.start_time, func.coalesce(first_open, cut)),  # a gap follows on a candle
        (tables.revisions, tables.revisions.c.open_time, cut),
        (tables.quarantine, tables.quarantine.c.open_time_us, cut * _SECOND),
    ):
        connection.execute(delete(table).where(own(table.c.series), time < begin))


def _purge(connection: Connection, time: Column[int], end: int, limit: int, *conditions: _Condition) -> int:
    """Delete the first rows before `end` of the table of `time`, whose key begins with a series, or source and pair."""
    columns, left = time.table.c, limit
    of_pair = [symbols.c.source, symbols.c.pair]
    names = select(*of_pair if "pair" in columns else [symbols.c.id.label("series")]).distinct().subquery()
    # one look into the key for each of them: a scan of the table would hold the lock of an SQLite file for long
    oldest = (
        select(func.min(time))
        .where(*(columns[name.name] == name for name in names.c), time < end, *conditions)
        .correlate(names)
        .scalar_subquery()
    )
    for key in connection.execute(select(names).where(oldest.is_not(None))).mappings().all():
        if left > 0:
            own = [*(columns[name] == value for name, value in key.items()), *conditions]
            cut = _cut(connection, time, own, end, left)
            left -= connection.execute(delete(time.table).where(*own, time < cut)).rowcount
    return limit - left


def _cut(connection: Connection, time: Column[int], conditions: Sequence[_Condition], end: int, limit: int) -> int:
    """Return the time before which `limit` rows lie, or `end` if that is earlier."""
    query = select(time).where(*conditions, time < end).order_by(time).offset(limit).limit(1)
    first = connection.execute(query).scalar()
    return end if first is None else first
