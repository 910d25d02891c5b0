"""The one body that is used, and the others, over real connections to the real server."""

import json
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked import store
from crypto_predict.store import open_reader, open_writer
from tests.support.clients import exchange
from tests.support.models import make_model
from tests.support.serving import Served, read_answer, request, serving

TOKEN = "a token that nobody\u2603 guesses"
HEADERS = {"Authorization": f"Bearer {TOKEN}".encode(), "Content-Type": b"application/json"}
ALIVE = request("/livez")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("database") / "market.db")
    open_writer(url).close()
    return url


@pytest.fixture(scope="module")
def served(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose registry has the simulated market."""
    model = tmp_path_factory.mktemp("model") / "model.pkl"
    store.save(make_model(), model)
    with serving(model, DATABASE_URL=database, ADMIN_TOKEN=f"  {TOKEN}\n", SOURCE="simulated") as served:
        yield served


def head(*fields: str, address: str = "/pairs") -> bytes:
    lines = [f"POST {address} HTTP/1.1", "Host: x", "Content-Type: application/json", *fields, "", ""]
    return "\r\n".join([*lines[:3], f"Authorization: Bearer {TOKEN}", *lines[3:]]).encode()


def body(pair: str) -> bytes:
    return json.dumps({"pair": pair}).encode()


def chunked(data: bytes, sizes: list[int]) -> bytes:
    """Return a body in chunks of these sizes, and the rest in one."""
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, data] if part) + b"0\r\n\r\n"


def test_pairs_are_changed_over_http(served: Served, database: str) -> None:
    """By the program as it is deployed: a token in the environment, a registry that opens at the first change."""
    added = requests.post(f"{served.url}/pairs", data=body("ADA/USD"), headers=HEADERS, timeout=60)
    assert (added.status_code, added.json()["source"]) == (201, "simulated")
    assert requests.post(f"{served.url}/pairs", data=body("ADA/USD"), headers=HEADERS, timeout=60).status_code == 200
    with open_reader(database) as reader:
        assert [(str(collected.series.pair), collected.state) for collected in reader.collected()] == [
            ("ADA/USD", "active")
        ]
    removed = requests.delete(f"{served.url}/pairs/ADA-USD", headers=HEADERS, timeout=60)
    assert (removed.status_code, removed.json()[0]["state"]) == (200, "stopped")
    assert requests.delete(f"{served.url}/pairs/ADA-USD", timeout=60).status_code == 401
    assert "nobody" not in "".join(served.lines)


@given(st.lists(st.integers(1, 20), max_size=4), st.lists(st.integers(1, 400), max_size=3, unique=True), st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_body_arrives_whole_however_it_is_split(
    served: Served, sizes: list[int], cuts: list[int], in_chunks: bool
) -> None:
    """Into chunks and packets; the request after it on the same connection is answered, too."""
    content = body("SOL/USD")
    if in_chunks:
        data = head("Transfer-Encoding: chunked") + chunked(content, sizes)
    else:
        data = head(f"Content-Length: {len(content)}") + content
    data += ALIVE
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    with socket.create_connection(served.address, timeout=60) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in pairwise(edges):
            client.sendall(data[start:end])
        stream = client.makefile("rb")
        status, _, answer = read_answer(stream)
        assert (status in {200, 201}, json.loads(answer)["pair"]) == (True, "SOL/USD")
        assert read_answer(stream)[0] == 200


def test_a_client_that_waits_to_continue_is_asked_for_the_body(served: Served) -> None:
    """Used or not. Some clients send the header with every request; without a body the server does not wait."""
    content = body("SOL/USD")
    with socket.create_connection(served.address, timeout=60) as client:
        stream = client.makefile("rb")
        for address, statuses in (("/pairs", {200, 201}), ("/livez", {405})):
            client.sendall(head(f"Content-Length: {len(content)}", "Expect: 100-Continue", address=address))
            assert (stream.readline(), stream.readline()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
            client.sendall(content)
            assert read_answer(stream)[0] in statuses
        client.sendall(request("/livez", "Expect: 100-continue"))
        assert read_answer(stream)[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        head("Content-Length: 4096") + b" " * 4_096,
        head("Transfer-Encoding: chunked") + chunked(b" " * 4_096, [1_000, 3_000]),
        head("Content-Length: 1000000000"),
    ],
    ids=["length", "chunks", "a gigabyte"],
)
def test_a_body_that_is_too_long_is_413_and_the_connection_closed(data: bytes, served: Served) -> None:
    answer = exchange(served.address, data)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"must be shorter than 4096 bytes" in answer


def test_the_longest_body_is_read(served: Served) -> None:
    content = body("SOL/USD").ljust(4_095)
    assert requests.post(f"{served.url}/pairs", data=content, headers=HEADERS, timeout=60).status_code in {200, 201}


def test_other_bodies_are_skipped_as_before(served: Served) -> None:
    """Up to 64 KiB: they are not kept in memory."""
    for address in ("/livez", "/pairs/", "/series"):
        data = head("Content-Length: 65535", address=address) + b"x" * 65_535 + ALIVE
        with socket.create_connection(served.address, timeout=60) as client:
            client.sendall(data)
            stream = client.makefile("rb")
            assert read_answer(stream)[0] in {404, 405}
            assert read_answer(stream)[0] == 200
