"""More clients than file descriptors."""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from crypto_predict.http_server.connections import Connection, Limits, Pool, Site
from tests.support.clients import assert_alive, open_connections
from tests.support.plain_server import PATIENT, plain_server
from tests.support.serving import read_answer, request

FEW = 40
WATCHED_SECONDS = 1.0


def cpu_share(process: psutil.Process) -> float:
    """Return the share of a core that a process uses during `WATCHED_SECONDS`."""
    before = sum(process.cpu_times()[:2])
    time.sleep(WATCHED_SECONDS)
    return (sum(process.cpu_times()[:2]) - before) / WATCHED_SECONDS


def test_more_clients_than_descriptors_neither_keep_a_core_busy_nor_block_others() -> None:
    """The server closes idle connections to accept new ones, and pauses when it cannot. No time limit frees one."""
    with plain_server(PATIENT, FEW) as served:
        with open_connections(served.address, 3 * FEW) as clients:
            assert cpu_share(psutil.Process(served.process.pid)) < 0.3
            assert_alive(served.address)
            for client in clients[-5:]:  # the newest are still connected
                client.setblocking(True)
                client.sendall(request("/large"))
                assert read_answer(client.makefile("rb"))[0] == 200
        assert_alive(served.address)
        served.signal()
        assert served.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can lower the limit of another process")
def test_the_server_survives_a_lack_of_descriptors() -> None:
    """Other parts of the process may use them: the server pauses accepting, and resumes when there are some again."""
    with plain_server(PATIENT, FEW) as served:
        process = psutil.Process(served.process.pid)
        with socket.create_connection(served.address, timeout=30) as client:
            client.sendall(request("/livez"))
            assert read_answer(client.makefile("rb"))[0] == 200
            process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() - 1, FEW))
            client.sendall(request("/livez")[:20])
            with open_connections(served.address, FEW):
                assert cpu_share(process) < 0.3
            process.rlimit(psutil.RLIMIT_NOFILE, (FEW, FEW))
        assert_alive(served.address)
        served.signal()
        assert served.wait() == 0


def test_a_connection_that_the_system_cannot_watch_is_closed() -> None:
    """The kernel limits the sockets of a selector: only that connection is lost, and the loop continues."""
    with watched(lambda _: None) as (connect, pool):
        connect()
        assert len(pool) == 1
        break_selector(pool)
        assert connect().recv(1) == b""
        assert len(pool) == 1


def test_an_answer_whose_connection_cannot_be_watched_is_dropped() -> None:
    """Its part of the memory for unread answers is free again."""

    def answer(connection: Connection) -> None:
        connection.write_soon(bytes(50_000_000))
        pool.hand_back(connection)

    with watched(answer) as (connect, pool):
        client = connect()
        client.sendall(request("/"))
        for key, _ in pool.selector.select(30):
            key.data()
        pool.work()  # starts the request
        break_selector(pool)
        pool.work()  # sends its answer
        assert len(pool) == 0
        assert pool.unread == 0


@contextlib.contextmanager
def watched(answer: Callable[[Connection], None]) -> Iterator[tuple[Callable[[], socket.socket], Pool]]:
    """Yield a function that connects a client to a pool, and the pool, whose requests are passed to `answer`."""
    site = Site(lambda *_: [])
    pool = Pool(1, answer, lambda: None, threading.Event(), Limits())
    clients: list[socket.socket] = []

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(30)
        clients.append(ours)
        Connection(site, theirs, ("127.0.0.1", 0), pool)
        return ours

    yield connect, pool
    for client in clients:
        client.close()
    for connection in (*pool.new, *pool.sending):
        connection.close()
    pool.selector.close()


def break_selector(pool: Pool) -> None:
    """Replace the descriptor of the selector by one that refuses to watch sockets."""
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), pool.selector.fileno())
