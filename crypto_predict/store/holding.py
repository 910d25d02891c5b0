"""Reserving a series, or the part of a collector, so that two processes do not collect the same at once."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import psycopg

from crypto_predict import locks
from crypto_predict.errors import SeriesHeld
from crypto_predict.market import SeriesKey
from crypto_predict.market.ports import Held, Shard
from crypto_predict.store.address import SqliteFile
from crypto_predict.store.database import Connections

_LOCK = "SELECT pg_try_advisory_lock(%(first)s, %(second)s)"
_UNLOCK = "SELECT pg_advisory_unlock(%(first)s, %(second)s)"
_HOLDER = (
    "SELECT application_name || ' since ' || to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC')"
    " FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND classid = %(first)s AND objid = %(second)s AND objsubid = 2"
    " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_Server = psycopg.Connection[tuple[object, ...]]
_Refused = Callable[[str], SeriesHeld]  # the error to raise, from the holder: process, host and time


class Holds:
    """What this process has reserved in one database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._mutex = threading.Lock()
        self._server: _Server | None = None  # holds all advisory locks; open while there is one
        self._held: dict[str, _Server] = {}  # by name, which the server would lock twice for one process

    def hold(self, series: SeriesKey) -> contextlib.AbstractContextManager[None]:
        """Reserve a series inside the context. The reservation ends with the process, however that ends.

        Raises:
            SeriesHeld: Another process has reserved it, or another thread.
            DatabaseError: The database cannot be used.
        """
        name = f"{series.source} {series.pair} {series.interval.label}"
        advice = "wait until that process ends, or stop it"
        return self._reserve(name, lambda holder: self._error(f"{name} is held by {holder}, which writes it; {advice}"))

    @contextlib.contextmanager
    def hold_collector(self, shard: Shard) -> Iterator[Held]:
        """Reserve the part of a live collector inside the context.

        Raises:
            SeriesHeld: Another process has reserved it.
            DatabaseError: The database cannot be used.
        """
        if isinstance(self._connections.address, SqliteFile):
            name, title, advice = "collector", "it", "stop that process, or use another database"
        else:
            name, title, advice = f"collector {shard}", f"shard {shard}", "stop that process, or take another --shard"

        def refused(holder: str) -> SeriesHeld:
            return self._error(f"{title} is collected by {holder}; {advice}")

        with self._reserve(name, refused):
            yield _Held(self, name, refused)

    def renew(self, name: str, refused: _Refused) -> None:
        """Reserve again what was lost with the connection to a server. The kernel does not lose the lock of a file.

        Raises:
            SeriesHeld: Another process has reserved it meanwhile.
            DatabaseError: The database cannot be used.
        """
        if isinstance(self._connections.address, SqliteFile):
            return
        with self._mutex, self._connections.errors():
            server = self._connected()
            holder = None if self._held.get(name) is server else self._lock(server, name)
        if holder is not None:
            raise refused(holder)

    def _error(self, reason: str) -> SeriesHeld:
        return SeriesHeld(str(self._connections.address), reason)

    @contextlib.contextmanager
    def _reserve(self, name: str, refused: _Refused) -> Iterator[None]:
        address = self._connections.address
        if isinstance(address, SqliteFile):
            with contextlib.ExitStack() as stack:
                with self._connections.errors():
                    stack.enter_context(locks.held(_lock_file(address.path, name), refused))
                yield
            return
        with self._mutex, self._connections.errors():
            try:
                holder = locks.process_name() if name in self._held else self._lock(self._connected(), name)
            finally:
                self._close_if_idle()
        if holder is not None:
            raise refused(holder)
        try:
            yield
        finally:
            with self._mutex:
                self._unlock(name)

    def _connected(self) -> _Server:
        """Return the connection of all locks.

        If the server has ended it, open another one, and lock again what others have not locked meanwhile.
        """
        if self._server is not None:
            try:
                self._server.execute("SELECT 1")
                return self._server
            except psycopg.Error:
                self._close()
        pooled = self._connections.engine.raw_connection()
        server = cast("_Server", pooled.driver_connection)
        pooled.detach()
        server.autocommit = True
        self._server = server
        for name in self._held:
            self._lock(server, name)
        return server

    def _lock(self, server: _Server, name: str) -> str | None:
        """Lock a name on the server; return its holder if that is not possible."""
        row = server.execute(_LOCK, _keys(name)).fetchone()
        if row == (True,):
            self._held[name] = server
            return None
        holder = server.execute(_HOLDER, _keys(name)).fetchone()
        return str(holder[0]) if holder else "another process"

    def _unlock(self, name: str) -> None:
        server = self._held.pop(name)
        with contextlib.suppress(psycopg.Error):
            if server is self._server:
                server.execute(_UNLOCK, _keys(name))
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self._held:
            self._close()

    def _close(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            with contextlib.suppress(psycopg.Error):
                server.close()


class _Held:
    """A reservation, which can be renewed."""

    def __init__(self, holds: Holds, name: str, refused: _Refused) -> None:
        self._holds, self._name, self._refused = holds, name, refused

    def renew(self) -> None:
        """Reserve again what was lost; see `Holds.renew`."""
        self._holds.renew(self._name, self._refused)


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
