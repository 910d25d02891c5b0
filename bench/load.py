"""A server process: its start, its first answer, its memory, and its answers under load."""

import asyncio
import http.client
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

PATIENCE = 120  # seconds until a server that has not answered counts as broken
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_DEADLINE = 600  # seconds


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process."""

    process: subprocess.Popen[bytes]
    port: int
    cold_start: float  # seconds from starting the process to its first 200

    def resident_memory(self) -> int:
        """Return the bytes of physical memory that the process holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextmanager
def running(command: Sequence[str], first_path: str) -> Iterator[Server]:
    """Run ``python COMMAND... --port PORT`` for as long as the context lasts, from its first 200 at `first_path` on.

    Raises:
        RuntimeError: The server ended, or did not answer in time.
    """
    port = free_port()
    started = time.perf_counter()
    arguments = [sys.executable, *command, "--port", str(port)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_answer(port, first_path, lambda: process.poll() is None)
        yield Server(process, port, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def await_answer(port: int, path: str, is_alive: Callable[[], bool] = lambda: True) -> None:
    """Wait for the first 200.

    Raises:
        RuntimeError: The server is not alive, or did not answer in time.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and is_alive():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == http.client.OK:
                return
        except (OSError, http.client.HTTPException):
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(0.005)
    raise RuntimeError(f"no 200 at {path}")


@dataclass(frozen=True, slots=True)
class Load:
    """The times of one round of requests."""

    seconds: float
    latencies: Sequence[float]  # seconds, one a request

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    @property
    def median_latency(self) -> float:
        """Seconds."""
        return statistics.median(self.latencies)


def drive(port: int, paths: Sequence[str], clients: int, *headers: str) -> Load:
    """Request every path once over `clients` persistent connections, each with one request at a time.

    `headers` are lines in addition to those of every request: ``Accept-Encoding: gzip``.

    Raises:
        RuntimeError: An answer was not 200: then nothing was measured.
    """
    return asyncio.run(asyncio.wait_for(_drive(port, paths, clients, headers), _DEADLINE))


async def _drive(port: int, paths: Sequence[str], clients: int, headers: Sequence[str]) -> Load:
    lines = "".join(f"{header}\r\n" for header in ("Host: 127.0.0.1", *headers))
    requests = iter([f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode() for path in paths])
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(clients):
        made = await loop.create_connection(
            lambda: _Connection(requests, latencies, loop.create_future()), "127.0.0.1", port
        )
        connections.append(made[1])
    started = time.perf_counter()
    for connection in connections:
        connection.send_next()
    await asyncio.gather(*(connection.finished for connection in connections))
    return Load(time.perf_counter() - started, latencies)


class _Connection(asyncio.Protocol):
    """Send each request that no other connection has taken. Read only status and length: the server is measured.

    A protocol, since a stream of asyncio would add 0.12 ms to every answer of both sides.
    """

    def __init__(self, requests: Iterator[bytes], latencies: list[float], finished: asyncio.Future[None]) -> None:
        self.finished = finished
        self._requests, self._latencies = requests, latencies
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # of `create_connection`
        self._transport = transport

    def send_next(self) -> None:
        """Send the next request; finish without one."""
        request = next(self._requests, None)
        if request is None:
            self.finished.set_result(None)
            self._transport.close()
        else:
            self._sent_at = time.perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Record the time once an answer is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            self._fail(f"answer was {head[:200]!r}")
        elif len(body) >= int(length[1]):
            self._latencies.append(time.perf_counter() - self._sent_at)
            self._received = b""
            self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"connection lost: {error}")

    def _fail(self, reason: str) -> None:
        if not self.finished.done():
            self.finished.set_exception(RuntimeError(reason))
