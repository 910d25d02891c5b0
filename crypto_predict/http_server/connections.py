"""The connections of clients, each a state machine that waits for one thing at a time, and the pool of all of them.

Only the I/O thread changes a connection. A worker thread has its request while answering, then hands the connection
back. The next request is read when the answer to the one before has been sent: pipelined requests stay in the system's
buffers, and a client that does not read gets no further answers.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from waitress.task import WSGITask

from crypto_predict.http_server import parser
from crypto_predict.http_server.parser import BUSY, FAULT, HEAD_BYTES, REFUSAL, Bodies, Refusal, Request

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

RECEIVED_BYTES = 4_096  # at once; pipelined requests are better left to the system
JOINED_BYTES = 65_536  # answers up to this size leave in one piece
UNREAD_BYTES = 8 * 2**20  # of unsent answers to slow readers, over all connections
AT_HAND = 2  # requests queued in advance, so that a worker thread need not wait for the I/O thread
MOST_WAITING = 500  # requests for a turn at something slow
YOUNG_SECONDS = 0.05  # a connection that has waited for less is not dropped to make room

_NO_REQUEST = Request()
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logging.getLogger("crypto_predict.server")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a server waits, in seconds, and how many connections it has."""

    request: float = 10.0  # from the first byte of a request to its last, and from a new connection to its first byte
    stall: float = 10.0  # in which the client takes no byte of an answer
    idle: float = 120.0  # between two requests; less where another connection needs the place
    linger: float = 2.0  # for a client to read the last answer and close
    turn: float = 1.0  # that a request waits for its turn at something slow
    quiet: float = 0.25  # all that an idle connection has when the server stops: a request may still be on its way
    stop: float = 10.0  # for the requests in flight when the server stops
    connections: int = 1_000  # at once; fewer where the system grants few file descriptors


@dataclass(frozen=True, slots=True)
class Site:
    """An application at one port, with the attributes that Waitress' tasks read of a server and its settings.

    A request that the application must refuse has `REFUSAL` in its environment. Requests for slow paths take at most
    half of the threads; one that has waited too long for a turn has `BUSY`, and must be answered at once.
    """

    application: WSGIApplication
    is_slow: Callable[[str], object] | None = None  # whether a request for this path may keep a thread for long
    bodies: Bodies = field(default_factory=dict)  # that the application uses
    effective_port: int = 0
    server_name: str = "waitress.invalid"  # for HTTP/1.0 clients that do not name a host
    ident: str = "crypto-predict"
    url_prefix: str = ""
    log_socket_errors: bool = True

    @property
    def adj(self) -> Site:
        """Return the settings."""
        return self


class Pool:
    """All connections, by what they wait for. Only the I/O thread changes them.

    Requests wait in queues that are served in turn: first requests of a connection, later ones, pipelined ones and slow
    ones. So however long one queue is, the others go on. Half of the threads at most are given to requests that may be
    slow, such as those of a database: the others wait for a turn before they are queued, and keep no thread meanwhile.
    One that waits for longer than `Limits.turn`, or beyond `MOST_WAITING` others, is answered without a turn. `start`
    gives a connection to the worker threads, which call its `service` and then `wake`, to end the wait of the I/O
    thread. `draining` is set while the server is stopping.
    """

    def __init__(
        self,
        threads: int,
        start: Callable[[Any], None],
        wake: Callable[[], None],
        draining: threading.Event,
        limits: Limits,
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.draining = draining
        self.dropped = 0  # connections, for a time limit or to free a place or memory
        self.unread = 0  # bytes of answers that are being sent; one that several connections hold counts once
        self.new: Wait = {}  # for a first request
        self.reading: Wait = {}  # for the rest of a request
        self.working: Wait = {}  # for a worker thread
        self.sending: Wait = {}  # for the client to read
        self.idle: Wait = {}  # for the next request
        self.lingering: Wait = {}  # for the client to close
        self.answered = deque[Connection]()  # handed back by worker threads
        self._waits = (self.new, self.reading, self.working, self.sending, self.idle, self.lingering)
        self._limits = limits
        self._holders: dict[int, int] = {}  # connections that hold an unread answer, by its identity
        self._free = threads + AT_HAND  # requests that can be started at the moment
        self._turns = max(1, threads // 2)  # of slow requests, that are left
        self._waiting = deque[Connection]()  # for a turn
        self._start = start
        self._wake = wake
        self._queues = deque(deque[Connection]() for _ in range(4))
        self._first, self._later, self._pipelined, self._slow = self._queues

    def __len__(self) -> int:
        return sum(map(len, self._waits))

    def hold(self, texts: Iterable[bytes]) -> None:
        """Count parts of an answer as unread."""
        for text in texts:
            holders = self._holders.get(id(text), 0)
            self._holders[id(text)] = holders + 1
            self.unread += 0 if holders else len(text)

    def release(self, texts: Iterable[bytes]) -> None:
        """Count parts of an answer as read."""
        for text in texts:
            self._holders[id(text)] -= 1
            if not self._holders[id(text)]:
                del self._holders[id(text)]
                self.unread -= len(text)

    def schedule(self, connection: Connection, *, is_first: bool, is_pipelined: bool) -> None:
        """Queue a connection with a request for a worker thread."""
        if connection.is_slow:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(connection)
                return
            connection.is_slow = connection.has_turn = False
        queue = self._pipelined if is_pipelined else self._first if is_first else self._later
        queue.append(connection)

    def hand_back(self, connection: Connection) -> None:
        """Take a connection back from a worker thread."""
        self.answered.append(connection)
        self._wake()

    def work(self) -> None:
        """Send the answers of worker threads, and start queued requests."""
        for _ in range(len(self.answered)):  # later ones are sent after the next events
            self._free += 1
            connection = self.answered.popleft()
            self._turns += connection.is_slow
            connection.answered()
            while self.unread > UNREAD_BYTES and (slowest := _longest(self.sending)):
                self._drop(slowest)
        while self._waiting and self._turns > 0:
            self._turns -= 1
            self._slow.append(self._waiting.popleft())
        while self._free > 0 and any(self._queues):
            self._queues.rotate()
            if self._queues[0]:
                self._free -= 1
                self._start(self._queues[0].popleft())

    def expire(self) -> None:
        """Refuse or close the connections whose time limit has passed."""
        # The selector reports a socket as writable only when much of its buffer is free, so a slow reader would look
        # stalled. Trying often also keeps bytes taken before a stall from counting as progress during it.
        for slow in tuple(self.sending):
            slow.send()
        now, limits = time.monotonic(), self._limits
        while connection := _longest(self.reading, now - limits.request):
            connection.refuse(408, f"a request must be complete {limits.request:g} s after its first byte")
        while self._waiting and self.working.get(self._waiting[0], 0.0) <= now - limits.turn:  # 0: it has closed
            connection = self._waiting.popleft()
            connection.is_slow = connection.has_turn = False
            self._later.append(connection)
        while connection := _longest(self.sending, now - limits.stall):
            self._drop(connection)
        most = limits.quiet if self.draining.is_set() else limits.idle
        for wait, seconds in ((self.new, limits.request), (self.idle, limits.idle), (self.lingering, limits.linger)):
            while connection := _longest(wait, now - min(seconds, most)):
                connection.close()

    def make_room(self) -> bool:
        """Drop the connection that can best be spared. Return whether one could be dropped."""
        latest = time.monotonic() - YOUNG_SECONDS
        for waits in ((self.lingering,), (self.idle,), (self.new, self.reading), (self.sending,)):
            longest = [(wait[connection], connection) for wait in waits if (connection := _longest(wait, latest))]
            if longest:
                self._drop(min(longest, key=lambda pair: pair[0])[1])
                return True
        return False

    def _drop(self, connection: Connection) -> None:
        self.dropped += 1
        connection.close()


class Connection:
    """One client's connection, which joins `pool`. It is also the task of a worker thread, which calls `service`."""

    def __init__(self, site: Site, client: socket.socket, address: tuple[Any, ...], pool: Pool) -> None:
        client.setblocking(False)
        self.server = self.adj = site  # Waitress' tasks read these and `addr`
        self.addr = address
        self.is_slow = False  # the request, which needs a turn
        self.has_turn = True
        self._socket = client
        self._pool = pool
        self._arrived = bytearray()  # of a request that is not complete
        self._requests = parser.requests(self._arrived, site.bodies)
        self._request = _NO_REQUEST  # the one being answered
        self._answer: list[bytes] = []  # what a worker thread has written
        self._unsent: list[bytes] = []  # parts of the answer that are being sent
        self._sent = 0  # bytes of the first of these
        self._closes = False  # the connection, after this answer
        self._is_first = True  # nothing has been answered yet
        self._events = 0  # that the selector waits for
        self._wait: Wait | None = pool.new  # None: closed
        pool.new[self] = time.monotonic()
        self._listen(selectors.EVENT_READ)

    # What the I/O thread calls.

    def on_event(self) -> None:
        """Handle an event of the socket: it is readable, writable or closed."""
        wait, pool = self._wait, self._pool
        if wait is pool.sending:
            self.send()
        elif wait is pool.working:
            self._listen(0)  # pipelined requests are read after the answer
        elif wait is pool.lingering:
            if self._receive(JOINED_BYTES) == b"":
                self.close()
        elif wait is not None:
            self._read()

    def answered(self) -> None:
        """Send what a worker thread has written."""
        self._request = _NO_REQUEST
        if self._wait is None:
            return
        parts, self._answer = self._answer, []
        if sum(map(len, parts)) <= JOINED_BYTES:
            parts = [b"".join(parts)]
        self._unsent = parts
        self._pool.hold(parts)
        self.send()

    def send(self) -> None:
        """Send as much of the answer as fits into the send buffer."""
        taken = 0
        while self._unsent:
            part = self._unsent[0]
            try:
                taken = self._socket.send(memoryview(part)[self._sent :] if self._sent else part)
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            self._sent += taken
            if self._sent == len(part):
                self._sent = 0
                self._pool.release([self._unsent.pop(0)])
        if not self._unsent:
            self._end_answer()
        elif taken or self._wait is not self._pool.sending:
            self._wait_for(self._pool.sending)

    def refuse(self, status: int, detail: str) -> None:
        """Refuse a request that is not complete, and close after that."""
        self._arrived.clear()
        self._schedule(Request(refusal=Refusal(status, detail)))

    def close(self) -> None:
        """Close, whatever it is waiting for."""
        if self._wait is None:
            return
        self._pool.release(self._unsent)
        self._unsent.clear()
        del self._wait[self]
        self._wait = None
        self._listen(0)
        self._socket.close()

    def _read(self) -> None:
        data = self._receive(min(RECEIVED_BYTES, HEAD_BYTES - len(self._arrived)))
        if data:
            self._arrived += data
            self._parse()
        elif data is not None:
            if self._wait is self._pool.reading:
                self.refuse(400, "the connection ended before the request did")
            else:
                self.close()

    def _receive(self, size: int) -> bytes | None:
        """Return what has arrived: None for nothing yet, empty at the end of the connection."""
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _parse(self, *, is_pipelined: bool = False) -> None:
        """Schedule the request that has arrived, or wait for the rest of it."""
        received = next(self._requests)
        if isinstance(received, Request):
            self._schedule(received, is_pipelined=is_pipelined)
            return
        if received is not parser.Need.REQUEST and self._wait is not self._pool.reading:
            self._wait_for(self._pool.reading)
        if received is parser.Need.BODY:
            with suppress(OSError):  # a client sends the body after a while in any case
                self._socket.send(_CONTINUE)

    def _schedule(self, request: Request, *, is_pipelined: bool = False) -> None:
        self._request = request
        self.is_slow = bool(request.refusal is None and self.server.is_slow and self.server.is_slow(request.path))
        self.has_turn = True
        self._wait_for(self._pool.working)
        self._pool.schedule(self, is_first=self._is_first, is_pipelined=is_pipelined)

    def _end_answer(self) -> None:
        if not self._closes:
            self._is_first = False
            self._wait_for(self._pool.idle)
            if self._arrived:
                self._parse(is_pipelined=True)
            return
        # Closing with unread data would reset the connection, and the client might lose the answer.
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
        else:
            self._wait_for(self._pool.lingering)

    def _wait_for(self, wait: Wait) -> None:
        if self._wait is None:
            return
        del self._wait[self]
        wait[self] = time.monotonic()
        self._wait = wait
        if wait is not self._pool.working:
            self._listen(selectors.EVENT_WRITE if wait is self._pool.sending else selectors.EVENT_READ)

    def _listen(self, events: int) -> None:
        """Have the selector wait for these events. Close where the system refuses: it has a limit for them."""
        if events == self._events:
            return
        selector = self._pool.selector
        before, self._events = self._events, events
        try:
            if not events:
                selector.unregister(self._socket)
            elif not before:
                selector.register(self._socket, events, self.on_event)
            else:
                selector.modify(self._socket, events, self.on_event)
        except OSError:
            self._events = 0  # the selector has forgotten it
            self.close()

    # What worker threads call.

    @property
    def is_last(self) -> bool:
        """Whether the server is stopping and the client has not sent a further request."""
        if not self._pool.draining.is_set() or self._arrived:
            return False
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def service(self) -> None:
        """Answer the request."""
        self._closes = True
        try:
            self._perform()
        except Exception:  # noqa: BLE001 any fault is answered with 500, and the thread goes on
            _log.exception("a request was not answered")
            self._answer.clear()
            self._request.refusal = Refusal(500, FAULT)
            self._perform()
        finally:
            self._pool.hand_back(self)

    def _perform(self) -> None:
        task = _Task(self, self._request)  # type: ignore[arg-type]  # has what a task uses of Waitress' channel
        task.service()
        self._closes = task.close_on_finish

    def write_soon(self, data: bytes) -> int:
        """Add to the answer."""
        if data:
            self._answer.append(data)
        return len(data)

    def check_client_disconnected(self) -> bool:
        """Whether the connection is closed."""
        return self._wait is None

    def cancel(self) -> None:
        """Do nothing: Waitress calls this for queued requests when the server stops."""


class _Task(WSGITask):
    """One request of a connection. It passes refusals to the application."""

    channel: Connection  # type: ignore[assignment]  # has what a task uses of Waitress' channel
    request: Request  # type: ignore[assignment]  # the stubs declare the type of its error

    def get_environment(self) -> WSGIEnvironment:
        """Return the WSGI environment of the request."""
        environ = super().get_environment()
        del environ["wsgi.file_wrapper"]  # connections take bytes only
        if self.request.refusal is not None:
            environ[REFUSAL] = self.request.refusal
        if not self.channel.has_turn:
            environ[BUSY] = True
        return environ

    def build_response_header(self) -> bytes:
        """Return the head of the answer, with ``Connection: close`` if it is the last one."""
        if self.request.refusal is not None or self.channel.is_last:
            self.request.headers["CONNECTION"] = "close"  # as if the client had asked for it
        return super().build_response_header()

    def set_close_on_finish(self) -> None:
        """Close after an answer without a length, unless its status allows no body (304), or if the client asks."""
        if self.has_body or self.version == "1.0" or self.request.headers.get("CONNECTION") == "close":
            super().set_close_on_finish()


# Connections that wait for one thing, and since when by the monotonic clock. The longest wait is first.
Wait = dict[Connection, float]


def _longest(wait: Wait, latest: float = float("inf")) -> Connection | None:
    """Return the connection that has waited longest, if it began to wait at `latest` or before."""
    for connection, since in wait.items():
        return connection if since <= latest else None
    return None
