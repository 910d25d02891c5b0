"""More clients than file descriptors, on the real process."""

import contextlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from crypto_predict.baked import store
from tests.models import BTC, make_model
from tests.serving import ROOT, Served, read_answer, request
from tests.support.clients import open_connections, seconds_until_alive

FEW = 40
WATCHED_SECONDS = 2.0


@contextlib.contextmanager
def limited(model: Path) -> Iterator[Served]:
    """A server that its shell grants few descriptors."""
    command = [sys.executable, str(ROOT / "api.py"), "--model", str(model), "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"ulimit -n {FEW} && exec {shlex.join(command)}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Served(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sound model file."""
    path = tmp_path / "model.pkl"
    store.save(make_model(BTC), path)
    return path


def cpu_share(process: psutil.Process) -> float:
    """The share of a core that a process takes for a while."""
    before = sum(process.cpu_times()[:2])
    time.sleep(WATCHED_SECONDS)
    return (sum(process.cpu_times()[:2]) - before) / WATCHED_SECONDS


def test_more_clients_than_descriptors_neither_keep_a_core_busy_nor_others_out(model: Path) -> None:
    with limited(model) as served:
        with open_connections(served.address, 3 * FEW) as clients:
            assert cpu_share(psutil.Process(served.process.pid)) < 0.3
            assert seconds_until_alive(served.address) < 1
            for client in clients[-5:]:  # the newest still have their places
                client.setblocking(True)
                client.sendall(request("/docs/swagger-ui-bundle.js"))
                assert read_answer(client.makefile("rb"))[0] == 200
        assert seconds_until_alive(served.address) < 1
        served.signal()
        assert served.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets us take descriptors from a running process")
def test_descriptors_that_run_out_unexpectedly_do_no_harm(model: Path) -> None:
    """Something else may hold them; then the server rests, and goes on when there are some."""
    with limited(model) as served:
        process = psutil.Process(served.process.pid)
        with socket.create_connection(served.address, timeout=30) as client:
            client.sendall(request("/livez"))
            stream = client.makefile("rb")
            assert read_answer(stream)[0] == 200
            process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() - 1, FEW))
            client.sendall(request("/livez")[:20])
            with open_connections(served.address, FEW):
                assert cpu_share(process) < 0.3
            process.rlimit(psutil.RLIMIT_NOFILE, (FEW, FEW))
        assert seconds_until_alive(served.address) < 5
        served.signal()
        assert served.wait() == 0
