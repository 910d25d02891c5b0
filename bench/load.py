"""A small HTTP/1.1 client that keeps a server busy over persistent connections and times every answer.

It reads no more of an answer than status and length, so that the server and not the client is what is measured.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
_DEADLINE = 600  # seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What one round of requests took."""

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


@dataclass(slots=True)
class _Round:
    """What the connections of one round share."""

    requests: Iterator[bytes]
    latencies: list[float] = field(default_factory=list)


def drive(port: int, paths: Sequence[str], clients: int) -> Load:
    """Ask for every path once, from so many clients, each sending its next request when it has its answer.

    Raises:
        RuntimeError: An answer was not 200: then nothing was measured.
    """
    return asyncio.run(asyncio.wait_for(_drive(port, paths, clients), _DEADLINE))


async def _drive(port: int, paths: Sequence[str], clients: int) -> Load:
    shared = _Round(iter([f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]))
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(clients):
        _, connection = await loop.create_connection(lambda: _Connection(shared, loop), "127.0.0.1", port)
        connections.append(connection)
    started = time.perf_counter()
    for connection in connections:
        connection.send_next()
    await asyncio.gather(*(connection.done for connection in connections))
    return Load(time.perf_counter() - started, shared.latencies)


class _Connection(asyncio.Protocol):
    """One client: a request, its whole answer, the next request."""

    def __init__(self, shared: _Round, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._shared = shared
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # what create_connection makes
        self._transport = transport

    def send_next(self) -> None:
        """Send the next request that no other client has taken; end where there is none."""
        request = next(self._shared.requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take note of the time once an answer is whole."""
        self._received += data
        if not _is_whole(self._received):
            return
        self._shared.latencies.append(time.perf_counter() - self._sent_at)
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


def _is_whole(received: bytes) -> bool:
    """Whether head and body have arrived."""
    head_end = received.find(_END_OF_HEAD)
    if head_end < 0:
        return False
    length = _LENGTH.search(received, 0, head_end)
    return length is not None and len(received) >= head_end + len(_END_OF_HEAD) + int(length[1])
