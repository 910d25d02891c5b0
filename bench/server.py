"""Starting a server process, waiting for its first answer, asking for its memory."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

_PATIENCE = 60  # seconds until a server that has not answered counts as broken


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process."""

    process: subprocess.Popen[bytes]
    port: int
    cold_start: float  # seconds from starting the process to its first 200

    def resident_memory(self) -> int:
        """Bytes of physical memory the process holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextmanager
def running(command: Sequence[str], first_path: str) -> Iterator[Server]:
    """Run ``python COMMAND... --port PORT`` for as long as the context lasts, from its first 200 at `first_path` on.

    Raises:
        RuntimeError: The server ended, or did not answer in a minute.
    """
    port = _free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_answer(process, port, first_path)
        yield Server(process, port, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE)


def _await_answer(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port, path):
            return
        time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} gave no 200 at {path}")


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
