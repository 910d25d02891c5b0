"""A reader of standard output that stops reading, with the real process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from api import LOG_SECONDS
from crypto_predict.baked import store
from crypto_predict.http_server.server import STOP_SECONDS
from crypto_predict.logs import Lines
from tests.support.models import BTC, make_model
from tests.support.serving import ANSWER, ROOT, read_answer, request, start

QUESTION = request("/bitcoin?date=2024-06-01")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A valid model file."""
    path = tmp_path / "model.pkl"
    store.save(make_model(BTC), path)
    return path


@pytest.fixture(scope="module", autouse=True)
def after_one_signal() -> Iterator[Future[float]]:
    """The seconds of a stop that waits for its deadline, ten seconds, while the other tests run."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(seconds_to_stop, 1)


@pytest.mark.parametrize("both", [False, True], ids=["standard output", "the two outputs in one pipe"])
def test_a_log_that_is_not_read_loses_lines_and_nothing_else(model: Path, both: bool) -> None:
    """The server continues, counts the lines it has dropped, stops in time, and leaves whole lines."""
    process = start(["--model", str(model), "--host", "127.0.0.1", "--port", "0"], {}, merged=both)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        address = json.loads(first)["address"].removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=30) as client:
            stream = client.makefile("rb")
            asked = 0
            while dropped_lines(client) == 0:
                for _ in range(20):
                    client.sendall(QUESTION * 50)
                    assert [read_answer(stream)[2] for _ in range(50)] == [ANSWER] * 50
                    asked += 50
                assert asked < 100 * Lines.MOST_BYTES / 100
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began < LOG_SECONDS
        lines = process.stdout.read()
    finally:
        process.kill()
        process.communicate()
    assert lines.endswith("\n")
    assert all("event" in json.loads(line) for line in lines.splitlines())


def dropped_lines(client: socket.socket) -> float:
    """Return the number of dropped lines in the metrics."""
    client.sendall(request("/metrics"))
    metrics = read_answer(client.makefile("rb"))[2].decode()
    match = re.search(r"^crypto_predict_log_lines_dropped_total (\S+)$", metrics, re.MULTILINE)
    assert match is not None
    return float(match[1])


def test_a_second_signal_does_not_wait_for_a_slow_reader(model: Path) -> None:
    """A slow reader makes progress, so a stop would otherwise wait for it until the deadline of the log."""
    process = start(["--model", str(model), "--host", "127.0.0.1", "--port", "0"], {})
    try:
        assert process.stdout is not None
        host, port = json.loads(process.stdout.readline())["address"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            stream = client.makefile("rb")
            for _ in range(40):
                client.sendall(QUESTION * 50)
                assert [read_answer(stream)[0] for _ in range(50)] == [200] * 50
        reader = threading.Thread(target=read_slowly, args=(process,))
        reader.start()
        process.send_signal(signal.SIGTERM)
        time.sleep(1)  # by then only the log is left
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began < LOG_SECONDS - 2  # of the deadline, 1 s had passed before the second signal
        reader.join()
    finally:
        process.kill()
        process.communicate()


def read_slowly(process: subprocess.Popen[str]) -> None:
    """Read while the process runs, so slowly that the waiting lines would take longer than any stop."""
    assert process.stdout is not None
    while process.poll() is None:
        os.read(process.stdout.fileno(), 4096)
        time.sleep(0.1)


HANGING = """
import threading
from crypto_predict.http_server.connections import Site
from crypto_predict.http_server.server import Server, listen

def application(environ, start_response):
    forever.acquire()

forever = threading.Semaphore(0)
server = Server(Site(application), listen("127.0.0.1", 0), 4, threading.Event())
print(server.addresses[0][1], flush=True)
server.run()
"""


def seconds_to_stop(signals: int) -> float:
    """Send signals to a server with a worker thread that hangs; return how long it takes to end with 0."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(request("/"))
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.recv(1)
            began = time.monotonic()
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
            assert process.wait(30) == 0
        return time.monotonic() - began
    finally:
        process.kill()
        process.communicate()


def test_a_stop_waits_for_a_worker_thread_that_hangs_until_its_deadline(after_one_signal: Future[float]) -> None:
    assert STOP_SECONDS <= after_one_signal.result() < 2 * STOP_SECONDS


def test_a_stop_does_not_wait_for_a_worker_thread_that_hangs_after_a_second_signal() -> None:
    assert seconds_to_stop(2) < STOP_SECONDS - 2
