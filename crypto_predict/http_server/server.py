"""An HTTP/1.1 server with a graceful stop: its own event loop, and Waitress' worker threads and WSGI.

Waitress' own loop is not used: it reads in time quadratic in the length of a request, holds unread answers in unbounded
memory, and drops unsent answers when it stops.

After SIGTERM or SIGINT the server accepts nothing more. It reads and answers every request that has begun, for at most
`Limits.stop`, and returns. A second signal ends this wait. The handlers are explicit, so they also work for process 1
of a container.
"""

import ctypes
import errno
import logging
import os
import resource
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from waitress.task import ThreadedTaskDispatcher

from crypto_predict import logs
from crypto_predict.errors import CryptoPredictError
from crypto_predict.http_server.connections import Connection, Limits, Pool, Site

THREADS_SECONDS = 1  # for idle worker threads to end
SPARE_DESCRIPTORS = 24  # for everything that is not a connection
SEND_BUFFER_BYTES = 65_536  # kernel buffer of each connection; Linux doubles it
BACKLOG = 1_024  # connections that the kernel accepts in advance
ACCEPTED_AT_ONCE = 64
PERIOD_SECONDS = 0.25  # between two checks of the time limits; also the pause in accepting when no connection fits
LARGE_BYTES = 131_072  # the initial threshold of glibc

_M_MMAP_THRESHOLD = -3  # of malloc.h
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("crypto_predict.server")


class CannotListen(CryptoPredictError):
    """The server cannot listen at `host` and `port` because of `reason`."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen at {host} port {port}: {reason}")


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of the host; all addresses of this machine if it is empty or ``*``.

    Raise `CannotListen` if the address does not exist or is taken.
    """
    listeners = []
    try:
        addresses = socket.getaddrinfo(
            host.strip("[]*") or None, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in addresses):
            listener = socket.create_server(address, family=family, backlog=BACKLOG)
            # Accepted sockets inherit these.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.setblocking(False)
            listeners.append(listener)
    except (socket.gaierror, ValueError) as error:
        raise CannotListen(host, port, "the address does not exist") from error
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        if error.errno == errno.EADDRINUSE:
            reason += "; stop what listens there, or choose another port, as in PORT=8001"
        raise CannotListen(host, port, reason) from error
    return listeners


class Server:
    """Serve a site at each listener. `draining` is set when the stop begins.

    The constructor installs the handlers of SIGTERM and SIGINT.
    """

    def __init__(
        self,
        site: Site,
        listeners: Iterable[socket.socket],
        threads: int,
        draining: threading.Event,
        limits: Limits = Limits(),  # noqa: B008 it is frozen
    ) -> None:
        if sys.platform == "linux":
            # By default glibc raises this threshold when a mapped block is freed. Later blocks then come from its
            # arenas, which thousands of unread answers would fragment, and are not returned to the system.
            with suppress(AttributeError):  # musl does not have mallopt
                ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        self._signals = 0  # received so far
        self._sleeping = False  # waiting for events
        self._resumes_at: float | None = None  # the end of a pause in accepting, by the monotonic clock
        self._expires_at = 0.0  # the next check of the time limits, by the monotonic clock
        granted, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most_connections = max(1, min(limits.connections, granted - SPARE_DESCRIPTORS))
        self._limits = limits
        self._sites = {listener: replace(site, effective_port=listener.getsockname()[1]) for listener in listeners}
        threads = max(threads, 2) if site.is_slow else threads  # one is always left for what is quick
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue during load needs no warning
        self._threads = ThreadedTaskDispatcher()
        self._threads.set_thread_count(threads)
        self.pool = Pool(threads, self._threads.add_task, self._wake, draining, limits)
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        for end in (self._wakeup_reader, self._wakeup_writer):
            end.setblocking(False)
        self.pool.selector.register(self._wakeup_reader, selectors.EVENT_READ, partial(self._wakeup_reader.recv, 4096))
        self._resume_accepting()
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Return every host and port; for port 0 the port that the system chose."""
        return [listener.getsockname()[:2] for listener in self._sites]

    @property
    def is_hurried(self) -> bool:
        """Whether a second signal has asked to stop at once."""
        return self._signals > 1

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish what has begun."""
        while not self._signals:
            self._turn()
        self._drain()

    def stop(self) -> None:
        """End `run`, as a signal does. It may be called from any thread."""
        self._signals += 1
        self._wake()

    def _wake(self) -> None:
        """End the wait for events, if there is one."""
        if self._sleeping:
            self._sleeping = False
            with suppress(BlockingIOError):  # the buffer is full, so the loop wakes anyway
                self._wakeup_writer.send(b"x")

    def _turn(self) -> None:
        """Wait for events and handle them: one iteration of the loop."""
        self._sleeping = True
        events = self.pool.selector.select(0.0 if self.pool.answered else PERIOD_SECONDS)
        self._sleeping = False
        for key, _ in events:
            key.data()
        now = time.monotonic()
        if now >= self._expires_at:
            self._expires_at = now + PERIOD_SECONDS
            self.pool.expire()
        self.pool.work()
        if self._resumes_at is not None and now >= self._resumes_at:
            self._resume_accepting()

    def _accept(self, listener: socket.socket) -> bool:
        """Accept pending connections. Return whether there may be more."""
        for _ in range(ACCEPTED_AT_ONCE):
            is_full = len(self.pool) > self._most_connections
            if not is_full:
                try:
                    client, address = listener.accept()
                except BlockingIOError:
                    return False
                except OSError as error:
                    is_full = error.errno in _EXHAUSTED
                else:
                    Connection(self._sites[listener], client, address, self.pool)
            if is_full and not self.pool.make_room():
                self._pause_accepting(PERIOD_SECONDS)  # retrying at once would keep a core busy
                return False
        return True

    def _pause_accepting(self, seconds: float) -> None:
        if self._resumes_at is None:
            for listener in self._sites:
                self.pool.selector.unregister(listener)
        self._resumes_at = time.monotonic() + seconds

    def _resume_accepting(self) -> None:
        self._resumes_at = None
        for listener in self._sites:
            self.pool.selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))

    def _drain(self) -> None:
        deadline = time.monotonic() + self._limits.stop
        self.pool.draining.set()
        logs.event(_log, logging.INFO, "stopping", connections=len(self.pool))
        for listener in self._sites:
            # Closing the listener would reset connections that are pending. Accept at most one backlog of them: clients
            # that keep connecting must not delay the stop.
            for _ in range(0, BACKLOG + ACCEPTED_AT_ONCE, ACCEPTED_AT_ONCE):
                if not self._accept(listener):
                    break
        self._pause_accepting(float("inf"))
        for listener in self._sites:
            listener.close()
        self._expires_at = time.monotonic() + self._limits.quiet  # idle connections are closed then
        while len(self.pool) and not self.is_hurried and time.monotonic() < deadline:
            self._turn()
        unfinished = len(self.pool.reading) + len(self.pool.working) + len(self.pool.sending)
        self._threads.shutdown(timeout=0 if unfinished else THREADS_SECONDS)
        logs.event(_log, logging.WARNING if unfinished else logging.INFO, "stopped", unfinished=unfinished)
