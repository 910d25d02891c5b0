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
from typing import TYPE_CHECKING

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import WSGITask

from crypto_predict import logs
from crypto_predict.errors import CryptoPredictError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STOP_SECONDS = 10.0  # for the requests in flight
QUIET_SECONDS = 0.25  # after its last answer, a connection may still bring the request that crossed it on the way

_log = logging.getLogger("crypto_predict.server")

SETTINGS = {
    # Headers and body leave in one piece, sent by the I/O thread: with Waitress' default of 1 they leave in two, and
    # the threads wait for each other more than they work.
    "send_bytes": 18_000,
    "asyncore_use_poll": True,  # select() knows no file descriptor above 1023
    "connection_limit": 1_000,
    "max_request_header_size": 65_536,
    "max_request_body_size": 65_536,  # nothing here reads a body
    "log_socket_errors": False,  # a client that hangs up is no event
    "ident": "crypto-predict",
}


class CannotListen(CryptoPredictError):
    """The server cannot listen at `host` and `port`, for `reason`."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen at {host} port {port}: {reason}")
        self.host = host
        self.port = port


class Server:
    """One WSGI application behind Waitress."""

    def __init__(
        self, application: WSGIApplication, *, host: str, port: int, threads: int, draining: threading.Event
    ) -> None:
        self._map: dict[int, wasyncore.dispatcher] = {}
        self._draining = draining
        self._signals = 0  # received so far
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a busy moment is no warning
        try:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of send_bytes
                self._dispatcher = create_server(
                    application, map=self._map, host=host, port=port, threads=threads, **SETTINGS
                ).task_dispatcher
        except (OSError, ValueError) as error:
            raise CannotListen(host, port, getattr(error, "strerror", None) or str(error)) from error
        for listener in self._listeners():
            listener.channel_class = _channel_class(draining)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Every host and port that is listened at; the port as the system chose it where 0 was asked for."""
        return [(listener.effective_host, int(listener.effective_port)) for listener in self._listeners()]

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish what has begun."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
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

    def _drain(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        self._draining.set()
        logs.event(_log, logging.INFO, "stopping", connections=len(self._channels()))
        for listener in self._listeners():
            _accept_waiting(listener)
            wasyncore.dispatcher.close(listener)  # its own close() would close the trigger that the threads pull
        self._turn(0.0)  # begins the requests that have arrived
        while self._channels() and self._signals < 2 and time.monotonic() < deadline:
            for channel in self._channels():
                if _finished(channel):
                    channel.handle_close()
            self._turn(0.05)
        unfinished = len(self._channels())
        self._dispatcher.shutdown(timeout=0 if unfinished else 5)
        logs.event(_log, logging.WARNING if unfinished else logging.INFO, "stopped", unfinished=unfinished)

    def _listeners(self) -> list[BaseWSGIServer]:
        return [dispatcher for dispatcher in self._map.values() if isinstance(dispatcher, BaseWSGIServer)]

    def _channels(self) -> list[HTTPChannel]:
        return [dispatcher for dispatcher in self._map.values() if isinstance(dispatcher, HTTPChannel)]


def _accept_waiting(listener: BaseWSGIServer) -> None:
    """Take the connections that the system has made but nobody has accepted yet; closing would reset them."""
    before = -1
    while before < len(listener.active_channels):
        before = len(listener.active_channels)
        listener.handle_accept()


def _finished(channel: HTTPChannel) -> bool:
    busy = channel.requests or channel.request is not None or channel.total_outbufs_len
    return not busy and time.time() - channel.last_activity > QUIET_SECONDS


def _channel_class(draining: threading.Event) -> type[HTTPChannel]:
    """Connections that say they close, with the last answer they give while the server is draining."""

    class Task(WSGITask):
        def build_response_header(self) -> bytes:
            last = len(self.channel.requests) == 1 and self.channel.request is None
            if draining.is_set() and last:
                self.request.headers["CONNECTION"] = "close"  # as if the client had asked for it
            return super().build_response_header()

    class Channel(HTTPChannel):
        task_class = Task

    return Channel
