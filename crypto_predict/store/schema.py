"""The version of the schema in a database: checked by readers, upgraded by writers."""

import logging

from sqlalchemy import Connection, inspect, text

from crypto_predict.store.tables import SCHEMA

_TABLE = "crypto_predict_schema"
_LOCK = 7_164_035_212  # of PostgreSQL, for as long as a process upgrades


def check(connection: Connection) -> str | None:
    """Return why this program cannot read the tables; None if it can."""
    version = _version(connection)
    if version is None:
        return "it does not contain the tables of this program; collect.py --database creates them"
    if version < SCHEMA:
        return f"its schema {version} is older than that of this program, {SCHEMA}; run collect.py to upgrade it"
    if version > SCHEMA:
        return f"its schema {version} is newer than that of this program, {SCHEMA}; update the program"
    return None


def upgrade(connection: Connection) -> str | None:
    """Create or upgrade the tables in this transaction; return why that is not possible, or None.

    Of two processes the second waits. A database whose upgrade fails or is killed stays as it was.
    """
    if connection.dialect.name == "postgresql":  # a transaction of SQLite is a lock already
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    version = _version(connection)
    if version == SCHEMA:
        return None
    if version is None and connection.dialect.name == "sqlite" and inspect(connection).get_table_names():
        return "the file belongs to another program; name another one"
    if version is not None and version > SCHEMA:
        return check(connection)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # at level info it lists its own plugins
    from alembic import command  # noqa: PLC0415 a server that only reads does not wait for this import
    from alembic.config import Config  # noqa: PLC0415 the same

    config = Config()
    config.set_main_option("script_location", "crypto_predict.store:migrations")
    config.set_main_option("path_separator", "os")
    # SQLite too can undo changes of tables: Alembic assumes the opposite, since its driver by default cannot
    config.attributes["options"] = {"connection": connection, "version_table": _TABLE, "transactional_ddl": True}
    command.upgrade(config, SCHEMA)
    return None


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar()  # noqa: S608 - a constant
