"""Raw sockets as clients, which may send invalid bytes and stop reading."""

import contextlib
import resource
import selectors
import socket
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.support.serving import read_answer, request

Address = tuple[str, int]


def exchange(address: Address, data: bytes) -> bytes:
    """Send `data` and the end of the sending side; return all bytes until the server closes."""
    with socket.create_connection(address, timeout=30) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def read_to_end(client: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65_536):
            answer += data
    return answer


def assert_alive(address: Address) -> None:
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(request("/livez"))
        assert read_answer(client.makefile("rb"))[0] == 200


@contextlib.contextmanager
def open_connections(address: Address, count: int) -> Iterator[list[socket.socket]]:
    """Open `count` non-blocking connections; skip the test if the limit of file descriptors is too low."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < count + 200:
        pytest.skip(f"{count} connections need more file descriptors than the {most} of this machine")
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
    with selectors.DefaultSelector() as selector:
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
