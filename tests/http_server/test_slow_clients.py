"""Clients of the real process that send or read slowly, or not at all: they are dropped, and others are served."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from crypto_predict.baked import store
from crypto_predict.http_server.request_head import HEAD_BYTES
from crypto_predict.http_server.server import MOST_CONNECTIONS
from crypto_predict.web.documentation import swagger
from tests.support.clients import Address, Prober, open_connections, push, read_to_end
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import ANSWER, read_answer, request, serving

SCRIPT = "/docs/swagger-ui-bundle.js"
RANGE = "/forecast/BTC-USD?start=2023-01-01&end=2025-05-17"
ALLOWED = 10  # seconds, both for a request and without progress of an answer
PATIENCE = 4  # seconds of tolerance for a slow machine
WITHIN = ALLOWED + PATIENCE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid model file."""
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    store.save(make_model(BTC, ETH), path)
    return path


class ClientRun:
    """One client's run: how long until its connection was closed, and the answer until then."""

    def __init__(self, client: socket.socket, address: Address, behave: Callable[[socket.socket], None]) -> None:
        client.settimeout(30)
        client.connect(address)
        began = time.monotonic()
        behave(client)
        client.settimeout(WITHIN + 10)
        try:
            self.answer = read_to_end(client)
        except TimeoutError:  # still connected
            self.answer = b""
        self.seconds = time.monotonic() - began


def drip(first: bytes, data: bytes) -> Callable[[socket.socket], None]:
    """Send something, then something else every half second, until it is refused."""

    def behave(client: socket.socket) -> None:
        client.sendall(first)
        client.settimeout(0.5)
        for _ in range(int(2 * WITHIN)):
            try:
                client.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                client.sendall(data)
            except OSError:
                return
            else:
                return

    return behave


def pipeline(client: socket.socket) -> None:
    """Send requests for a large file repeatedly, and read nothing until the server closes the connection."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(0.5)
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        try:
            client.send(request(SCRIPT) * 10)
        except TimeoutError:
            continue
        except OSError:
            return


def read_slowly(client: socket.socket) -> None:
    """Read a large answer in small pieces, for longer than the time limit without progress."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.sendall(request(SCRIPT, "Connection: close"))
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        pieces.append(client.recv(30_000))
        time.sleep(0.5)


def request_twice(client: socket.socket) -> None:
    """Send a request, read the answer, wait, and send another one."""
    stream = client.makefile("rb")
    for wait in (WITHIN, 0):
        client.sendall(request("/livez"))
        again.append(read_answer(stream)[0])
        time.sleep(wait)
    client.shutdown(socket.SHUT_WR)


pieces: list[bytes] = []  # of the answer that is read slowly
again: list[int] = []  # statuses of the client that asked twice

BEHAVIOURS: dict[str, Callable[[socket.socket], None]] = {
    "silent": lambda _client: None,
    "empty lines": drip(b"", b"\r\n"),
    "head": drip(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ", b"a"),
    "body": drip(b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b"a"),
    "chunks": drip(b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    **{f"pipeline {number}": pipeline for number in range(8)},
    "slow reader": read_slowly,
    "two requests": request_twice,
}


@pytest.fixture(scope="module")
def runs(model: Path) -> Iterator[tuple[dict[str, ClientRun], list[float]]]:
    """Run all of these clients at once against a server of two threads; also measure how long other clients wait."""
    with serving(model, "--threads", "2") as served, ThreadPoolExecutor(len(BEHAVIOURS)) as threads:
        with Prober(served.address) as prober:
            futures: dict[str, Future[ClientRun]] = {
                name: threads.submit(ClientRun, socket.socket(), served.address, behave)
                for name, behave in BEHAVIOURS.items()
            }
            result = {name: future.result() for name, future in futures.items()}
        yield result, prober.waits


def test_other_clients_are_served_throughout(runs: tuple[dict[str, ClientRun], list[float]]) -> None:
    """The server has two threads, and eight of the clients would block one each."""
    _, waits = runs
    assert len(waits) > 10
    assert max(waits) < 5  # a thread that a client blocks is free after 10 s


@pytest.mark.parametrize("name", [f"pipeline {number}" for number in range(8)])
def test_a_client_that_takes_no_byte_of_an_answer_is_dropped(
    runs: tuple[dict[str, ClientRun], list[float]], name: str
) -> None:
    assert ALLOWED - 1 < runs[0][name].seconds < WITHIN + PATIENCE


@pytest.mark.parametrize("name", ["head", "body", "chunks"])
def test_the_time_limit_of_a_request_counts_from_its_first_byte(
    runs: tuple[dict[str, ClientRun], list[float]], name: str
) -> None:
    """Single bytes do not prolong it, and the answer names the reason."""
    run = runs[0][name]
    assert run.answer.startswith(b"HTTP/1.1 408 ")
    assert ALLOWED - 1 < run.seconds < WITHIN + PATIENCE


@pytest.mark.parametrize("name", ["silent", "empty lines"])
def test_a_connection_without_a_request_is_closed(runs: tuple[dict[str, ClientRun], list[float]], name: str) -> None:
    run = runs[0][name]
    assert run.answer == b""
    assert ALLOWED - 1 < run.seconds < WITHIN + PATIENCE


def longest_wait(address: Address) -> float:
    """Return the longest of the seconds that six clients or more wait, one after the other."""
    with Prober(address) as prober:
        deadline = time.monotonic() + 60
        while len(prober.waits) < 6 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert len(prober.waits) > 5
    return max(prober.waits)


def test_a_slow_reader_gets_the_whole_answer(runs: tuple[dict[str, ClientRun], list[float]]) -> None:
    """A slow network still makes progress."""
    answer = b"".join(pieces) + runs[0]["slow reader"].answer
    assert answer.partition(b"\r\n\r\n")[2] == swagger.read("swagger-ui-bundle.js")


def test_an_idle_connection_stays_open_after_an_answer(runs: tuple[dict[str, ClientRun], list[float]]) -> None:
    """A browser keeps its connection while a person reads."""
    assert runs[0]["two requests"].seconds > WITHIN
    assert again == [200, 200]


@pytest.mark.parametrize(
    "data",
    [
        b"GET /livez HTTP/1.1\r\nX: ",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        request("/livez"),
        b"",
    ],
    ids=["heads", "bodies", "idle", "silent"],
)
def test_new_clients_are_served_beyond_the_maximum_of_connections(model: Path, data: bytes) -> None:
    """The connection that has waited longest without a request is closed for the next one."""
    with serving(model) as served, open_connections(served.address, MOST_CONNECTIONS + 100) as clients:
        for client in clients:
            if data:
                client.send(data)
        assert longest_wait(served.address) < 5  # a time limit of the server would free a connection after 10 s


def test_new_clients_are_served_although_dropped_ones_reconnect_at_once(model: Path) -> None:
    """A client that reconnects must not displace all others."""
    with serving(model) as served, open_connections(served.address, MOST_CONNECTIONS + 100) as clients:
        stopped = threading.Event()

        def reconnect() -> None:
            while not stopped.is_set():
                for index, client in enumerate(clients):
                    try:
                        if client.recv(1):
                            continue
                    except BlockingIOError:
                        continue
                    except OSError:
                        pass
                    client.close()
                    clients[index] = socket.create_connection(served.address, timeout=30)
                    clients[index].setblocking(False)

        attacker = threading.Thread(target=reconnect)
        attacker.start()
        try:
            assert longest_wait(served.address) < 5
        finally:
            stopped.set()
            attacker.join()


MEGABYTES = 64
GREEDY = {
    "the largest file": request(SCRIPT) * 100,
    "a whole range": request(RANGE) * 100,
    "every metric": request("/metrics") * 100,
    "long heads": request(RANGE, *[f"x-{number}: {'y' * 150}" for number in range(95)]),
    "heads that do not end": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (HEAD_BYTES - 100),
    "bodies": b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 65000\r\n\r\n" + b"y" * 65_000,
}


@pytest.mark.parametrize("data", GREEDY.values(), ids=GREEDY)
def test_a_thousand_connections_take_64_mb_at_most(model: Path, data: bytes) -> None:
    """They do not read their answers. A container over its memory limit is killed."""
    with serving(model) as served, open_connections(served.address, MOST_CONNECTIONS) as clients:
        for path in (SCRIPT, RANGE, "/metrics"):
            requests.get(f"{served.url}{path}", timeout=30)
        process = psutil.Process(served.process.pid)
        before = most = process.memory_info().rss
        for _ in push(clients, data, 1):
            most = max(most, process.memory_info().rss)
        assert most - before < MEGABYTES * 2**20
        assert requests.get(f"{served.url}/bitcoin?date=2024-06-01", timeout=60).content == ANSWER
