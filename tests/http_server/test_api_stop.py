"""Stops of the real `api.py`: requests that have begun are finished, and no new ones are taken."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import requests

from crypto_predict.baked import store
from crypto_predict.http_server.pool import QUIET_SECONDS
from crypto_predict.http_server.server import STOP_SECONDS
from crypto_predict.web.operations import startup
from crypto_predict.web.page.releases import UNAVAILABLE
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import ANSWER, ROOT, Served, read_answer, request, serving


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid model file."""
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    store.save(make_model(BTC, ETH), path)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_0(model: Path, number: int) -> None:
    """An idle connection that is kept alive does not delay the stop."""
    with serving(model) as served, requests.Session() as session:
        session.get(f"{served.url}/livez", timeout=30)
        served.signal(number)
        assert served.wait() == 0
    assert served.events("stopping")[0]["connections"] == 1
    assert served.events("stopped")[0]["unfinished"] == 0
    assert stop_seconds(served) < STOP_SECONDS


def stop_seconds(served: Served) -> float:
    """Return how long the stop took, by the log."""
    began, ended = (datetime.fromisoformat(served.events(name)[0]["time"]) for name in ("stopping", "stopped"))
    return (ended - began).total_seconds()


def test_a_stop_waits_a_moment_for_requests_on_idle_connections(model: Path) -> None:
    """A request may be on its way when the signal arrives, however long the connection was idle."""
    with serving(model) as served, requests.Session() as session:
        session.get(f"{served.url}/livez", timeout=30)
        time.sleep(2 * QUIET_SECONDS)  # being idle is what is tested
        served.signal()
        assert served.wait() == 0
    assert stop_seconds(served) >= QUIET_SECONDS - 0.001  # a slow machine only takes longer; the log rounds
    assert stop_seconds(served) < STOP_SECONDS


def test_requests_that_have_begun_are_finished(model: Path) -> None:
    """Half a request has arrived on each of two connections: both are answered, and new connections are refused."""
    with serving(model) as served:
        halves = [request("/bitcoin?date=2024-06-01", "X-Long: " + "y" * 100), request("/readyz")]
        connections = [socket.create_connection(served.address, timeout=30) for _ in halves]
        streams = [connection.makefile("rb") for connection in connections]
        for connection, stream, half in zip(connections, streams, halves, strict=True):
            connection.sendall(request("/livez") + half[:30])
            assert read_answer(stream)[0] == 200  # so the half that follows it has arrived too
        served.signal()
        wait_until_refused(served)
        for connection, half in zip(connections, halves, strict=True):
            connection.sendall(half[30:])
        price, readiness = (read_answer(stream) for stream in streams)
        assert served.wait() == 0
    assert price[0] == 200
    assert price[2] == ANSWER
    assert price[1]["connection"] == "close"  # the client must not send a further request
    assert readiness[0] == 503
    assert served.events("stopped")[0]["unfinished"] == 0


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


def test_requests_on_connections_that_are_not_accepted_yet_are_answered(model: Path) -> None:
    """The kernel accepts connections in advance, here while the process is suspended."""
    with serving(model) as served:
        served.signal(signal.SIGSTOP)
        connections = [socket.create_connection(served.address, timeout=30) for _ in range(5)]
        for connection in connections:
            connection.sendall(request("/bitcoin?date=2024-06-01"))
        served.signal(signal.SIGTERM)
        served.signal(signal.SIGCONT)
        answers = [read_answer(connection.makefile("rb")) for connection in connections]
        assert served.wait() == 0
    assert [body for _, _, body in answers] == [ANSWER] * 5


def test_pipelined_requests_are_all_answered(model: Path) -> None:
    """They have arrived on one connection when the signal arrives."""
    with serving(model, "--threads", "1") as served:
        with socket.create_connection(served.address, timeout=30) as connection:
            stream = connection.makefile("rb")
            connection.sendall(request("/livez") + request("/bitcoin?date=2024-06-01") * 50)
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
    assert {json.loads(line)["event"] for line in served.lines} <= {
        "serving",
        startup.STALE,
        "the page has no scripts",
        UNAVAILABLE,
        "request",
        "stopping",
        "stopped",
    }  # Waitress does not log its queue


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
                assert status == 200
                assert len(json.loads(body)) == 868
                answered += 1
                if answered == 5:
                    begun.wait(timeout=30)
                if headers.get("connection") == "close":
                    break


def test_a_second_signal_ends_the_wait(model: Path) -> None:
    """A request that is never completed would delay the stop until its deadline."""
    with serving(model) as served, socket.create_connection(served.address, timeout=30) as connection:
        stream = connection.makefile("rb")
        connection.sendall(request("/livez") + request("/livez")[:20])
        assert read_answer(stream)[0] == 200
        served.signal()
        wait_until_refused(served)
        served.signal()
        assert served.wait() == 0
    assert served.events("stopped")[0]["unfinished"] == 1
    assert stop_seconds(served) < STOP_SECONDS


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
"""


def test_clients_that_keep_connecting_do_not_delay_the_stop(model: Path) -> None:
    """They connect faster than the server accepts; it accepts one backlog after the signal and no more."""
    with serving(model) as served:
        host, port = served.address
        floods = [subprocess.Popen([sys.executable, "-c", FLOOD, host, str(port)]) for _ in range(3)]
        try:
            time.sleep(0.7)
            assert [flood.poll() for flood in floods] == [None] * 3
            served.signal()
            assert served.wait() == 0
        finally:
            for flood in floods:
                flood.kill()
                flood.wait()
    assert stop_seconds(served) < STOP_SECONDS


def test_as_process_1_it_stops_at_sigterm(model: Path) -> None:
    """The kernel applies no default action of SIGTERM to process 1 of a container: only a handler makes it stop."""
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        sys.executable,
        str(ROOT / "api.py"),
        "--model",
        str(model),
    ]
    try:
        subprocess.run([*command[:4], "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not allow a new PID namespace")
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        served = Served(process)
        (child,) = psutil.Process(process.pid).children()
        child.send_signal(signal.SIGTERM)
        assert served.wait() == 0
    finally:
        process.kill()
        process.communicate()
    assert served.events("stopped")[0]["unfinished"] == 0
