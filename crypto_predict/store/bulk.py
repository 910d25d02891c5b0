"""Writing many rows at once, the fastest way that each database has."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Double, Table

Values = tuple[Any, ...]

_FEW = 1000  # rows, below which single statements are quicker on PostgreSQL than a table to copy them into


def insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
    """Insert rows; the other columns get their defaults."""
    if rows:
        marks = ", ".join(_mark(connection) for _ in columns)
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", list(rows))  # noqa: S608 - names of tables.py


def upsert(connection: Connection, table: Table, rows: Iterator[Values], only_if: str = "TRUE") -> None:
    """Insert whole rows, or update those that exist and differ. An equal row is not written again.

    `only_if` is a condition in SQL on the row of `table` and the row `excluded`, without which the old row stays.

    The rows go to the driver one by one: a list of them would cost a third of the time in garbage collection.
    """
    some = list(itertools.islice(rows, _FEW))
    if not some:
        return
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        marks = f"VALUES ({', '.join('?' for _ in table.columns)})"
        driver.executemany(_upsert(table, marks, "IS NOT", only_if), itertools.chain(some, rows)).close()
        return
    types = [column.type.compile(connection.dialect).lower() for column in table.columns]
    if len(some) < _FEW:
        connection.exec_driver_sql(_upsert(table, _unnested(types), "IS DISTINCT FROM", only_if), _arrays(table, some))
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
        copy.set_types(types)
        for row in itertools.chain(some, rows):
            copy.write_row(row)
    selected = f"SELECT {_names(table)} FROM {incoming}"  # noqa: S608 - names of tables.py
    connection.exec_driver_sql(_upsert(table, selected, "IS DISTINCT FROM", only_if))


def upserting(dialect: str, table: Table, selected: str) -> str:
    """Return the statement that inserts the whole rows of a query, or updates those that exist and differ."""
    return _upsert(table, selected, "IS NOT" if dialect == "sqlite" else "IS DISTINCT FROM", "TRUE")


@cache
def _upsert(table: Table, rows: str, differs: str, only_if: str) -> str:
    keys = ", ".join(column.name for column in table.primary_key)
    values = [column.name for column in table.columns if not column.primary_key]
    update = ", ".join(f"{name} = excluded.{name}" for name in values)
    old = ", ".join(f"{table.name}.{name}" for name in values)
    new = ", ".join(f"excluded.{name}" for name in values)
    return (
        f"INSERT INTO {table.name} ({_names(table)}) {rows}"
        f" ON CONFLICT ({keys}) DO UPDATE SET {update} WHERE ({old}) {differs} ({new}) AND {only_if}"
    )


def _unnested(types: Iterable[str]) -> str:
    """Return the query of rows that are sent to PostgreSQL as one array a column, many times as fast as row by row."""
    return f"SELECT * FROM unnest({', '.join(f'%s::{name}[]' for name in types)})"  # noqa: S608 - constants


def _arrays(table: Table, rows: Sequence[Values]) -> Values:
    """Return the arrays of `_unnested`. The driver refuses one in which numbers are of two types."""
    return tuple(
        [value if value is None else float(value) for value in values]
        if isinstance(column.type, Double)
        else list(values)
        for column, values in zip(table.columns, zip(*rows, strict=True), strict=True)
    )


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"


def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)
