"""Raw sockets as clients, which may send invalid bytes and stop reading."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import pytest

from tests.support.serving import read_answer, request

Address = tuple[str, int]


def exchange(address: Address, data: bytes, *, ends: bool = True) -> bytes:
    """Send `data` and return all bytes until the server closes; `ends` shuts the sending side down after `data`."""
    with socket.create_connection(address, timeout=30) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            if ends:
                client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def read_to_end(client: socket.socket) -> bytes:
    """Return all bytes until the server closes or resets the connection."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65_536):
            answer += data
    return answer


def seconds_until_alive(address: Address) -> float:
    """Return how many seconds a new client waits for /livez."""
    began = time.perf_counter()
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(request("/livez"))
        assert read_answer(client.makefile("rb"))[0] == 200
    return time.perf_counter() - began


class Prober:
    """A context in which a new client asks for /livez every few milliseconds."""

    def __init__(self, address: Address) -> None:
        self.waits: list[float] = []  # seconds, in order
        self._address = address
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.02):
            self.waits.append(seconds_until_alive(self._address))


@contextlib.contextmanager
def open_connections(address: Address, count: int) -> Iterator[list[socket.socket]]:
    """Open `count` non-blocking connections; skip the test if the limit of file descriptors is too low."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < count + 200:
        pytest.skip(f"{count} connections need more file descriptors than the {most} of this machine")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, most))
    clients: list[socket.socket] = []
    try:
        for _ in range(count):
            client = socket.create_connection(address, timeout=30)
            client.setblocking(False)
            clients.append(client)
        yield clients
    finally:
        for client in clients:
            client.close()


def push(clients: Sequence[socket.socket], data: bytes, seconds: float) -> Iterator[None]:
    """Send `data` repeatedly on all connections for `seconds`; yield at least every 0.05 s."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client, selectors.EVENT_WRITE, client)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for key, _ in selector.select(0.05):
            taker: socket.socket = key.data
            try:
                taker.send(data)
            except BlockingIOError:
                continue
            except OSError:
                selector.unregister(taker)
        yield
    selector.close()
