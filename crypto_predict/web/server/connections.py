"""One client's connection, as a state machine: it waits for one thing at a time, with a time limit.

Only the I/O thread changes a connection. A worker thread has its request while answering, then hands the connection
back. The next request is read when the answer to the one before has been sent: pipelined requests stay in the system's
buffers, and a client that does not read gets no further answers.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crypto_predict.web import problems
from crypto_predict.web.refusals import Refusal
from crypto_predict.web.server import heads
from crypto_predict.web.server.pool import REQUEST_SECONDS, Pool, Wait
from crypto_predict.web.server.reading import Reader
from crypto_predict.web.server.tasks import Task

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

RECEIVED_BYTES = 4_096  # at once; pipelined requests are better left to the system
JOINED_BYTES = 65_536  # answers up to this size leave in one piece

_NO_REQUEST = heads.Request()
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logging.getLogger("crypto_predict.server")


class Connection:
    """One client's connection. It is also the task of a worker thread, which calls `service`.

    Args:
        server: The server of Waitress that accepted it.
        client: Its socket.
        address: Host and port of the client.
        pool: All connections; this one joins them.
    """

    def __init__(self, server: BaseWSGIServer, client: socket.socket, address: tuple[Any, ...], pool: Pool) -> None:
        client.setblocking(False)
        self.server = server  # Waitress' tasks read this, `adj` and `addr`
        self.adj = server.adj
        self.addr = address
        self._socket = client
        self._pool = pool
        self._reader = Reader()
        self._request = _NO_REQUEST  # the one being answered
        self._answer: list[bytes] = []
        self._sent = 0  # bytes of its first part
        self._closes = False  # the connection, after this answer
        self._is_first = True  # nothing has been answered yet
        self._events = 0  # that the selector waits for
        self._wait: Wait | None = pool.new  # None: closed
        pool.new.since[self] = time.monotonic()
        self._listen(selectors.EVENT_READ)

    # What the I/O thread calls.

    def on_event(self) -> None:
        """Handle an event of the socket: it is readable, writable or closed."""
        wait, pool = self._wait, self._pool
        if wait is pool.sending:
            self._send()
        elif wait is pool.working:
            self._listen(0)  # pipelined requests are read after the answer
        elif wait is pool.lingering:
            if self._receive(JOINED_BYTES) == b"":
                self.close()
        elif wait is not None:
            self._read()

    def begin(self) -> None:
        """Read the request that has arrived, and hand it over if it is complete."""
        if self._wait is None:
            return
        if self._request is _NO_REQUEST:
            request = self._reader.next()
            if request is None:
                self._await_body()
                return
            self._request = request
        if self._pool.free > 0:
            self._answer = []
            self._wait_for(self._pool.working)
            self._pool.hand_over(self)
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

    def send_more(self) -> None:
        """Send more of an answer, if that is possible."""
        if self._wait is self._pool.sending:
            self._send()

    def expire(self) -> None:
        """Refuse the rest of a request, or close."""
        if self._wait is self._pool.sending:
            self.drop()
        elif self._wait is self._pool.reading:
            self._refuse(408, f"a request must be complete {REQUEST_SECONDS:.0f} s after its first byte")
        else:
            self.close()

    def drop(self) -> None:
        """Close before the client is done, and count that."""
        self._pool.dropped += 1
        self.close()

    def close(self) -> None:
        """Close, whatever it is waiting for."""
        if self._wait is None:
            return
        if self._wait is self._pool.sending:
            for part in self._answer:
                self._pool.unread.release(part)
        del self._wait.since[self]
        self._wait = None
        self._listen(0)
        self._socket.close()

    def _read(self) -> None:
        data = self._receive(min(RECEIVED_BYTES, heads.HEAD_BYTES - len(self._reader.arrived)))
        if data:
            self._reader.arrived += data
            self._advance()
        elif data is not None:
            if self._reader.has_begun:
                self._refuse(400, "the connection ended before the request did")
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

    def _advance(self, *, is_ahead: bool = False) -> None:
        """Begin the request that has arrived, or wait for the rest of it."""
        if self._reader.find_head():
            if (self._pool.free > 0 and not is_ahead) or self._reader.is_in_body:
                self.begin()
            else:
                self._line_up(is_ahead=is_ahead)
        elif self._reader.has_begun:
            self._await_rest()

    def _await_rest(self) -> None:
        if self._wait is not self._pool.reading:
            self._wait_for(self._pool.reading)
            self._listen(selectors.EVENT_READ)

    def _await_body(self) -> None:
        self._await_rest()
        if self._reader.take_expectation():
            with suppress(OSError):  # a client sends the body after a while in any case
                self._socket.send(_CONTINUE)

    def _line_up(self, *, is_ahead: bool = False) -> None:
        self._wait_for(self._pool.working)
        self._pool.line_up(self, is_first=self._is_first, is_ahead=is_ahead)

    def _refuse(self, status: int, detail: str) -> None:
        self._reader.refuse(Refusal(status, detail))
        if self._pool.free > 0:
            self.begin()
        else:
            self._line_up()

    def _send(self) -> None:
        """Send as much of the answer as fits into the send buffer."""
        answer, waited = self._answer, self._wait is self._pool.sending
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
                    self._pool.unread.release(part)
        if not answer:
            self._end_answer()
        elif taken or not waited:
            if not waited:
                for part in answer:
                    self._pool.unread.hold(part)
            self._wait_for(self._pool.sending)
            self._listen(selectors.EVENT_WRITE)

    def _end_answer(self) -> None:
        self._listen(selectors.EVENT_READ)
        if not self._closes:
            self._is_first = False
            self._wait_for(self._pool.idle)
            if self._reader.arrived:
                self._advance(is_ahead=True)
            return
        # Closing with unread data would reset the connection, and the client might lose the answer.
        self._reader.arrived.clear()
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
        else:
            self._wait_for(self._pool.lingering)

    def _wait_for(self, wait: Wait) -> None:
        if self._wait is not None:
            del self._wait.since[self]
            wait.since[self] = time.monotonic()
            self._wait = wait

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
        if not self._pool.draining.is_set() or self._reader.arrived:
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
        except Exception:  # noqa: BLE001 any fault is answered with 500, and the thread goes on
            _log.exception("a request was not answered")
            self._answer.clear()
            self._request.refusal = Refusal(500, problems.INTERNAL.detail)
            self._perform(self._request)
        finally:
            self._pool.hand_back(self)

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
        """Whether the connection is closed."""
        return self._wait is None

    def cancel(self) -> None:
        """Do nothing: Waitress calls this for queued requests when the server stops."""
