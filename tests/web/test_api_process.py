"""The real `api.py` as a process, over HTTP."""

import http.client
import json
import os
import pickle
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from crypto_predict.baked import store
from crypto_predict.web.http import response
from crypto_predict.web.operations import startup
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import ANSWER, Served, read_answer, request, run, serving, start


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    store.save(make_model(BTC, ETH), path)
    return path


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    """One server for all tests that do not stop it."""
    with serving(model) as served:
        yield served


def test_one_connection_carries_several_requests(served: Served) -> None:
    """Connections are persistent by default. An answer to HEAD has no body: the client would read it as the next."""
    connection = http.client.HTTPConnection(*served.address, timeout=30)
    for method, path, body in (
        *(("GET", "/bitcoin?date=2024-06-01", ANSWER), ("HEAD", "/bitcoin?date=2024-06-01", b"")),
        *(("GET", "/bitcoin?date=2024-06-01", ANSWER), ("HEAD", "/bitcoin?date=yesterday", b"")),
        ("GET", "/bitcoin?date=2024-06-01", ANSWER),
    ):
        connection.request(method, path)
        assert connection.getresponse().read() == body
        assert connection.sock is not None
    connection.close()


@pytest.mark.parametrize("path", ["/bitcoin?date=2024-06-01", "/openapi.json"])
def test_an_answer_304_keeps_the_connection(served: Served, path: str) -> None:
    """Such an answer needs no length, so the next one can follow, unless the client asks to close."""
    etag = requests.get(f"{served.url}{path}", timeout=30).headers["ETag"]
    conditional = request(path, f"If-None-Match: {etag}")
    with socket.create_connection(served.address, timeout=30) as connection:
        stream = connection.makefile("rb")
        for _ in range(2):
            connection.sendall(conditional)
            status, headers, _ = read_answer(stream)
            assert status == 304
            assert "connection" not in headers
        connection.sendall(request(path, f"If-None-Match: {etag}", "Connection: close"))
        status, headers, _ = read_answer(stream)
        assert (status, headers["connection"]) == (304, "close")
        assert stream.read() == b""


@pytest.mark.parametrize(
    ("data", "status", "detail"),
    [
        (request("/livez", "X: " + "y" * 65_536)[:65_536], 431, "head of a request must be shorter than 16384 bytes"),
        (request("/livez", "Content-Length: 65536"), 413, "body of a request must be shorter than 65536 bytes"),
        (request("/livez").replace(b"GET", b"get"), 400, "'get' is not a method"),
    ],
    ids=["headers too long", "body too long", "malformed request line"],
)
def test_refusals_by_the_server_are_problems_too(served: Served, data: bytes, status: int, detail: str) -> None:
    """Clients parse one format of errors, whichever part has refused."""
    with socket.create_connection(served.address, timeout=30) as connection:
        stream = connection.makefile("rb")
        connection.sendall(data)
        answered, headers, body = read_answer(stream)
        assert stream.read() == b""  # the connection is closed, as announced
    problem = json.loads(body)
    assert (answered, problem["type"], detail in problem["detail"]) == (status, "about:blank", True)
    assert headers["content-type"] == "application/problem+json"
    assert {(name.lower(), value) for name, value in response.COMMON} <= headers.items()


class Malice:
    """An object whose unpickling runs a command."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._mark}",)


@pytest.mark.parametrize(
    ("is_malicious", "reason"),
    [(False, "the file does not exist"), (True, "do not open it with pickle")],
    ids=["absent", "malicious"],
)
def test_an_unusable_model_is_one_clear_line_and_exit_code_3(is_malicious: bool, reason: str, tmp_path: Path) -> None:
    """The message names the file and the reason, and no code in it was executed."""
    path = tmp_path / "model.pkl"
    if is_malicious:
        path.write_bytes(pickle.dumps(Malice(tmp_path / "owned")))
    code, output, errors = run("--model", str(path))
    assert (code, output) == (3, "")
    (line,) = errors.splitlines()
    assert line.startswith(f"api.py: no usable model in {path}: ")
    assert reason in line
    assert not (tmp_path / "owned").exists()


def test_help_lists_every_option_with_its_environment_variable() -> None:
    """It also has examples and the exit codes."""
    code, output, _ = run("--help")
    assert code == 0
    names = ("MODEL", "HOST", "PORT", "THREADS", "STALE_AFTER", "CACHE_FOR", "LOG_LEVEL")
    options = [f"--{name.lower().replace('_', '-')}" for name in names]
    assert [text for text in (*names, *options, "/bitcoin?date=", "exit codes") if text not in output] == []


def test_a_port_in_use_is_one_clear_line_and_exit_code_1(served: Served, model: Path) -> None:
    """With a way out. `make run` checks that before it trains, when the model may not exist yet."""
    host, port = served.address
    check = ("--check-address", "--model", "no-such-model.pkl", "--host", host)
    for arguments in (("--model", str(model), "--host", host), check):
        code, output, errors = run(*arguments, "--port", str(port))
        assert (code, output) == (1, "")
        (line,) = errors.splitlines()
        assert line.startswith(f"api.py: cannot listen at 127.0.0.1 port {port}: Address already in use; ")
        assert "PORT=8001" in line
    assert run(*check, "--port", "0") == (0, "", "")


def test_a_host_that_does_not_exist_is_one_clear_line_and_exit_code_1(model: Path) -> None:
    """The reason does not depend on the system's resolver."""
    code, _, errors = run("--model", str(model), "--host", "nowhere.invalid", "--port", "0")
    assert code == 1
    assert errors == "api.py: cannot listen at nowhere.invalid port 0: the address does not exist\n"


def test_ipv6_addresses_are_served(model: Path) -> None:
    """The address at the start is a valid URL."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine does not have IPv6")
    with serving(model, "--host", "::1") as served:
        assert re.fullmatch(r"http://\[::1\]:\d+", served.url)
        assert requests.get(f"{served.url}/bitcoin?date=2024-06-01", timeout=30).content == ANSWER


def test_the_event_at_the_start_has_the_address_and_an_example(served: Served) -> None:
    """Both work as they are."""
    (start,) = served.events("serving")
    assert start["pairs"] == ["BTC/USD", "ETH/USD"]
    assert start["build"] == "0.3.1-20240518121047"
    example = str(start["example"]).removeprefix("curl '").removesuffix("'")
    assert requests.get(example, timeout=30).json()["prediction"] > 0
    assert requests.get(start["documentation"], timeout=30).status_code == 200


def test_each_request_is_logged_by_the_time_the_server_has_stopped(model: Path) -> None:
    """Lines wait in a buffer, which a stop must write."""
    with serving(model) as served:
        requests.get(f"{served.url}/bitcoin?date=2024-06-01", timeout=30)
        requests.get(f"{served.url}/nowhere", timeout=30)
        served.signal()
        served.wait()
    assert [(line["path"], line["status"]) for line in served.events("request")] == [
        ("/bitcoin", 200),
        ("/nowhere", 404),
    ]


def test_a_log_of_warnings_has_no_line_for_a_request(model: Path) -> None:
    """Requests are logged at level info."""
    options = ["--model", str(model), "--host", "127.0.0.1", "--port", "0", "--log-level", "warning", "--greet"]
    process = start(options, {})
    try:
        assert process.stdout is not None
        warning, greeting = (process.stdout.readline() for _ in range(2))
        url = greeting.removeprefix("Open ").strip()
        assert requests.get(f"{url}/bitcoin?date=2024-06-01", timeout=30).content == ANSWER
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (json.loads(warning)["event"], output) == (startup.STALE, "")


def test_a_server_can_be_started_again_at_the_same_port(model: Path) -> None:
    """The kernel keeps closed connections of the old process for a while; the new one need not wait."""
    with serving(model) as first:
        requests.get(f"{first.url}/livez", timeout=30)
    _, port = first.address
    with serving(model, "--port", str(port)) as second:
        assert second.address == first.address


def test_a_terminal_shows_where_to_open_the_page(model: Path) -> None:
    """JSON lines are for machines. It is the last line of the start."""
    ours, its = pty.openpty()
    command = [sys.executable, "api.py", "--model", str(model), "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, stdout=its, stderr=subprocess.PIPE, text=True)
    os.close(its)
    try:
        with open(ours, encoding="ascii", closefd=False) as terminal:
            shown = next(line for line in terminal if not line.startswith("{"))
    finally:
        process.terminate()
        process.communicate(timeout=30)
        os.close(ours)
    assert re.fullmatch(r"Open http://127.0.0.1:\d+\n", shown)
