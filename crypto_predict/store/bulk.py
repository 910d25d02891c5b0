"""Reading and writing many rows at once, the fastest way that each database has."""

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Double, Integer, Table

Values = tuple[Any, ...]

_FEW = 1000  # rows, below which single statements are quicker on PostgreSQL than a table to copy them into

_TYPES = (
    (Double, "float8"),
    (Boolean, "bool"),
    (BigInteger, "int8"),
    (Integer, "int4"),
)  # BigInteger is an Integer too


def fetch_between(connection: Connection, table: Table, prefix: Values, between: tuple[Any, Any]) -> list[Values]:
    """Return the whole rows whose key begins with `prefix` and then lies `between` two values, both included.

    They are the tuples of the driver: SQLAlchemy's rows would take twice as long.
    """
    keys = [column.name for column in table.primary_key]
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    equal = " AND ".join(f"{name} = {mark}" for name in keys[: len(prefix)])
    query = f"SELECT {_names(table)} FROM {table.name} WHERE {equal} AND {keys[len(prefix)]} BETWEEN {mark} AND {mark}"  # noqa: S608 - names of tables.py
    cursor = connection.connection.cursor()
    try:
        cursor.execute(query, (*prefix, *between))
        return list(cursor.fetchall())
    finally:
        cursor.close()


def insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
    """Insert rows; the other columns get their defaults."""
    if rows:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        marks = ", ".join(mark for _ in columns)
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", list(rows))  # noqa: S608 - names of tables.py


def upsert(connection: Connection, table: Table, rows: Iterator[Values], only_if: str = "TRUE") -> None:
    """Insert whole rows, or update those that exist and differ. An equal row is not written again.

    `only_if` is a condition in SQL on the row of `table` and the row `excluded`, without which the old row stays.

    The rows go to the driver one by one: a list of them would cost a third of the time in garbage collection.
    """
    some = list(itertools.islice(rows, _FEW))
    if not some:
        return
    every = itertools.chain(some, rows)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(_upsert_values(table, only_if, "?"), every).close()
        return
    if len(some) < _FEW:
        with driver.cursor() as cursor:
            cursor.executemany(_upsert_values(table, only_if, "%s"), some)
        return
    incoming = f"incoming_{table.name}"
    # emptied at the end of the transaction and used again by the next: new tables would bloat the system tables
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    )
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {incoming} ({_names(table)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(_types(table))
        for row in every:
            copy.write_row(row)
    connection.exec_driver_sql(_upsert_incoming(table, incoming, only_if))


@cache
def _upsert_values(table: Table, only_if: str, mark: str) -> str:
    marks = ", ".join(mark for _ in table.columns)
    on_conflict = _on_conflict(table, "IS NOT" if mark == "?" else "IS DISTINCT FROM", only_if)
    return f"INSERT INTO {table.name} ({_names(table)}) VALUES ({marks}) {on_conflict}"  # noqa: S608 - names of tables.py


@cache
def _upsert_incoming(table: Table, incoming: str, only_if: str) -> str:
    on_conflict = _on_conflict(table, "IS DISTINCT FROM", only_if)
    return f"INSERT INTO {table.name} ({_names(table)}) SELECT {_names(table)} FROM {incoming} {on_conflict}"  # noqa: S608 - names of tables.py


def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


def _on_conflict(table: Table, differs: str, only_if: str) -> str:
    keys = ", ".join(column.name for column in table.primary_key)
    values = [column.name for column in table.columns if not column.primary_key]
    update = ", ".join(f"{name} = excluded.{name}" for name in values)
    old = ", ".join(f"{table.name}.{name}" for name in values)
    new = ", ".join(f"excluded.{name}" for name in values)
    return f"ON CONFLICT ({keys}) DO UPDATE SET {update} WHERE ({old}) {differs} ({new}) AND {only_if}"


@cache
def _types(table: Table) -> tuple[str, ...]:
    return tuple(
        next((name for kind, name in _TYPES if isinstance(column.type, kind)), "text") for column in table.columns
    )
