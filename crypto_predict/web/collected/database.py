"""Access to the database: bounded, so that forecasts are still answered, and opened again after a failure."""

import logging
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import BoundedSemaphore, Lock
from typing import Protocol, TypeVar

from crypto_predict import logs
from crypto_predict.errors import DatabaseError
from crypto_predict.market import Span
from crypto_predict.market.ports import (
    CoverageReader,
    ForecastReader,
    HourForecastReader,
    JoinedReader,
    OutageReader,
    QuoteReader,
    RecordReader,
    SeriesReader,
    StreamReader,
)
from crypto_predict.web.http.problems import DATABASE_SECONDS, Problem
from crypto_predict.web.http.response import Rendered

T = TypeVar("T")
MOST_REMEMBERED = 1_000  # answers
WAIT_SECONDS = 1.0  # at most, until other requests have finished with the database

_log = logging.getLogger("crypto_predict.database")


class Connection(
    SeriesReader,
    JoinedReader,
    CoverageReader,
    QuoteReader,
    StreamReader,
    ForecastReader,
    HourForecastReader,
    RecordReader,
    OutageReader,
    Protocol,
):
    """An open database."""

    @property
    def damaged(self) -> int:
        """Return how often a row was left out because it is damaged."""

    def snapshot(self) -> AbstractContextManager[object]:
        """Read what this thread reads inside the context in one transaction."""

    def close(self) -> None:
        """Release everything that is open."""


class Overloaded(Problem):
    """Too many other requests are reading the database."""

    def __init__(self) -> None:
        detail = "too many requests are reading the database now; try again"
        super().__init__(503, detail, retry_seconds=DATABASE_SECONDS)


class Recent(dict[Hashable, T]):
    """The newest values, by key, the oldest first. Safe to share between threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def add(self, key: Hashable, value: T) -> None:
        """Remember a value, in place of the oldest one."""
        with self._lock:
            self.pop(key, None)
            self[key] = value
            if len(self) > MOST_REMEMBERED:
                del self[next(iter(self))]


class Database:
    """A database that is opened at its first use, and again `DATABASE_SECONDS` after a failure. Safe to share.

    At most `at_once` threads read it at the same time: the others answer forecasts even if the database hangs.
    """

    def __init__(self, connect: Callable[[], Connection], at_once: int) -> None:
        self.etags = Recent[str]()  # of answers, by what they depend on
        # Answers that hold until the next close, with what else they rest on, and when they hold.
        self.shared = Recent[tuple[Rendered | None, Rendered, Span]]()
        self._connect = connect
        self._slots = BoundedSemaphore(at_once)
        self._lock = Lock()  # guards the fields below
        self._connection: Connection | None = None
        self._failure: DatabaseError | None = None  # the last one, until the database is open again
        self._retry_at = 0.0  # by the monotonic clock
        self._damaged = 0  # rows that were left out before the connection was opened

    @property
    def damaged(self) -> int:
        """Return how often a row was left out of an answer because it is damaged."""
        connection = self._connection
        return self._damaged + (0 if connection is None else connection.damaged)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open the database for the context; if too many other threads are reading it, raise `Overloaded`.

        If it cannot be opened, or could not be a moment ago, raise `DatabaseError`; if its address is malformed,
        `InvalidValue`.
        """
        if not self._slots.acquire(timeout=WAIT_SECONDS):
            raise Overloaded
        try:
            connection = self._opened()
            try:
                with connection.snapshot():
                    yield connection
            except DatabaseError as error:
                self._close(connection, error)
                raise
        finally:
            self._slots.release()

    def _opened(self) -> Connection:
        with self._lock:
            if self._connection is not None:
                return self._connection
            if self._failure is not None and time.monotonic() < self._retry_at:
                raise DatabaseError(self._failure.address, self._failure.reason)
            try:
                self._connection = self._connect()
            except DatabaseError as error:
                self._record(error)
                raise
            if self._failure is not None:
                logs.event(_log, logging.INFO, "database available again", database=self._failure.address)
                self._failure = None
            return self._connection

    def _close(self, connection: Connection, error: DatabaseError) -> None:
        with self._lock:
            if self._connection is connection:  # otherwise another thread has replaced it
                self._connection = None
                self._damaged += connection.damaged
                self._record(error)
                connection.close()

    def _record(self, error: DatabaseError) -> None:
        """Log a failure, once for as long as it lasts."""
        if self._failure is None or self._failure.reason != error.reason:
            logs.event(_log, logging.WARNING, "database unavailable", database=error.address, reason=error.reason)
        self._failure, self._retry_at = error, time.monotonic() + DATABASE_SECONDS
