"""The partitions of the candles on PostgreSQL: a table for each month (UTC), made when its first candle is written.

So a month that is too old is dropped as a whole, and the newest candles are read from the index of one month. What was
stored before there were partitions stays in one table, the partition of all months before the ones that are made: see
`migrations.single_table`. SQLite has one table.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, text

TABLE = "price_history"

_NAME = re.compile(rf"{TABLE}(_before)?_([0-9]{{4}})_([0-9]{{2}})")
_PARTITIONS = text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass(:table)"
)

Month = tuple[int, int]  # year, and number from 1 on


def month_of(opening: int) -> Month:
    """Return the month of an opening, in seconds since 1970."""
    time = datetime.fromtimestamp(opening, UTC)
    return time.year, time.month


def month_after(month: Month) -> Month:
    """Return the month that follows."""
    year, number = month
    return (year + number // 12, number % 12 + 1)


def start_of(month: Month) -> int:
    """Return the first opening of a month, in seconds since 1970."""
    return int(datetime(*month, 1, tzinfo=UTC).timestamp())


def months_of(openings: Sequence[int]) -> Iterator[Month]:
    """Yield the months of openings, which ascend."""
    position = 0
    while position < len(openings):
        month = month_of(openings[position])
        yield month
        position = bisect_left(openings, start_of(month_after(month)), position)


def name_of(month: Month, *, before: bool = False) -> str:
    """Return the name of the partition of a month, or of all months before it."""
    return f"{TABLE}{'_before' * before}_{month[0]:04}_{month[1]:02}"


def make(connection: Connection, months: Iterable[Month]) -> None:
    """Make the partitions of these months that do not exist yet, and those of the months that follow.

    They exist until the end of the transaction at least. On SQLite there is nothing to do.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.exec_driver_sql(f"LOCK TABLE ONLY {TABLE} IN ROW EXCLUSIVE MODE")  # as a write does: nobody drops one
    written = set(months)
    wanted = written | set(map(month_after, written))  # ahead, so that no live candle waits for a table
    if not _missing(connection, wanted):
        return
    # one writer at a time makes partitions, and sees those that others have made meanwhile
    connection.exec_driver_sql(f"LOCK TABLE ONLY {TABLE} IN SHARE UPDATE EXCLUSIVE MODE")
    for month in sorted(_missing(connection, wanted)):
        attach(connection, month)


def attach(connection: Connection, month: Month) -> None:
    """Make the partition of a month. Unlike ``PARTITION OF``, it does not wait for those who read the table."""
    ends = f"FROM ('{start_of(month)}') TO ('{start_of(month_after(month))}')"
    connection.exec_driver_sql(f"CREATE TABLE {name_of(month)} (LIKE {TABLE})")
    connection.exec_driver_sql(f"ALTER TABLE {TABLE} ATTACH PARTITION {name_of(month)} FOR VALUES {ends}")


def _missing(connection: Connection, months: set[Month]) -> set[Month]:
    """Return those of the months that have no partition."""
    names = map(_NAME.fullmatch, connection.execute(_PARTITIONS, {"table": TABLE}).scalars())
    partitions = [((int(name[2]), int(name[3])), name[1] is not None) for name in names if name]
    before = max((month for month, is_before in partitions if is_before), default=(0, 0))
    return {month for month in months if month >= before} - {month for month, _ in partitions}
