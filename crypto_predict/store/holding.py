"""Reserving a series, so that two processes do not collect it at once."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, text

from crypto_predict import locks
from crypto_predict.errors import SeriesHeld
from crypto_predict.market import SeriesKey
from crypto_predict.store.address import SqliteFile
from crypto_predict.store.database import Connections

_HOLDER = text(
    "SELECT application_name || ' since ' || to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC')"
    " FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND classid = :first AND objid = :second AND objsubid = 2"
    " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Holds:
    """The series that this process has reserved in one database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._mutex = threading.Lock()
        self._server: Connection | None = None  # holds all advisory locks; open while there is one
        self._held: set[SeriesKey] = set()  # on the server, where one connection could lock twice

    @contextlib.contextmanager
    def hold(self, series: SeriesKey) -> Iterator[None]:
        """Reserve a series inside the context. The reservation ends with the process, however that ends.

        Raises:
            SeriesHeld: Another process has reserved it, or another thread.
            DatabaseError: The database cannot be used.
        """
        address = self._connections.address
        name = f"{series.source} {series.pair} {series.interval.label}"

        def refused(holder: str) -> SeriesHeld:
            advice = "wait until that process ends, or stop it"
            return SeriesHeld(str(address), f"{name} is held by {holder}, which writes it; {advice}")

        if isinstance(address, SqliteFile):
            lock = _lock_file(address.path, name)
            with contextlib.ExitStack() as stack:
                with self._connections.errors():
                    stack.enter_context(locks.held(lock, refused))
                yield
            return
        with self._mutex, self._connections.errors():
            holder = self._lock(series, name)
        if holder is not None:
            raise refused(holder)
        try:
            yield
        finally:
            with self._mutex:
                self._unlock(series, name)

    def _lock(self, series: SeriesKey, name: str) -> str | None:
        """Lock a series on the server; return its holder if that is not possible."""
        if series in self._held:
            return locks.process_name()
        if self._server is None:
            self._server = self._connections.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._server.detach()
        keys = _keys(name)
        locked = self._server.execute(text("SELECT pg_try_advisory_lock(:first, :second)"), keys).scalar_one()
        if locked:
            self._held.add(series)
            return None
        holder = self._server.execute(_HOLDER, keys).scalar()
        self._close_if_idle()
        return str(holder or "another process")

    def _unlock(self, series: SeriesKey, name: str) -> None:
        self._held.discard(series)
        with contextlib.suppress(Exception):
            if self._server is not None:
                self._server.execute(text("SELECT pg_advisory_unlock(:first, :second)"), _keys(name))
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self._held and self._server is not None:
            server, self._server = self._server, None
            with contextlib.suppress(Exception):
                server.close()


def _keys(name: str) -> dict[str, int]:
    """Return the two numbers of an advisory lock: 31 bits each, so that pg_locks shows them as they are."""
    number = hashlib.sha256(name.encode()).digest()
    return {
        "first": int.from_bytes(number[:4], "big") & 0x7FFFFFFF,
        "second": int.from_bytes(number[4:8], "big") & 0x7FFFFFFF,
    }


def _lock_file(path: Path, name: str) -> Path:
    """Return the lock file of a series. Its name is a hash: a series may be named after a path."""
    real = path.resolve()
    return real.with_name(f".{real.name}.{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock")
