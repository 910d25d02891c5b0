"""Clients that send or read slowly, or not at all: others are served meanwhile, and they are dropped in the end."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from crypto_predict.http_server.connections import Limits
from crypto_predict.http_server.parser import HEAD_BYTES
from tests.support.clients import assert_alive, open_connections, push, read_to_end
from tests.support.models import BTC, ETH, make_model
from tests.support.plain_server import LARGE, PATIENT, plain_server
from tests.support.serving import ANSWER, read_answer, request, serving_model

STRICT = 2.0  # seconds, the limits of the server that drops slow clients
FEW = 40  # connections of the server that is full
POST = b"POST /livez HTTP/1.1\r\nHost: x\r\n"


def drip(first: bytes, data: bytes) -> Callable[[socket.socket], bytes]:
    """Send something, then something else again and again, until there is an answer."""

    def behave(client: socket.socket) -> bytes:
        client.sendall(first)
        client.settimeout(0.2)
        while True:
            try:
                client.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                client.sendall(data)
            except OSError:
                return b""
            else:
                return read_to_end(client)

    return behave


def pipeline(client: socket.socket) -> bytes:
    """Send requests for a large file, and read nothing until the server closes the connection."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        while True:
            client.send(request("/large") * 10)
    except ConnectionError:
        return b"closed"


def read_slowly(client: socket.socket) -> bytes:
    """Read a large answer in small pieces, for longer than the limit without progress."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.sendall(request("/large", "Connection: close"))
    pieces, end = [], time.monotonic() + 2 * STRICT
    while time.monotonic() < end:
        pieces.append(client.recv(30_000))
        time.sleep(0.05)  # a slow network
    return b"".join([*pieces, read_to_end(client)])


def request_twice(client: socket.socket) -> bytes:
    """Send a request, read the answer, be idle for longer than a request may take, and send another one."""
    stream = client.makefile("rb")
    for idle in (2 * STRICT, 0):
        client.sendall(request("/livez"))
        assert read_answer(stream)[0] == 200
        time.sleep(idle)
    return b"twice"


BEHAVIOURS: Mapping[str, Callable[[socket.socket], bytes]] = {
    "silent": read_to_end,
    "empty lines": drip(b"", b"\r\n"),
    "head": drip(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ", b"a"),
    "body": drip(POST + b"Content-Length: 60000\r\n\r\n", b"a"),
    "chunks": drip(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "pipeline": pipeline,
    "slow reader": read_slowly,
    "two requests": request_twice,
}


@pytest.fixture(scope="module")
def answers() -> Iterator[Mapping[str, bytes]]:
    """What all of these clients received, at once, from a server with short limits."""
    with plain_server(Limits(request=STRICT, stall=STRICT)) as served, ThreadPoolExecutor(len(BEHAVIOURS)) as threads:

        def run(behave: Callable[[socket.socket], bytes]) -> bytes:
            with socket.create_connection(served.address, timeout=60) as client:
                return behave(client)

        yield dict(zip(BEHAVIOURS, threads.map(run, BEHAVIOURS.values()), strict=True))


@pytest.mark.parametrize("name", ["head", "body", "chunks"])
def test_the_time_limit_of_a_request_counts_from_its_first_byte(answers: Mapping[str, bytes], name: str) -> None:
    """Single bytes do not prolong it, and the answer names the reason."""
    assert answers[name].startswith(b"HTTP/1.1 408 ")
    assert answers[name].endswith(b"a request must be complete 2 s after its first byte")


def test_clients_without_a_request_and_clients_that_read_nothing_are_dropped(answers: Mapping[str, bytes]) -> None:
    assert (answers["silent"], answers["empty lines"], answers["pipeline"]) == (b"", b"", b"closed")


def test_a_slow_reader_gets_the_whole_answer_and_an_idle_connection_another_one(answers: Mapping[str, bytes]) -> None:
    """A slow network still makes progress, and a browser keeps its connection while a person reads."""
    assert answers["slow reader"].partition(b"\r\n\r\n")[2] == LARGE
    assert answers["two requests"] == b"twice"


def test_other_clients_are_served_while_slow_ones_still_wait() -> None:
    """The server has two threads, and eight of the clients would block one each."""
    with plain_server(PATIENT) as served, open_connections(served.address, 12) as clients:
        for client in clients[:8]:
            client.send(request("/large") * 10)
        for client, first in zip(clients[8:], (POST, b"GET / ", b"\r\n", b""), strict=True):
            client.send(first)
        for _ in range(20):
            assert_alive(served.address)
        assert all(is_open(client) for client in clients)


def is_open(client: socket.socket) -> bool:
    """Return whether the server has not closed the connection."""
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True


@pytest.mark.parametrize(
    "data",
    [b"GET /livez HTTP/1.1\r\nX: ", POST + b"Content-Length: 9\r\n\r\n", request("/livez"), b""],
    ids=["heads", "bodies", "idle", "silent"],
)
def test_new_clients_are_served_beyond_the_maximum_of_connections(data: bytes) -> None:
    """The connection that has waited longest without a request is closed for the next one; no limit would free it."""
    with (
        plain_server(replace(PATIENT, connections=FEW)) as served,
        open_connections(served.address, FEW + 10) as clients,
    ):
        for client in clients:
            client.send(data)
        for _ in range(6):
            assert_alive(served.address)


def test_new_clients_are_served_although_dropped_ones_reconnect_at_once() -> None:
    """A client that reconnects must not displace all others."""
    with (
        plain_server(replace(PATIENT, connections=FEW)) as served,
        open_connections(served.address, FEW + 10) as clients,
        ThreadPoolExecutor(1) as attacker,
    ):
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

        attack = attacker.submit(reconnect)
        try:
            for _ in range(6):
                assert_alive(served.address)
        finally:
            stopped.set()
        attack.result()


SCRIPT = "/docs/swagger-ui-bundle.js"
RANGE = "/forecast/BTC-USD?start=2023-01-01&end=2025-05-17"
MEGABYTES = 64
GREEDY = {
    "the largest file": request(SCRIPT) * 100,
    "a whole range": request(RANGE) * 100,
    "every metric": request("/metrics") * 100,
    "long heads": request(RANGE, *[f"x-{number}: {'y' * 150}" for number in range(95)]),
    "heads that do not end": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (HEAD_BYTES - 100),
    "bodies": POST + b"Content-Length: 65000\r\n\r\n" + b"y" * 65_000,
}


@pytest.mark.parametrize("data", GREEDY.values(), ids=GREEDY)
def test_a_thousand_connections_take_64_mb_at_most(tmp_path: Path, data: bytes) -> None:
    """They do not read their answers. A container over its memory limit is killed."""
    with (
        serving_model(make_model(BTC, ETH), tmp_path) as served,
        open_connections(served.address, Limits().connections) as clients,
    ):
        for path in (SCRIPT, RANGE, "/metrics"):
            requests.get(f"{served.url}{path}", timeout=30)
        process = psutil.Process(served.process.pid)
        before = most = process.memory_info().rss
        for _ in push(clients, data, 1):
            most = max(most, process.memory_info().rss)
        assert most - before < MEGABYTES * 2**20
        assert requests.get(f"{served.url}/bitcoin?date=2024-06-01", timeout=60).content == ANSWER
