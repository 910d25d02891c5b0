"""The partitions of the candles on PostgreSQL: a table for each month (UTC), made when its first candle is written.

So a month that is too old is dropped as a whole, and the newest candles are read from the index of one month. What was
stored before there were partitions stays in one table, the partition of all months before the ones that are made: see
`migrations.single_table`. SQLite has one table.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

TABLE = "price_history"

_NAME = re.compile(rf"{TABLE}(_before)?_([0-9]{{4}})_([0-9]{{2}})")
_PARTITIONS = text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass(:table)"
)
_DETACHED = "_detached"
_DETACHED_TABLES = text(
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    " AND relname ~ :pattern"
)

_LOCK_SECONDS = 3  # that a change of the partitions waits for those who read, and makes others wait

Month = tuple[int, int]  # year, and number from 1 on


class Partition(NamedTuple):
    """A table of the candles of one month, or of all months before it."""

    name: str
    month: Month
    is_before: bool

    @property
    def start(self) -> int | None:
        """The first opening, in seconds since 1970; None: there is none."""
        return None if self.is_before else start_of(self.month)

    @property
    def end(self) -> int:
        """The opening that follows, in seconds since 1970."""
        return start_of(self.month if self.is_before else month_after(self.month))

    @property
    def attaching(self) -> str:
        """The statement that makes a table of this name the partition."""
        start = "MINVALUE" if self.start is None else f"'{self.start}'"
        return f"ALTER TABLE {TABLE} ATTACH PARTITION {self.name} FOR VALUES FROM ({start}) TO ('{self.end}')"


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
    partition = Partition(name_of(month), month, is_before=False)
    connection.exec_driver_sql(f"CREATE TABLE {partition.name} (LIKE {TABLE})")
    connection.exec_driver_sql(partition.attaching)


def passed(connection: Connection, since: int, end: int) -> Partition | None:
    """Return the first partition with openings from `since` on that ends by `end`, in seconds since 1970."""
    if connection.dialect.name != "postgresql":
        return None
    partitions = sorted(_partitions(connection), key=lambda partition: partition.end)
    return next((partition for partition in partitions if since < partition.end <= end), None)


def count(connection: Connection, partition: Partition) -> dict[int, int]:
    """Return how many candles each series has in a partition, which nobody writes to until the transaction ends."""
    connection.exec_driver_sql(f"LOCK TABLE {partition.name} IN SHARE MODE")
    query = f"SELECT series, count(*) AS candles FROM {partition.name} GROUP BY series"  # noqa: S608 - our own name
    return {row.series: row.candles for row in connection.exec_driver_sql(query)}


def detach(connection: Connection, partition: Partition, kept: Collection[int]) -> None:
    """Make a partition a table of its own, which `drop_detached` drops, but for the candles of the series `kept`.

    These are copied first: nobody else reads or writes candles only while tables change places.
    """
    rest = f"{partition.name}_rest"
    if kept:
        connection.exec_driver_sql(f"CREATE TABLE {rest} (LIKE {TABLE})")
        copy = f"INSERT INTO {rest} SELECT * FROM {partition.name} WHERE series = ANY(%s)"  # noqa: S608 - our own names
        connection.exec_driver_sql(copy, (list(kept),))
        connection.exec_driver_sql(f"ALTER TABLE {rest} ADD PRIMARY KEY (series, open_time)")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
    connection.exec_driver_sql(f"ALTER TABLE {TABLE} DETACH PARTITION {partition.name}")
    detached = partition.name + _DETACHED
    connection.exec_driver_sql(f"ALTER TABLE {partition.name} RENAME TO {detached}")
    connection.exec_driver_sql(f"ALTER INDEX IF EXISTS {partition.name}_pkey RENAME TO {detached}_pkey")
    if kept:
        connection.exec_driver_sql(f"ALTER TABLE {rest} RENAME TO {partition.name}")
        connection.exec_driver_sql(f"ALTER INDEX {rest}_pkey RENAME TO {partition.name}_pkey")
        connection.exec_driver_sql(partition.attaching)


def drop_detached(connection: Connection) -> None:
    """Drop the tables that were partitions, in a transaction of their own: to give back the disk takes its time."""
    if connection.dialect.name == "postgresql":
        for name in connection.execute(_DETACHED_TABLES, {"pattern": f"^{TABLE}.*{_DETACHED}$"}).scalars().all():
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


def _partitions(connection: Connection) -> Iterator[Partition]:
    for name in connection.execute(_PARTITIONS, {"table": TABLE}).scalars():
        if match := _NAME.fullmatch(name):
            month = int(match[2]), int(match[3])
            yield Partition(name, month, is_before=match[1] is not None)


def _missing(connection: Connection, months: set[Month]) -> set[Month]:
    """Return those of the months that have no partition."""
    partitions = list(_partitions(connection))
    before = max((partition.month for partition in partitions if partition.is_before), default=(0, 0))
    present = {partition.month for partition in partitions if not partition.is_before}
    return {month for month in months if month >= before} - present
