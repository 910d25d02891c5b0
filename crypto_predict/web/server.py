"""Waitress behind a loop that no client can hold up, and a stop that loses nothing.

Waitress listens, has the threads and speaks WSGI. Its own reading, sending and stopping are replaced: they take time
that grows with the square of a request's length and memory that grows with what clients do not read, and drop what is
unsent.

SIGTERM and SIGINT stop the accepting, every request that has begun is read, answered and sent, and only then does the
process end; a second signal ends it at once. The handlers are explicit, so they also work for process 1 of a container.
"""

from __future__ import annotations

import errno
import logging
import selectors
import signal
import socket
import threading
import time
import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from waitress.server import BaseWSGIServer, create_server

from crypto_predict import logs
from crypto_predict.errors import CryptoPredictError
from crypto_predict.settings import ServeSettings
from crypto_predict.web import heads, memory
from crypto_predict.web.connections import Connection
from crypto_predict.web.pool import Pool

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STOP_SECONDS = 10.0  # for the requests in flight
QUIET_SECONDS = 0.25  # a connection may still bring the request that crossed the signal, or its last answer, on the way
THREADS_SECONDS = 1  # for threads that have nothing left to do to end

MOST_CONNECTIONS = 1_000
SPARE_DESCRIPTORS = 24  # for everything that is not a connection
SEND_BUFFER_BYTES = 65_536  # of the system for each connection; Linux doubles it
BACKLOG = 1_024  # connections that the system makes in advance
ACCEPTED_AT_ONCE = 64
EXPIRY_SECONDS = 0.5  # between two looks at what has waited too long
REST_SECONDS = 0.1  # without accepting, when there is no place for another connection

WAITRESS: dict[str, Any] = {
    "ident": "crypto-predict",
    # Waitress' own connections, which the servers that `bench` compares with have, need these to be fast. Headers and
    # body leave in one piece; select() knows no file descriptor above 1023.
    "send_bytes": 18_000,
    "outbuf_overflow": 16 * 2**20,
    "asyncore_use_poll": True,
    "backlog": BACKLOG,
    "connection_limit": MOST_CONNECTIONS,
    "max_request_header_size": heads.HEAD_BYTES,
    "max_request_body_size": heads.BODY_BYTES,
    "log_socket_errors": False,
}

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("crypto_predict.server")


class CannotListen(CryptoPredictError):
    """The server cannot listen at `host` and `port`, for `reason`."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen at {host} port {port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason


class Server:
    """One WSGI application behind Waitress. Listens, and catches SIGTERM and SIGINT, as soon as it is made.

    Args:
        application: What answers; `refusals.Refusing` must be a part of it.
        settings: Where to listen, and with how many threads.
        draining: Set when the stop begins.

    Raises:
        CannotListen: The address is not there or is taken.
    """

    def __init__(self, application: WSGIApplication, settings: ServeSettings, draining: threading.Event) -> None:
        memory.give_back_large_blocks()
        self._draining = draining
        self._signals = 0  # received so far
        self._sleeping = False  # is waiting for events
        self._resting = True  # is not accepting
        self._accepts_at = 0.0  # of the monotonic clock, when it is resting
        self._expires_at = 0.0  # of the monotonic clock
        self._most_connections = _most_connections()
        self._listeners = _listen(application, settings)
        self._tasks = next(iter(self._listeners.values())).task_dispatcher
        self._pool = Pool(settings.threads, self._tasks.add_task, self._wake, draining)
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)
        self._pool.selector.register(self._bell, selectors.EVENT_READ, partial(self._bell.recv, 4096))
        self._accept_again()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Every host and port that is listened at; the port as the system chose it where 0 was asked for."""
        names = [listener.getsockname() for listener in self._listeners.values()]
        return [(host, int(port)) for host, port in names]

    @property
    def dropped_connections(self) -> int:
        """How many connections were closed because others needed their place or memory, or did nothing for too long."""
        return self._pool.dropped

    @property
    def is_hurried(self) -> bool:
        """Whether a second signal has asked to stop at once."""
        return self._signals > 1

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish what has begun."""
        while not self._signals:
            self._turn(1.0)
        self._drain()

    def _on_signal(self, _number: int, _frame: object) -> None:
        """Wake the loop, which does the rest: a handler may interrupt anything, so it takes no lock."""
        self._signals += 1
        self._ring()

    def _wake(self) -> None:
        """Let the loop go on, if it waits."""
        if self._sleeping:
            self._sleeping = False
            self._ring()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # it rings already
            self._rope.send(b"x")

    def _turn(self, seconds: float) -> None:
        """One turn of the loop: wait at most so many seconds, then go on with whatever can go on."""
        if self._resting:
            seconds = min(seconds, REST_SECONDS)
        self._sleeping = True
        events = self._pool.selector.select(0.0 if self._pool.has_answers else seconds)
        self._sleeping = False
        for key, _ in events:
            key.data()
        self._pool.send_answers()
        now = time.monotonic()
        if now >= self._expires_at:
            self._expires_at = now + EXPIRY_SECONDS
            self._pool.expire()
        if self._resting and now >= self._accepts_at:
            self._accept_again()

    def _accept(self, door: socket.socket) -> bool:
        """Take connections that the system has made. Whether there may be more."""
        listener = self._listeners[door]
        for _ in range(ACCEPTED_AT_ONCE):
            if len(self._pool) > self._most_connections and not self._pool.make_room():
                self._rest()
                return False
            try:
                client, address = door.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._pool.make_room():
                    self._rest()
                    return False
                continue
            try:
                listener.set_socket_options(client)
            except OSError:  # macOS: it has gone already
                client.close()
            else:
                Connection(listener, client, address, self._pool)
        return True

    def _rest(self) -> None:
        """Accept nothing for a moment: there is no place, and asking again at once would only keep a core busy."""
        self._accepts_at = time.monotonic() + REST_SECONDS
        if not self._resting:
            self._resting = True
            for door in self._listeners:
                self._pool.selector.unregister(door)

    def _accept_again(self) -> None:
        self._resting = False
        for door in self._listeners:
            self._pool.selector.register(door, selectors.EVENT_READ, partial(self._accept, door))

    def _drain(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        self._draining.set()
        logs.event(_log, logging.INFO, "stopping", connections=len(self._pool))
        for door in self._listeners:
            # Closing would reset what the system has accepted and nobody here yet. What comes later is no more than
            # that: whoever keeps connecting does not put off the stop.
            for _ in range(0, BACKLOG + ACCEPTED_AT_ONCE, ACCEPTED_AT_ONCE):
                if not self._accept(door):
                    break
        self._close_listeners()
        self._turn(0.0)  # begins the requests that have arrived
        quiet = time.monotonic() + QUIET_SECONDS
        while len(self._pool) and not self.is_hurried and time.monotonic() < deadline:
            if time.monotonic() >= quiet:
                self._pool.close_quiet(QUIET_SECONDS)
            self._turn(0.05)
        unfinished = self._pool.busy
        self._tasks.shutdown(timeout=0 if unfinished else THREADS_SECONDS)
        logs.event(_log, logging.WARNING if unfinished else logging.INFO, "stopped", unfinished=unfinished)

    def _close_listeners(self) -> None:
        self._rest()
        self._accepts_at = float("inf")
        for door in self._listeners:
            door.close()


def _listen(application: WSGIApplication, settings: ServeSettings) -> dict[socket.socket, BaseWSGIServer]:
    """Waitress' servers by the sockets they listen with, one for each address of the host, with threads in common."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a busy moment is nothing to warn of
    dispatchers: dict[int, Any] = {}
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # send_bytes is to go one day
        try:
            create_server(
                application,
                map=dispatchers,
                host=settings.host,
                port=settings.port,
                threads=settings.threads,
                **WAITRESS,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "there is no such address"
            raise CannotListen(settings.host, settings.port, reason) from error
    listeners = {
        cast("socket.socket", one.socket): one for one in dispatchers.values() if isinstance(one, BaseWSGIServer)
    }
    for door in listeners:  # what is accepted inherits the size
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return listeners


def _most_connections() -> int:
    """How many connections there may be: fewer where the system grants few file descriptors."""
    if resource is None:
        return MOST_CONNECTIONS
    granted, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if granted == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, granted - SPARE_DESCRIPTORS))
