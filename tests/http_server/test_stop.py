"""Stops: requests that have begun are finished, no new ones are taken, and a log that is not read delays nothing.

`api.py` has limits of seconds. The tests of what must not delay a stop use a server with limits of minutes.
"""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from io import BufferedReader
from pathlib import Path

import pytest
import requests

from crypto_predict.baked import store
from crypto_predict.http_server.connections import Limits
from crypto_predict.logs import Lines
from crypto_predict.web.operations import startup
from crypto_predict.web.page.releases import UNAVAILABLE
from tests.support.models import BTC, ETH, make_model
from tests.support.plain_server import PATIENT, plain_server
from tests.support.serving import ANSWER, Served, read_answer, request, serving, start

QUESTION = request("/bitcoin?date=2024-06-01")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid model file."""
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    store.save(make_model(BTC, ETH), path)
    return path


@contextlib.contextmanager
def connected(served: Served) -> Iterator[tuple[socket.socket, BufferedReader]]:
    """A client, and the stream of its answers."""
    with socket.create_connection(served.address, timeout=30) as client:
        yield client, client.makefile("rb")


def wait_until_refused(served: Served) -> None:
    """Connect until the server refuses."""
    while True:
        try:
            socket.create_connection(served.address, timeout=30).close()
            time.sleep(0.01)  # a flood of connections would take the place of those that the test watches
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue


def stop_seconds(served: Served) -> float:
    """Return how long the stop took, by the log."""
    began, ended = (datetime.fromisoformat(served.events(name)[0]["time"]) for name in ("stopping", "stopped"))
    return (ended - began).total_seconds()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_0(number: int) -> None:
    """An idle connection does not delay the stop, except for a moment: a request may be on its way."""
    with plain_server(replace(PATIENT, quiet=0.5)) as served, requests.Session() as session:
        session.get(f"{served.url}/livez", timeout=30)
        served.signal(number)
        assert served.wait() == 0
    assert served.events("stopping")[0]["connections"] == 1
    assert served.events("stopped")[0]["unfinished"] == 0
    assert stop_seconds(served) >= 0.499  # a slow machine only takes longer; the log rounds


def test_requests_that_have_begun_are_finished(model: Path) -> None:
    """Half a request has arrived on each of two connections: both are answered, and new connections are refused."""
    with serving(model) as served, connected(served) as first, connected(served) as second:
        halves = [request("/bitcoin?date=2024-06-01", "X-Long: " + "y" * 100), request("/readyz")]
        for (client, stream), half in zip((first, second), halves, strict=True):
            client.sendall(request("/livez") + half[:30])
            assert read_answer(stream)[0] == 200  # so the half that follows it has arrived too
        served.signal()
        wait_until_refused(served)
        for (client, _), half in zip((first, second), halves, strict=True):
            client.sendall(half[30:])
        price, readiness = (read_answer(stream) for _, stream in (first, second))
        assert served.wait() == 0
    assert (price[0], price[2]) == (200, ANSWER)
    assert price[1]["connection"] == "close"  # the client must not send a further request
    assert readiness[0] == 503
    assert served.events("stopped")[0]["unfinished"] == 0


def test_requests_on_connections_that_are_not_accepted_yet_are_answered(model: Path) -> None:
    """The kernel accepts connections in advance, here while the process is suspended."""
    with serving(model) as served:
        served.signal(signal.SIGSTOP)
        connections = [socket.create_connection(served.address, timeout=30) for _ in range(5)]
        for connection in connections:
            connection.sendall(QUESTION)
        served.signal(signal.SIGTERM)
        served.signal(signal.SIGCONT)
        answers = [read_answer(connection.makefile("rb")) for connection in connections]
        assert served.wait() == 0
    assert [body for _, _, body in answers] == [ANSWER] * 5


def test_pipelined_requests_are_all_answered(model: Path) -> None:
    """They have arrived on one connection when the signal arrives."""
    with serving(model, "--threads", "1") as served:
        with connected(served) as (client, stream):
            client.sendall(request("/livez") + QUESTION * 50)
            assert read_answer(stream)[0] == 200
            served.signal()
            bodies = [read_answer(stream)[2] for _ in range(50)]
        assert served.wait() == 0
    assert bodies == [ANSWER] * 50
    assert served.events("stopped")[0]["unfinished"] == 0


def test_no_answer_is_cut_short_by_a_stop_under_load(model: Path) -> None:
    """Clients that keep sending requests receive whole answers until the server closes or refuses connections."""
    with serving(model, "--threads", "2") as served, ThreadPoolExecutor(8) as pool:
        begun = threading.Barrier(9)
        counts = [pool.submit(request_until_refused, served.address, begun) for _ in range(8)]
        begun.wait(timeout=30)
        served.signal()
        assert served.wait() == 0
        answered = [count.result(timeout=30) for count in counts]
    assert all(count > 0 for count in answered)
    assert served.events("stopped")[0]["unfinished"] == 0
    assert len(served.events("request")) == sum(answered)
    logged = {"serving", startup.STALE, "the page has no scripts", UNAVAILABLE, "request", "stopping", "stopped"}
    assert {json.loads(line)["event"] for line in served.lines} <= logged  # Waitress does not log its queue


def request_until_refused(address: tuple[str, int], begun: threading.Barrier) -> int:
    """Send requests over persistent connections until one is refused. Return the number of answers, all whole."""
    answered = 0
    while True:
        try:
            connection = socket.create_connection(address, timeout=30)
        except OSError:
            return answered
        with connection:
            stream = connection.makefile("rb")
            while True:
                try:
                    connection.sendall(request("/forecast/BTC-USD?start=2023-01-01&end=2025-05-17"))
                    if stream.peek(1) == b"":  # closed between two requests: HTTP allows that
                        break
                except (BrokenPipeError, ConnectionResetError):
                    break
                status, headers, body = read_answer(stream)
                assert (status, len(json.loads(body))) == (200, 868)
                answered += 1
                if answered == 5:
                    begun.wait(timeout=30)
                if headers.get("connection") == "close":
                    break


def test_a_second_signal_ends_the_wait() -> None:
    """A request that is never completed, or whose worker thread hangs, would delay the stop until its deadline."""
    with plain_server(PATIENT) as served, connected(served) as (client, stream), connected(served) as (other, _):
        client.sendall(request("/livez") + request("/livez")[:20])
        other.sendall(request("/hang"))
        assert read_answer(stream)[0] == 200
        served.signal()
        wait_until_refused(served)
        assert served.process.poll() is None
        served.signal()
        assert served.wait() == 0
    assert served.events("stopped")[0]["unfinished"] == 2


def test_a_stop_waits_for_a_worker_thread_that_hangs_until_its_deadline() -> None:
    with plain_server(Limits(stop=1.0)) as served, connected(served) as (client, _):
        client.sendall(request("/hang"))
        served.signal()
        assert served.wait() == 0
    assert served.events("stopped")[0]["unfinished"] == 1
    assert stop_seconds(served) >= 0.999  # a slow machine only takes longer; the log rounds


FLOOD = """
import socket, struct, sys
reset = struct.pack("ii", 1, 0)
clients = []
while True:
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex((sys.argv[1], int(sys.argv[2])))
    clients.append(client)
    if len(clients) > 200:
        with clients.pop(0) as oldest:
            oldest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            print(flush=True)
"""


def test_clients_that_keep_connecting_do_not_delay_the_stop() -> None:
    """They connect faster than the server accepts; it accepts one backlog after the signal and no more."""
    with plain_server(PATIENT) as served:
        command = [sys.executable, "-c", FLOOD, *map(str, served.address)]
        floods = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
        try:
            for flood in floods:
                assert flood.stdout is not None
                for _ in range(500):
                    assert flood.stdout.readline() == b"\n"
            served.signal()
            assert served.wait() == 0
        finally:
            for flood in floods:
                flood.kill()
                flood.communicate()


@pytest.mark.parametrize("both", [False, True], ids=["standard output", "the two outputs in one pipe"])
def test_a_log_that_is_not_read_loses_lines_and_nothing_else(model: Path, both: bool) -> None:
    """The server continues, counts the lines it has dropped, stops all the same, and leaves whole lines."""
    process = start(
        ["--model", str(model), "--host", "127.0.0.1", "--port", "0"],
        {},
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"].removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=30) as client:
            stream, answered = client.makefile("rb"), 0
            while dropped_lines(client) == 0:
                for _ in range(20):
                    client.sendall(QUESTION * 50)
                    assert [read_answer(stream)[2] for _ in range(50)] == [ANSWER] * 50
                    answered += 50
                assert answered < Lines.MOST_BYTES
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
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
