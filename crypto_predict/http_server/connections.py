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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from waitress.task import WSGITask

from crypto_predict.http_server import parser
from crypto_predict.http_server.pool import Pool, Wait
from crypto_predict.http_server.request_head import BUSY, FAULT, HEAD_BYTES, REFUSAL, Bodies, Refusal, Request

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

RECEIVED_BYTES = 4_096  # at once; pipelined requests are better left to the system
JOINED_BYTES = 65_536  # answers up to this size leave in one piece

_NO_REQUEST = Request({})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logging.getLogger("crypto_predict.server")


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


class Connection:
    """One client's connection, which joins `pool`. It is also the task of a worker thread, which calls `service`."""

    def __init__(self, site: Site, client: socket.socket, address: tuple[Any, ...], pool: Pool) -> None:
        client.setblocking(False)
        self.server = site  # Waitress' tasks read this, `adj` and `addr`
        self.adj = site
        self.addr = address
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
        self.is_slow = False  # the request, which needs a turn
        self.has_turn = True
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
        self._pool.unread.hold(parts)
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
                self._pool.unread.release([self._unsent.pop(0)])
        if not self._unsent:
            self._end_answer()
        elif taken or self._wait is not self._pool.sending:
            self._wait_for(self._pool.sending)

    def refuse(self, status: int, detail: str) -> None:
        """Refuse a request that is not complete, and close after that."""
        self._arrived.clear()
        self._schedule(Request(self.server.bodies, refusal=Refusal(status, detail)))

    def give_up(self) -> None:
        """Have the request answered without its turn."""
        self.is_slow = self.has_turn = False

    def close(self) -> None:
        """Close, whatever it is waiting for."""
        if self._wait is None:
            return
        self._pool.unread.release(self._unsent)
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
