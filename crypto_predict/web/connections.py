"""Connections: each is one client, and waits for one thing at a time, for so long and no longer.

Only the I/O thread changes them. A worker thread has a connection's request while it answers it, then hands both back.
A request is read when the answer to the one before has been sent. What a client sends ahead stays in the system's
buffers, and a client that does not read its answers is not answered any further.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crypto_predict.web import heads, problems
from crypto_predict.web.reading import Reader
from crypto_predict.web.refusals import Refusal
from crypto_predict.web.tasks import Task

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

REQUEST_SECONDS = 10.0  # for a request from its first byte to its last, and for a new connection to begin one
STALL_SECONDS = 10.0  # without a byte of an answer being taken
IDLE_SECONDS = 120.0  # between two requests, while nobody else needs the place
LINGER_SECONDS = 2.0  # for a client to read the last answer and close
YOUNG_SECONDS = 0.05  # what has waited for less is not dropped to make room

UNREAD_BYTES = 16 * 2**20  # of answers that wait for slow readers, over all connections
HANDED_OVER = 2  # requests for each worker thread: one in work, one at hand
JOINED_BYTES = 65_536  # answers up to this size leave in one piece

_NO_REQUEST = heads.Request()
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logging.getLogger("crypto_predict.server")


@dataclass(eq=False, slots=True)
class Wait:
    """Something that connections wait for, at most so many `seconds`."""

    seconds: float
    since: dict[Connection, float] = field(default_factory=dict)  # of the monotonic clock; the longest wait is first

    def longest(self, latest: float = float("inf")) -> Connection | None:
        """The connection that has waited longest, if it has since `latest` or before."""
        for connection, since in self.since.items():
            return connection if since <= latest else None
        return None


class Connections:
    """All connections, by what they wait for.

    Where more of them have a request than there are threads, they take turns by kind: those with their first request,
    those that have been answered before, and those that have sent several requests at once. However many there are of
    one kind, they do not keep the others waiting.

    Args:
        threads: How many requests are worked on at once.
        hand_over: Gives a connection to the worker threads, which call its `service`.
        wake: Ends the wait of the I/O thread; called by worker threads.
        draining: Set while the server is stopping.
    """

    def __init__(
        self, threads: int, hand_over: Callable[[Any], None], wake: Callable[[], None], draining: threading.Event
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.free = HANDED_OVER * threads  # requests that worker threads take at the moment
        self.draining = draining
        self.unread = SharedBytes()
        self.dropped = 0  # for want of a place, of memory or of patience
        self.new = Wait(REQUEST_SECONDS)  # for a first request
        self.reading = Wait(REQUEST_SECONDS)  # for the rest of a request
        self.working = Wait(float("inf"))  # for a worker thread
        self.sending = Wait(STALL_SECONDS)  # for the client to read
        self.idle = Wait(IDLE_SECONDS)  # for the next request
        self.lingering = Wait(LINGER_SECONDS)  # for the client to close
        self._waits = (self.new, self.reading, self.working, self.sending, self.idle, self.lingering)
        self._hand_over = hand_over
        self._wake = wake
        self._answered: deque[Connection] = deque()
        self._first, self._known, self._ahead = deque[Connection](), deque[Connection](), deque[Connection]()
        self._turns = deque([self._first, self._known, self._ahead])

    def __len__(self) -> int:
        return sum(len(wait.since) for wait in self._waits)

    @property
    def busy(self) -> int:
        """How many have a request that is not read, answered and sent yet."""
        return sum(len(wait.since) for wait in (self.reading, self.working, self.sending))

    @property
    def has_answers(self) -> bool:
        """Whether worker threads have handed back anything."""
        return bool(self._answered)

    def hand_over(self, connection: Connection) -> None:
        """Give a connection with a request to the worker threads."""
        self.free -= 1
        self._hand_over(connection)

    def line_up(self, connection: Connection, *, is_first: bool, is_ahead: bool) -> None:
        """Let a connection wait until the worker threads take another request."""
        kind = self._ahead if is_ahead else self._first if is_first else self._known
        kind.append(connection)

    def hand_back(self, connection: Connection) -> None:
        """Take a connection back from a worker thread."""
        self._answered.append(connection)
        self._wake()

    def send_answers(self) -> None:
        """Send what worker threads have answered, and give them more."""
        for _ in range(len(self._answered)):  # what comes while they are sent waits for the events in between
            self.free += 1
            self._answered.popleft().send_answer()
            while self.unread.size > UNREAD_BYTES and (slowest := self.sending.longest()):
                slowest.drop()

        while self.free > 0 and (connection := self._next_in_line()):
            connection.begin()

    def _next_in_line(self) -> Connection | None:
        for _ in range(len(self._turns)):
            self._turns.rotate()
            if self._turns[0]:
                return self._turns[0].popleft()
        return None

    def expire(self) -> None:
        """Refuse or close whatever has waited too long."""
        now = time.monotonic()
        for wait in self._waits:
            while connection := wait.longest(now - wait.seconds):
                connection.expire()

    def make_room(self) -> bool:
        """Drop the connection that can best be spared. False if there is none."""
        latest = time.monotonic() - YOUNG_SECONDS
        for waits in ((self.lingering,), (self.idle,), (self.new, self.reading), (self.sending,)):
            longest = [(wait.since[one], one) for wait in waits if (one := wait.longest(latest))]
            if longest:
                min(longest, key=lambda pair: pair[0])[1].drop()
                return True
        return False

    def close_quiet(self, seconds: float) -> None:
        """Close each connection that has waited so long for a request, or for its client to close."""
        latest = time.monotonic() - seconds
        for wait in (self.new, self.idle, self.lingering):
            while connection := wait.longest(latest):
                connection.close()


class SharedBytes:
    """Measures texts that are held by somebody, each once however many hold it."""

    def __init__(self) -> None:
        self.size = 0
        self._holders: dict[int, int] = {}  # by identity

    def hold(self, text: bytes) -> None:
        """Measure a text."""
        holders = self._holders.get(id(text), 0)
        self._holders[id(text)] = holders + 1
        if not holders:
            self.size += len(text)

    def release(self, text: bytes) -> None:
        """Forget it, unless somebody else holds it."""
        holders = self._holders.pop(id(text)) - 1
        if holders:
            self._holders[id(text)] = holders
        else:
            self.size -= len(text)


class Connection:
    """One client's connection, and a task for the worker threads: its `service` answers the request that it has.

    Args:
        listener: The server of Waitress where it was accepted.
        client: Its socket.
        address: Host and port of the client.
        connections: All of them; this one joins them.
    """

    def __init__(
        self, listener: BaseWSGIServer, client: socket.socket, address: tuple[Any, ...], connections: Connections
    ) -> None:
        client.setblocking(False)
        self.server = listener  # this, `adj` and `addr` are what Waitress' tasks ask for
        self.adj = listener.adj
        self.addr = address
        self._socket = client
        self._all = connections
        self._reader = Reader()
        self._request = _NO_REQUEST  # that is being answered
        self._answer: list[bytes] = []
        self._sent = 0  # bytes of its first part
        self._closes = False  # after this answer
        self._is_first = True  # nothing has been answered yet
        self._events = 0  # that the selector waits for
        self._wait: Wait | None = connections.new  # None: closed
        connections.new.since[self] = time.monotonic()
        self._listen(selectors.EVENT_READ)

    # What the I/O thread calls.

    def on_event(self) -> None:
        """Go on: the client has sent something, can take more, or is gone."""
        wait, every = self._wait, self._all
        if wait is every.sending:
            self._send()
        elif wait is every.working:
            self._listen(0)  # what it sends ahead is read when it has its answer
        elif wait is every.lingering:
            if self._receive(JOINED_BYTES) == b"":
                self.close()
        elif wait is not None:
            self._read()

    def begin(self) -> None:
        """Read the request that has arrived and hand it over, if it is whole."""
        if self._wait is None:
            return
        if self._request is _NO_REQUEST:
            request = self._reader.next()
            if request is None:
                self._await_body()
                return
            self._request = request
        if self._all.free > 0:
            self._answer = []
            self._wait_for(self._all.working)
            self._all.hand_over(self)
        else:
            self._line_up()

    def send_answer(self) -> None:
        """Send what a worker thread has written."""
        self._request = _NO_REQUEST
        if self._wait is None:
            return
        if sum(map(len, self._answer)) <= JOINED_BYTES:
            self._answer = [b"".join(self._answer)]
        self._send()

    def expire(self) -> None:
        """Refuse the rest of a request, send more of an answer if that is possible after all, or close."""
        if self._wait is self._all.sending:
            self._send()
            if self._wait is self._all.sending and self._wait.longest(time.monotonic() - STALL_SECONDS) is self:
                self.drop()
        elif self._wait is self._all.reading:
            self._refuse(408, f"a request must be complete {REQUEST_SECONDS:.0f} s after its first byte")
        else:
            self.close()

    def drop(self) -> None:
        """Close although the client may still want something."""
        self._all.dropped += 1
        self.close()

    def close(self) -> None:
        """Close, whatever it is waiting for."""
        if self._wait is None:
            return
        if self._wait is self._all.sending:
            for part in self._answer:
                self._all.unread.release(part)
        del self._wait.since[self]
        self._wait = None
        self._listen(0)
        self._socket.close()

    def _read(self) -> None:
        data = self._receive(heads.HEAD_BYTES - len(self._reader.arrived))
        if data:
            self._reader.arrived += data
            self._advance()
        elif data is not None:
            if self._reader.has_begun:
                self._refuse(400, "the connection ended before the request did")
            else:
                self.close()

    def _receive(self, size: int) -> bytes | None:
        """What has arrived, None if that is nothing, empty at the end of the connection."""
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _advance(self, *, is_ahead: bool = False) -> None:
        """Go on with what has arrived: begin a request, or wait for the rest of it."""
        if self._reader.find_head():
            if (self._all.free > 0 and not is_ahead) or self._reader.is_in_body:
                self.begin()
            else:
                self._line_up(is_ahead=is_ahead)
        elif self._reader.has_begun:
            self._await_rest()

    def _await_rest(self) -> None:
        if self._wait is not self._all.reading:
            self._wait_for(self._all.reading)
            self._listen(selectors.EVENT_READ)

    def _await_body(self) -> None:
        self._await_rest()
        if self._reader.take_expectation():
            with suppress(OSError):  # the client goes on without it in the end
                self._socket.send(_CONTINUE)

    def _line_up(self, *, is_ahead: bool = False) -> None:
        self._wait_for(self._all.working)
        self._all.line_up(self, is_first=self._is_first, is_ahead=is_ahead)

    def _refuse(self, status: int, detail: str) -> None:
        self._reader.refuse(Refusal(status, detail))
        if self._all.free > 0:
            self.begin()
        else:
            self._line_up()

    def _send(self) -> None:
        """Send as much of the answer as the system takes."""
        answer, waited = self._answer, self._wait is self._all.sending
        taken = 0
        while answer:
            part = answer[0]
            try:
                taken = self._socket.send(memoryview(part)[self._sent :] if self._sent else part)
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            self._sent += taken
            if self._sent == len(part):
                del answer[0]
                self._sent = 0
                if waited:
                    self._all.unread.release(part)
        if not answer:
            self._end_answer()
        elif taken or not waited:
            self._wait_for(self._all.sending)
            self._listen(selectors.EVENT_WRITE)
            if not waited:
                for part in answer:
                    self._all.unread.hold(part)

    def _end_answer(self) -> None:
        self._listen(selectors.EVENT_READ)
        if not self._closes:
            self._is_first = False
            self._wait_for(self._all.idle)
            if self._reader.arrived:
                self._advance(is_ahead=True)
            return
        # Closing while something is unread would reset the connection, and the client might lose the answer.
        self._reader.arrived.clear()
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
        else:
            self._wait_for(self._all.lingering)

    def _wait_for(self, wait: Wait) -> None:
        if self._wait is not None:
            del self._wait.since[self]
            wait.since[self] = time.monotonic()
            self._wait = wait

    def _listen(self, events: int) -> None:
        if events == self._events:
            return
        selector = self._all.selector
        if not events:
            selector.unregister(self._socket)
        elif not self._events:
            selector.register(self._socket, events, self.on_event)
        else:
            selector.modify(self._socket, events, self.on_event)
        self._events = events

    # What worker threads call.

    @property
    def is_last(self) -> bool:
        """Whether the server is stopping, and the client has asked for nothing more so far."""
        if not self._all.draining.is_set() or self._reader.arrived:
            return False
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def service(self) -> None:
        """Answer the request."""
        self._closes = True
        try:
            self._perform(self._request)
        except Exception:  # noqa: BLE001 whatever it is: the client is told, and the next one served
            _log.exception("a request was not answered")
            self._answer.clear()
            self._request.refusal = Refusal(500, problems.internal().detail)
            self._perform(self._request)
        finally:
            self._all.hand_back(self)

    def _perform(self, request: heads.Request) -> None:
        task = Task(self, request)  # type: ignore[arg-type]  # ours offers what a task uses of Waitress' channel
        task.service()
        self._closes = task.close_on_finish

    def write_soon(self, data: bytes) -> int:
        """Add to the answer."""
        if data:
            self._answer.append(data)
        return len(data)

    def check_client_disconnected(self) -> bool:
        """Whether nobody will read the answer."""
        return self._wait is None

    def cancel(self) -> None:
        """Waitress gives up the request: the server stops."""
