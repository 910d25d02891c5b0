"""Connections to a database: one pool for all threads, one edge at which every error becomes a `DatabaseError`."""

import contextlib
import os
import re
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from crypto_predict.errors import DatabaseError, InvalidValue
from crypto_predict.locks import process_name
from crypto_predict.settings import masked

_EXPECTED = "a path such as data/market.db, sqlite:///data/market.db or postgresql://user:password@host:5432/name"
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")

# A mistyped URL, or a keyword string of libpq, is not a path: its password would become the name of a folder.
_NOT_A_PATH = re.compile(r"^[a-z][a-z+]+:|//.*@|:.*@|password=|\?", re.IGNORECASE)
_SECRET = re.compile(".*@|password=.*")

_CONNECT_SECONDS = 5
_READ_SECONDS = 10  # for one statement, or for a lock
_WRITE_SECONDS = 60
_SILENT_SECONDS = 2  # for an answer of a server, after the time in which it ends a statement itself
_RETRY_SECONDS = 0.02
# More threads than these wait for a connection.
_POOL: dict[str, Any] = {"pool_size": 16, "max_overflow": 0, "pool_timeout": _READ_SECONDS, "hide_parameters": True}
_READS = {"crypto_predict_reads": True}  # an option of a connection of SQLAlchemy

_ADVICE = {  # by a part of the driver's message
    "is full": "make room on the disk",
    "disk I/O error": "check the disk and its free space",
    "No space left": "make room on the disk",
    "is locked": "another process did not finish writing in time",
    "readonly database": "check the permissions of the file and its folder",
    "unable to open": "check the permissions of the file, and of its folder, which a reader writes to as well",
    "wait timeout expired": "the server does not answer",
    "File exists": "a folder of the path is a file; name another one",
    "malformed": "the file is damaged: restore a copy, or move it away and collect again",
    "not a database": "name another file",
}


class Connections:
    """The connections to one database, whose errors are raised as `DatabaseError`. Safe to share between threads."""

    _read_only = True  # a subclass may write

    def __init__(self, url: str) -> None:
        target, self.address = _parsed(url)
        self.path = target if isinstance(target, Path) else None  # of a file of SQLite
        reads_only = self._read_only
        self.engine = (
            _file_engine(target, reads_only) if isinstance(target, Path) else _server_engine(target, reads_only)
        )
        self._status: os.stat_result | None = None  # of the file that the connections have open
        self._turn = threading.Lock()  # of the threads that write to a file
        self._own = threading.local()  # `snapshot`: the open snapshot of a thread

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction, which is committed at the end of the context, or else rolled back."""
        with contextlib.ExitStack() as turn, self.errors():
            self._check_file()
            # SQLite itself only tries again from time to time: one thread of many that write could wait for seconds
            if self.path is not None:
                if not self._turn.acquire(timeout=_WRITE_SECONDS):
                    raise self.error("it is locked: another thread did not finish writing in time")
                turn.callback(self._turn.release)
            with self.engine.begin() as connection:
                yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a transaction that only reads, and does not wait for others that write.

        Inside of another one of the same thread it is the same one: so an answer of several reads costs one.
        """
        if (outer := getattr(self._own, "snapshot", None)) is not None:
            yield outer
            return
        with self.errors():
            self._check_file()
            with self.engine.connect().execution_options(**_READS) as connection, connection.begin():
                self._own.snapshot = connection
                try:
                    yield connection
                finally:
                    self._own.snapshot = None

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Translate every error of the database."""
        try:
            yield
        # OverflowError: an integer that no column can hold
        except (SQLAlchemyError, psycopg.Error, sqlite3.Error, OSError, OverflowError) as error:
            raise self.error(_reason(error)) from error

    def error(self, reason: str) -> DatabaseError:
        """Return an error of this database."""
        return DatabaseError(self.address, reason)

    def use_wal(self) -> None:
        """Keep the changes of an SQLite file in a log beside it, so that others can read while this process writes."""
        deadline = time.monotonic() + _WRITE_SECONDS
        with self.errors(), contextlib.closing(self.engine.raw_connection()) as connection:
            while True:
                try:
                    connection.cursor().execute("PRAGMA journal_mode = WAL")
                    return
                except sqlite3.OperationalError as error:
                    # unlike a transaction it does not wait for another process that does the same
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(_RETRY_SECONDS)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    def _check_file(self) -> None:
        """Connections keep a deleted or replaced file open: what is written to it would be lost."""
        if self.path is None:
            return
        try:
            status = self.path.stat()
        except FileNotFoundError as error:
            if self._status is None and not self._read_only:
                return  # it will be created
            raise self.error("the file does not exist; collect.py --database creates it") from error
        if not stat.S_ISREG(status.st_mode):
            raise self.error("it is not a file; name another one")
        if self._status is not None and not os.path.samestat(status, self._status) and not self._read_only:
            raise self.error("the file was replaced while it was in use; start again")
        # Also another file may have been copied over it. SQLite notices that only if it opens the file again.
        if self._status is not None and self._read_only and _version(status) != _version(self._status):
            self.engine.dispose()
        self._status = status


def _parsed(text: str) -> tuple[Path | URL, str]:
    """Read a path, ``sqlite:///path`` or ``postgresql://user:password@host:5432/name``.

    Return it beside its text without the password. Raise `InvalidValue`, which shows no password either, for others.
    """
    scheme, separator, rest = text.partition("://")
    public = masked(text) if separator else _SECRET.sub("***", text)
    invalid = InvalidValue("database", public, _EXPECTED)
    if not text.isprintable():
        raise invalid
    if not separator or scheme == "sqlite":
        path = text if not separator else rest[1:] if rest.startswith("/") else ""
        # ":memory:" would be lost when its process ends
        if not path or path.startswith(":") or _NOT_A_PATH.search(path):
            raise invalid
        return Path(path), str(Path(path))
    if scheme not in _POSTGRESQL:
        raise invalid
    try:
        url = make_url(text).set(drivername="postgresql+psycopg")
        psycopg.conninfo.make_conninfo(**{name: str(value) for name, value in url.query.items()})
    except (ArgumentError, ValueError, psycopg.ProgrammingError) as error:
        raise invalid from error
    # an @ after the first one: a part of a password that should have been encoded would be shown as a host
    if not url.database or "@" in (url.host or "") + url.database:
        raise invalid
    return url, public


def _version(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file is replaced or written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class _BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up a server that stands still: TCP still answers then, and psycopg waits for ever."""

    patience: float = _WRITE_SECONDS + _SILENT_SECONDS  # seconds for one answer

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer. Close the connection if none comes in time: another question would wait as well."""
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def _server_engine(url: URL, read_only: bool) -> Engine:
    limits = {
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": process_name()[:63],  # `hold` shows it to other processes
        # a server that does not answer any more is noticed after some 10 seconds
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    given = {name: value for name, value in limits.items() if name not in url.query}
    engine = create_engine(url, connect_args=given, pool_pre_ping=True, **_POOL)
    seconds = _READ_SECONDS if read_only else _WRITE_SECONDS
    settings = {
        "statement_timeout": f"{seconds}s",
        "idle_in_transaction_session_timeout": f"{_WRITE_SECONDS}s",
        "default_transaction_read_only": "on" if read_only else "off",
        "timezone": "UTC",
    }

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, _positional: object, named: dict[str, Any]) -> _BoundedConnection:
        connection = _BoundedConnection.connect(**named)
        connection.patience = seconds + _SILENT_SECONDS
        return connection

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        for name, value in settings.items():
            connection.execute(f"SET {name} = '{value}'")
        connection.commit()

    return engine


def _file_engine(path: Path, read_only: bool) -> Engine:
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    # NORMAL syncs when the log of WAL is copied to the file, not after a transaction: a killed process loses nothing,
    # since the kernel has what it wrote. A power failure may undo the newest transactions, whole ones, which the next
    # backfill fetches again.
    pragmas = ("foreign_keys = ON", "synchronous = NORMAL")
    seconds = _READ_SECONDS if read_only else _WRITE_SECONDS

    def connect() -> sqlite3.Connection:
        # isolation_level None: the driver does not begin transactions, the listener below does
        connection = sqlite3.connect(uri, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False)
        try:
            connection.text_factory = lambda damaged: damaged.decode(errors="replace")  # or else the query would fail
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, **_POOL)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer that has read first could not wait for another writer: it takes the lock at once
        reads = read_only or connection.get_execution_options().items() >= _READS.items()
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _reason(error: Exception) -> str:
    """Return one line that tells what failed, without passwords."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = masked(" ".join(str(cause).split())) or type(cause).__name__
    advice = [advice for part, advice in _ADVICE.items() if part in text][:1]
    return "; ".join([text[:400], *advice])
