"""Reserving a series, or the pairs of a collector, so that two processes do not collect the same at once."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from crypto_predict import locks
from crypto_predict.errors import SeriesHeld
from crypto_predict.market import SeriesKey
from crypto_predict.market.collected import Shard
from crypto_predict.store import shards
from crypto_predict.store.outages import RegisterDatabase

_LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"
_HOLDERS = f"{shards.LOCKS} AND classid = %s ORDER BY objid"
_BACKEND = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"  # waits 5 s
_PATIENCE = 5.0  # seconds for an answer: none of these statements waits for anything
# A server notices within 14 s that a machine is gone which holds locks. A connection of a socket file ignores these.
_KEEPALIVES = ("tcp_keepalives_idle = 5", "tcp_keepalives_interval = 3", "tcp_keepalives_count = 3")
_Server = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Lock:
    """What can be reserved, by its two numbers in an advisory lock of 31 bits each: pg_locks shows them as they are."""

    name: str
    first: int
    second: int
    holding: str  # what precedes the holder (process, host and time) in the error
    advice: str  # what follows it
    shard: Shard | None = None  # of a collector

    def overlaps(self, second: int) -> bool:
        """Whether what a lock with the same first number reserves cannot be reserved together with this."""
        if self.shard is None or second == self.second:
            return second == self.second
        return self.shard.overlaps(shards.shard_of(second))


class ReservableDatabase(RegisterDatabase):
    """A database of which this process can reserve parts."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._mutex = threading.Lock()
        self._server: _Server | None = None  # holds all advisory locks; open while there is one
        self._backend: tuple[Any, ...] = ()  # what serves it: the process on the server, and since when it runs
        self._locks: dict[_Lock, _Server] = {}

    def hold(self, series: SeriesKey) -> contextlib.AbstractContextManager[None]:
        name = f"{series.source} {series.pair} {series.interval.label}"  # also of earlier versions, which it excludes
        advice = ", which writes it; wait until that process ends, or stop it"
        return self._reserve(_Lock(name, *shards.numbers(name), f"{series} is held by", advice))

    @contextlib.contextmanager
    def claim(self, shard: Shard) -> Iterator[Callable[[], None]]:
        if self.path is not None:
            yield lambda: None
            return
        advice = "; stop that process, or take another --shard"
        name = f"claim of {shard}"
        lock = _Lock(name, shards.CLAIMS, shards.number_of(shard), "its pairs are collected by", advice)
        with self._reserve(lock):
            yield lambda: self._renew(lock)

    @contextlib.contextmanager
    def hold_collector(self, shard: Shard) -> Iterator[Callable[[], None]]:
        if self.path is not None:
            shard, advice = Shard(), "; stop that process, or use another database"
        else:
            advice = "; stop that process, or take another --shard"
        if not 1 <= shard.number <= shard.of <= shards.MOST_SHARDS:
            raise ValueError(f"shard {shard} is not 1/{shards.MOST_SHARDS} or one with fewer parts")
        number = shards.number_of(shard)
        lock = _Lock("collector", shards.COLLECTS, number, "its pairs are collected by", advice, shard)
        with self._reserve(lock):
            yield lambda: self._renew(lock)

    def _renew(self, lock: _Lock) -> None:
        """Reserve again what was lost with the connection to a server. The kernel does not lose the lock of a file."""
        if self.path is not None:
            return
        with self._mutex, self.errors():
            server = self._connected()
            holder = None if self._locks[lock] is server else self._lock_on(server, lock)
        if holder is not None:
            raise self._refused(lock, holder)

    def _refused(self, lock: _Lock, holder: str) -> SeriesHeld:
        return SeriesHeld(self.address, f"{lock.holding} {holder}{lock.advice}")

    @contextlib.contextmanager
    def _reserve(self, lock: _Lock) -> Iterator[None]:
        """Hold a lock inside the context. It ends with the process, however that ends."""
        path = self.path
        if path is not None:
            with contextlib.ExitStack() as stack:
                with self.errors():
                    file = _lock_file(path, lock.name)
                    stack.enter_context(locks.holding(file, lambda holder: self._refused(lock, holder)))
                yield
            return
        with self._mutex, self.errors():
            try:
                # the server would lock it a second time for the same process
                holder = locks.process_name() if lock in self._locks else self._lock_on(self._connected(), lock)
            finally:
                self._close_server_if_idle()
        if holder is not None:
            raise self._refused(lock, holder)
        try:
            yield
        finally:
            with self._mutex:
                self._unlock(lock)

    def _connected(self) -> _Server:
        """Return the connection of all locks.

        If it was lost, open another one, and lock again what others have not locked meanwhile.
        """
        if self._server is not None:
            try:
                self._server.execute("SELECT 1")
                return self._server
            except psycopg.Error:
                self._server.close()
        pooled = self.engine.raw_connection()
        server: Any = pooled.driver_connection
        pooled.detach()
        server.autocommit, server.patience = True, _PATIENCE
        try:
            if self._locks:  # the server may not have noticed that the old connection was lost, and keep its locks
                server.execute(_END, self._backend)
            for setting in _KEEPALIVES:
                server.execute(f"SET {setting}")
            self._backend = server.execute(_BACKEND).fetchone()
            for lock in self._locks:
                self._lock_on(server, lock)
        except psycopg.Error:
            server.close()
            raise
        self._server = server
        return self._server

    def _lock_on(self, server: _Server, lock: _Lock) -> str | None:
        """Lock something on the server; return its holder if that is not possible."""
        locked = server.execute(_LOCK, (lock.first, lock.second)).fetchone() == (True,)
        # collectors with another number of shards may have some of the same pairs
        others = [] if locked and lock.shard is None else server.execute(_HOLDERS, (lock.first,)).fetchall()
        rivals = [
            holder
            for _, second, _, holder in others
            if lock.overlaps(second) and not (locked and second == lock.second)
        ]
        if locked and not rivals:
            self._locks[lock] = server
            return None
        if locked:
            server.execute(_UNLOCK, (lock.first, lock.second))
        return str(rivals[0]) if rivals else "another process"

    def _unlock(self, lock: _Lock) -> None:
        server = self._locks.pop(lock)
        with contextlib.suppress(psycopg.Error):
            if server is self._server:
                server.execute(_UNLOCK, (lock.first, lock.second))
        self._close_server_if_idle()

    def _close_server_if_idle(self) -> None:
        if self._server is not None and not self._locks:
            server, self._server = self._server, None
            with contextlib.suppress(psycopg.Error):
                server.close()


def _lock_file(path: Path, name: str) -> Path:
    """Return the lock file of a series. Its name is a hash: a series may be named after a path."""
    real = path.resolve()
    return real.with_name(f".{real.name}.{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock")
