"""A server process: its start, its first answer, its memory."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

PATIENCE = 120  # seconds until a server that has not answered counts as broken


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
