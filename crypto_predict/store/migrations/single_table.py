"""How the single table of candles of an earlier version becomes partitions on PostgreSQL, without a copy.

It becomes the partition of all months up to one in the future. PostgreSQL would look at every candle for that, while
nobody else reads or writes, if it had not been checked before: `announce` and `check` do so, each in a transaction of
its own, while others read and write. Then `divide`, which is part of the upgrade, only changes names.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from crypto_predict.store.partitions import TABLE, month_after, month_of, name_of, start_of

_AHEAD = timedelta(days=31)  # after now and the newest candle: programs of before may write until the upgrade
_CHECK_SECONDS = 3_600.0  # for one look at every candle; some ten millions take a few seconds

_IS_SINGLE = text("SELECT relkind = 'r' FROM pg_class WHERE oid = to_regclass(:table)")
_BOUND = text(
    "SELECT conname, convalidated FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname LIKE :before"
)
_GRANTS = text(
    "SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END"
    " FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass(:table) AND grantee <> relowner"
)


def announce(connection: Connection) -> None:
    """Note on the single table which candles it has; none of them is looked at."""
    if _is_single(connection) and _bound(connection) is None:
        newest = connection.execute(text("SELECT max(last_open) FROM symbols")).scalar() or 0
        latest = max(newest, int(datetime.now(UTC).timestamp())) + int(_AHEAD.total_seconds())
        month = month_after(month_of(latest))
        condition = f"CHECK (open_time < {start_of(month)}) NOT VALID"
        connection.exec_driver_sql(f"ALTER TABLE {TABLE} ADD CONSTRAINT {name_of(month, before=True)} {condition}")


def check(connection: Connection) -> None:
    """Check what `announce` has noted."""
    bound = _bound(connection) if _is_single(connection) else None
    if bound is None or bound[1]:
        return
    driver: Any = connection.connection.driver_connection
    patience, driver.patience = driver.patience, _CHECK_SECONDS
    try:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_CHECK_SECONDS:.0f}s'")
        connection.exec_driver_sql(f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT {bound[0]}")
    finally:
        driver.patience = patience


def divide(connection: Connection) -> None:
    """Make a table of partitions, the first of which is the single table; an empty one is dropped."""
    if connection.dialect.name != "postgresql":
        return
    announce(connection)
    name, _ = _bound(connection) or ("", False)
    grants = connection.execute(_GRANTS, {"table": TABLE}).all()
    connection.exec_driver_sql(f"ALTER TABLE {TABLE} RENAME TO {name}")
    connection.exec_driver_sql(f"ALTER INDEX {TABLE}_pkey RENAME TO {name}_pkey")
    connection.exec_driver_sql(f"CREATE TABLE {TABLE} (LIKE {name}) PARTITION BY RANGE (open_time)")
    connection.exec_driver_sql(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (series, open_time)")
    for privilege, grantee in grants:
        connection.exec_driver_sql(f"GRANT {privilege} ON {TABLE} TO {grantee}")
    if connection.execute(text(f"SELECT EXISTS (SELECT 1 FROM {name})")).scalar_one():  # noqa: S608 - our own name
        year, month = map(int, name.split("_")[-2:])
        ends = f"FROM (MINVALUE) TO ('{start_of((year, month))}')"
        connection.exec_driver_sql(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES {ends}")
    else:
        connection.exec_driver_sql(f"DROP TABLE {name}")


def _is_single(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    return bool(connection.execute(_IS_SINGLE, {"table": TABLE}).scalar())


def _bound(connection: Connection) -> tuple[str, bool] | None:
    """Return the name of the constraint that was announced, and whether it was checked."""
    row = connection.execute(_BOUND, {"table": TABLE, "before": f"{TABLE}_before_%"}).one_or_none()
    return None if row is None else (str(row[0]), bool(row[1]))
