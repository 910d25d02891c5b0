"""A small HTTP/1.1 client that keeps a server busy over persistent connections and times every answer.

It reads only status and length of an answer, so that the server and not the client is measured.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
_DEADLINE = 600  # seconds


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


def drive(port: int, paths: Sequence[str], clients: int) -> Load:
    """Request every path once, from `clients` connections, each sending its next request when it has its answer.

    Raises:
        RuntimeError: An answer was not 200: then nothing was measured.
    """
    return asyncio.run(asyncio.wait_for(_drive(port, paths, clients), _DEADLINE))


async def _drive(port: int, paths: Sequence[str], clients: int) -> Load:
    requests = iter([f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths])
    loop, latencies = asyncio.get_running_loop(), list[float]()
    connections = []
    for _ in range(clients):
        _, connection = await loop.create_connection(lambda: _Connection(requests, latencies), "127.0.0.1", port)
        connections.append(connection)
    started = time.perf_counter()
    for connection in connections:
        connection.send_next()
    await asyncio.gather(*(connection.done for connection in connections))
    return Load(time.perf_counter() - started, latencies)


class _Connection(asyncio.Protocol):
    """One client: a request, its whole answer, the next request."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._requests, self._latencies = requests, latencies
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # as create_connection makes it
        self._transport = transport

    def send_next(self) -> None:
        """Send the next request that no other client has taken; or close the connection."""
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Record the time once an answer is complete."""
        self._received += data
        end = self._received.find(_END_OF_HEAD)
        length = _LENGTH.search(self._received, 0, end) if end >= 0 else None
        if length is None or len(self._received) < end + len(_END_OF_HEAD) + int(length[1]):
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        if not self._received.startswith(b"HTTP/1.1 200 "):
            self._fail(f"answer was {self._received[:200]!r}")
            return
        self._received = b""
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"connection lost: {error}")

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))
