"""Start the real server as a process, and send it requests over HTTP."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from crypto_predict.baked import store
from crypto_predict.baked.schema import Model
from crypto_predict.settings import ServeSettings

SETTINGS = ServeSettings(
    model=Path("nowhere/model.pkl"),  # a ledger in the folder of the checkout must not be found
    host="127.0.0.1",
    port=0,
    threads=4,
    stale_after=timedelta(hours=24),
    cache_for=timedelta(hours=6),
    log_level="info",
)

ROOT = Path(__file__).resolve().parents[2]
# Of the environment; a test passes everything else. The last measures coverage.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG")
START_SECONDS = 100
STOP_SECONDS = 100
ANSWER = (
    b'{"date": "Sat, 01 Jun 2024 00:00:00 GMT", "prediction": 68709.08, "prediction low": 61172.14, '
    b'"prediction_high": 77174.64}\n'
)


Value = TypeVar("Value", str, str | bytes)
NOTHING: Mapping[str, str] = {}


def surroundings(environ: Mapping[str, Value]) -> dict[str, str | Value]:
    """Return the environment of a process: `environ`, and what a test passes of its own."""
    return {**{name: os.environ[name] for name in KEPT if name in os.environ}, **environ}


class Served:
    """A running `api.py`, and its output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []  # of standard output so far
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._started.wait(START_SECONDS) or not self.events("serving"):
            process.kill()
            raise AssertionError(f"the server did not start: {self.lines} {process.communicate()[1]}")

    @property
    def url(self) -> str:
        """The address of the server: ``http://127.0.0.1:12345``."""
        return str(self.events("serving")[0]["address"])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name in the log so far."""
        return [event for event in map(json.loads, self.lines) if event["event"] == name]

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and do not wait."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until the process has ended and its output has been read. Return the exit code."""
        code = self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if '"event": "serving"' in line:
                self._started.set()
        self._started.set()


def start(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    python: str = sys.executable,
    *,
    program: Sequence[str] = (str(ROOT / "api.py"),),
    **streams: Any,
) -> subprocess.Popen[str]:
    """Start `api.py`, or another `program` of Python, with a minimal environment and `environ`.

    Its outputs are pipes, unless `streams` replaces them.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen([python, *program, *arguments], env=surroundings(environ), cwd=ROOT, text=True, **pipes)


@contextlib.contextmanager
def running(*arguments: str, environ: Mapping[str, str] = NOTHING, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start Python with these arguments, as `start` does, and kill it at the end if it still runs."""
    process = start(arguments, environ, program=(), **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def serving(
    model: Path,
    *options: str,
    python: str = sys.executable,
    program: Sequence[str] = (str(ROOT / "api.py"),),
    **environ: str,
) -> Iterator[Served]:
    """Run a server of `model` on a free port of this machine, and stop it at the end."""
    arguments = (*program, "--model", str(model), "--host", "127.0.0.1", "--port", "0", *options)
    with running(*arguments, environ=environ, python=python) as process:
        served = Served(process)
        yield served
        if process.poll() is None:
            served.signal()
            assert served.wait() == 0


@contextlib.contextmanager
def serving_model(model: Model, folder: Path, *options: str, **environ: str) -> Iterator[Served]:
    """Save a model in a folder and run a server of it, as `serving` does."""
    store.save(model, folder / "model.pkl")
    with serving(folder / "model.pkl", *options, **environ) as served:
        yield served


def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of an `api.py` that ends by itself."""
    process = start(list(arguments), environ)
    output, errors = process.communicate(timeout=START_SECONDS)
    return process.returncode, output, errors


def request(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1")


def read_answer(stream: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the next answer on a connection."""
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    length = 0 if status == HTTPStatus.NOT_MODIFIED else int(headers["content-length"])
    body = stream.read(length)
    assert len(body) == length
    return status, headers, body
