"""Waitress, and a stop that loses nothing.

Waitress' own stop drops what is still unsent. Here SIGTERM and SIGINT stop the accepting, every request that has begun
is read, answered and sent, and only then does the process end; a second signal ends it at once. The handlers are
explicit, so they also work for process 1 of a container.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask, WSGITask

from crypto_predict import logs
from crypto_predict.errors import CryptoPredictError
from crypto_predict.settings import ServeSettings
from crypto_predict.web import caching, problems, questions

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STOP_SECONDS = 10.0  # for the requests in flight
QUIET_SECONDS = 0.25  # a connection may still bring the request that crossed the signal, or its last answer, on the way

WAITRESS: dict[str, Any] = {
    # Headers and body leave in one piece, sent by the I/O thread. With Waitress' default of 1 they leave in two, and
    # the threads wait for each other more than they work.
    "send_bytes": 18_000,
    # The largest answer, Swagger UI's script, stays in memory. What is above this would go into a temporary file, for
    # which a read-only container has no place: there the connection would never end.
    "outbuf_overflow": 16 * 2**20,
    "asyncore_use_poll": True,  # select() knows no file descriptor above 1023
    "connection_limit": 1_000,
    "max_request_header_size": 65_536,
    "max_request_body_size": 65_536,  # nothing here reads a body
    "log_socket_errors": False,  # a client that hangs up is no event
    "ident": "crypto-predict",
}

_REFUSALS = {  # status to what Waitress says in its own jargon
    413: f"the body of a request must be shorter than {WAITRESS['max_request_body_size']} bytes",
    431: f"the headers of a request must be shorter than {WAITRESS['max_request_header_size']} bytes",
}

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
        application: What answers.
        settings: Where to listen, and with how many threads.
        draining: Set when the stop begins.
        each_second: Called about once a second from the I/O thread.

    Raises:
        CannotListen: The address is not there or is taken.
    """

    def __init__(
        self,
        application: WSGIApplication,
        settings: ServeSettings,
        draining: threading.Event,
        each_second: Callable[[], None] = lambda: None,
    ) -> None:
        self._draining = draining
        self._each_second = each_second
        self._next_second = 0.0  # of the monotonic clock
        self._signals = 0  # received so far
        self._map: dict[int, Any] = {}  # file descriptor to what Waitress does with it
        self._tasks = _listen(application, settings, self._map).task_dispatcher
        for listener in self._listeners():
            listener.channel_class = _channel_class(draining)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Every host and port that is listened at; the port as the system chose it where 0 was asked for."""
        names = [listener.getsockname() for listener in self._listeners()]
        return [(host, int(port)) for host, port in names]

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish what has begun."""
        while not self._signals:
            self._turn(1.0)
        self._drain()

    def _on_signal(self, _number: int, _frame: object) -> None:
        """Wake the loop, which does the rest: a handler may interrupt anything, so it takes no lock."""
        self._signals += 1
        for listener in self._listeners():
            listener.pull_trigger()

    def _turn(self, timeout: float) -> None:
        """One turn of the I/O loop: wait at most `timeout` seconds, read and write what is ready."""
        wasyncore.loop(timeout=timeout, map=self._map, use_poll=True, count=1)
        if time.monotonic() >= self._next_second:
            self._next_second = time.monotonic() + 1.0
            self._each_second()

    def _drain(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        self._draining.set()
        logs.event(_log, logging.INFO, "stopping", connections=len(self._channels()))
        began = time.time()  # the clock of Waitress' last_activity
        for listener in self._listeners():
            self._accept_waiting(listener)
            wasyncore.dispatcher.close(listener)  # its own close() would close the trigger that the threads pull
        self._turn(0.0)  # begins the requests that have arrived
        while self._channels() and self._signals < 2 and time.monotonic() < deadline:
            for channel in self._channels():
                if _finished(channel, began):
                    channel.handle_close()
            self._turn(0.05)
        unfinished = sum(_busy(channel) for channel in self._channels())
        self._tasks.shutdown(timeout=0 if unfinished else 5)
        logs.event(_log, logging.WARNING if unfinished else logging.INFO, "stopped", unfinished=unfinished)

    def _accept_waiting(self, listener: BaseWSGIServer) -> None:
        """Take the connections that the system has made and nobody has accepted yet: closing would reset them."""
        before = -1
        while before < len(self._channels()):
            before = len(self._channels())
            listener.handle_accept()

    def _listeners(self) -> list[BaseWSGIServer]:
        return [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]

    def _channels(self) -> list[HTTPChannel]:
        return [one for one in self._map.values() if isinstance(one, HTTPChannel)]


def _listen(application: WSGIApplication, settings: ServeSettings, dispatchers: dict[int, Any]) -> Any:
    """Waitress' server, which is one of two classes."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a busy moment is nothing to warn of
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # send_bytes is to go one day
        try:
            return create_server(
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


def _busy(channel: HTTPChannel) -> bool:
    """Whether a request is being read or worked on, or an answer is not sent yet."""
    return bool(channel.requests or channel.request is not None or channel.total_outbufs_len)


def _finished(channel: HTTPChannel, began: float) -> bool:
    """Whether nothing is left to do, and nothing has come for a while since the stop `began`."""
    return not _busy(channel) and time.time() - max(channel.last_activity, began) > QUIET_SECONDS


class ProblemTask(ErrorTask):
    """Waitress' own answer to what it refuses, as problem details like every other error."""

    def execute(self) -> None:
        """Answer, and close the connection: where the next request would begin is not known."""
        error = self.request.error  # type: ignore[attr-defined]  # the stubs take the request for its error
        detail = _REFUSALS.get(error.code) or questions.shortened(error.body)
        body = problems.Problem(error.code, detail).body()
        self.status = f"{error.code} {error.reason}"
        self.response_headers = [("Content-Type", problems.CONTENT_TYPE), *caching.COMMON]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


def _channel_class(draining: threading.Event) -> type[HTTPChannel]:
    """Connections as Waitress makes them, but for what it does not do well.

    While the server is draining, they say with their last answer that they close. Otherwise they stay open after an
    answer without a body. What Waitress refuses is a problem, and a complete request is not told to continue.
    """

    class Task(WSGITask):
        def build_response_header(self) -> bytes:
            requests = self.channel.requests
            if draining.is_set() and len(requests) == 1 and self.channel.request is None:
                # As if the client had asked for it.
                requests[0].headers["CONNECTION"] = "close"  # type: ignore[index]  # the stubs take a dict for less
            return super().build_response_header()

        def set_close_on_finish(self) -> None:
            # Waitress closes after every answer without a length; one that has no body (304) ends with its headers.
            asked = self.channel.requests[0].headers.get("CONNECTION", "").lower()
            if self.has_body or self.version == "1.0" or asked == "close":
                super().set_close_on_finish()

    class Channel(HTTPChannel):
        task_class = Task
        error_task_class = ProblemTask

        def send_continue(self) -> None:
            # Waitress would wait for the body of a request that has none, or whose body has been refused already.
            if self.request is not None and not self.request.completed:
                super().send_continue()

    return Channel
