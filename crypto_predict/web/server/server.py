"""Waitress with its own event loop and a graceful stop.

Waitress provides the listening sockets, the worker threads and WSGI. Its reading, sending and stopping are replaced:
reading takes time quadratic in the length of a request, unread answers take unbounded memory, and stopping drops unsent
answers.

After SIGTERM or SIGINT the server accepts nothing more. It reads and answers every request that has begun, for at most
`STOP_SECONDS`, and returns. A second signal ends this wait. The handlers are explicit, so they also work for process 1
of a container.
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
from crypto_predict.web.server import heads, memory
from crypto_predict.web.server.connections import Connection
from crypto_predict.web.server.pool import Pool

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STOP_SECONDS = 10.0  # for the requests in flight
QUIET_SECONDS = 0.25  # before an idle connection is closed: a request or an answer may still be on its way
THREADS_SECONDS = 1  # for idle worker threads to end

MOST_CONNECTIONS = 1_000
SPARE_DESCRIPTORS = 24  # for everything that is not a connection
SEND_BUFFER_BYTES = 65_536  # kernel buffer of each connection; Linux doubles it
BACKLOG = 1_024  # connections that the kernel accepts in advance
ACCEPTED_AT_ONCE = 64
EXPIRY_SECONDS = 0.5  # between two checks of the time limits
REST_SECONDS = 0.1  # pause in accepting when no further connection fits

WAITRESS: dict[str, Any] = {
    "ident": "crypto-predict",
    # Only the peers in `bench` use Waitress' own connections. They need these to be fast: headers and body leave in one
    # piece, and poll() has no limit of 1,024 file descriptors as select() has.
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
    """The server cannot listen at `host` and `port` because of `reason`."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen at {host} port {port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason


class Server:
    """Serve one WSGI application. The constructor begins to listen and installs the handlers of SIGTERM and SIGINT.

    Args:
        application: Must contain `refusals.Refusing`.
        settings: Where to listen, and with how many threads.
        draining: Set when the stop begins.

    Raises:
        CannotListen: The address does not exist or is taken.
    """

    def __init__(self, application: WSGIApplication, settings: ServeSettings, draining: threading.Event) -> None:
        memory.give_back_large_blocks()
        self._draining = draining
        self._signals = 0  # received so far
        self._sleeping = False  # waiting for events
        self._resting = True  # not accepting
        self._accepts_at = 0.0  # when resting: the end of the rest, by the monotonic clock
        self._expires_at = 0.0  # the next check of the time limits, by the monotonic clock
        self._most_connections = _most_connections()
        self._servers = _listen(application, settings)
        self._tasks = next(iter(self._servers.values())).task_dispatcher
        self._pool = Pool(settings.threads, self._tasks.add_task, self._wake, draining)
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        for end in (self._wakeup_reader, self._wakeup_writer):
            end.setblocking(False)
        self._pool.selector.register(self._wakeup_reader, selectors.EVENT_READ, partial(self._wakeup_reader.recv, 4096))
        self._accept_again()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Return every host and port; for port 0 the port that the system chose."""
        names = [listener.getsockname() for listener in self._servers]
        return [(host, int(port)) for host, port in names]

    @property
    def dropped_connections(self) -> int:
        """Return how many connections were closed for a time limit, or to free a place or memory."""
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
        """Count the signal and wake the loop. A handler may interrupt anything, so it must not take a lock."""
        self._signals += 1
        self._end_wait()

    def _wake(self) -> None:
        """Wake the loop if it waits for events."""
        if self._sleeping:
            self._sleeping = False
            self._end_wait()

    def _end_wait(self) -> None:
        with suppress(BlockingIOError):  # the buffer is full, so the loop wakes anyway
            self._wakeup_writer.send(b"x")

    def _turn(self, seconds: float) -> None:
        """Wait for events for at most so many seconds, and handle them: one iteration of the loop."""
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

    def _accept(self, listener: socket.socket) -> bool:
        """Accept pending connections. Return whether there may be more."""
        server = self._servers[listener]
        for _ in range(ACCEPTED_AT_ONCE):
            if len(self._pool) > self._most_connections and not self._pool.make_room():
                self._rest()
                return False
            try:
                client, address = listener.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._pool.make_room():
                    self._rest()
                    return False
                continue
            try:
                server.set_socket_options(client)
            except OSError:  # macOS: the client has closed already
                client.close()
            else:
                Connection(server, client, address, self._pool)
        return True

    def _rest(self) -> None:
        """Stop accepting for `REST_SECONDS`: retrying at once would keep a core busy."""
        self._accepts_at = time.monotonic() + REST_SECONDS
        if not self._resting:
            self._resting = True
            for listener in self._servers:
                self._pool.selector.unregister(listener)

    def _accept_again(self) -> None:
        self._resting = False
        for listener in self._servers:
            self._pool.selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))

    def _drain(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        self._draining.set()
        logs.event(_log, logging.INFO, "stopping", connections=len(self._pool))
        for listener in self._servers:
            # Closing the listener would reset connections that are pending. Accept at most one backlog of them: clients
            # that keep connecting must not delay the stop.
            for _ in range(0, BACKLOG + ACCEPTED_AT_ONCE, ACCEPTED_AT_ONCE):
                if not self._accept(listener):
                    break
        self._close_listeners()
        self._turn(0.0)  # begin the requests that have arrived
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
        for listener in self._servers:
            listener.close()


def _listen(application: WSGIApplication, settings: ServeSettings) -> dict[socket.socket, BaseWSGIServer]:
    """Return Waitress' servers by their listening sockets, one for each address of the host. They share threads."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue during load needs no warning
    dispatchers: dict[int, Any] = {}
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # send_bytes is deprecated
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
            reason = getattr(error, "strerror", None) or "the address does not exist"
            raise CannotListen(settings.host, settings.port, reason) from error
    servers = {
        cast("socket.socket", one.socket): one for one in dispatchers.values() if isinstance(one, BaseWSGIServer)
    }
    for listener in servers:  # accepted sockets inherit the size
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return servers


def _most_connections() -> int:
    """Return the maximum number of connections: fewer where the system grants few file descriptors."""
    if resource is None:
        return MOST_CONNECTIONS
    granted, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if granted == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, granted - SPARE_DESCRIPTORS))
