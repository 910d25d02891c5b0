"""Parsing of heads and bodies of requests by RFC 9112, on the real process."""

import json
import re
import socket
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.http_server import parser
from crypto_predict.http_server.parser import BODY_BYTES, FIELDS, HEAD_BYTES, Need
from tests.support.clients import exchange
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import ANSWER, Served, read_answer, request, serving_model

HOST = b"Host: example.org\r\n"
QUESTION = b"/bitcoin?date=2024-06-01"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that do not stop it."""
    with serving_model(make_model(BTC, ETH), tmp_path_factory.mktemp("model")) as served:
        yield served


def head(line: bytes, *fields: bytes) -> bytes:
    """Return a whole head."""
    return b"\r\n".join([line, *fields, b"", b""])


def get(*fields: bytes) -> bytes:
    """Return the head of a valid request with more fields."""
    return head(b"GET /livez HTTP/1.1", b"Host: example.org", *fields)


def post(*fields: bytes) -> bytes:
    """Return the head of a request with a body."""
    return head(b"POST /livez HTTP/1.1", b"Host: example.org", *fields)


ANSWERED = {
    "origin form": head(b"GET " + QUESTION + b" HTTP/1.1", b"Host: example.org"),
    "absolute form": head(b"GET http://example.org" + QUESTION + b" HTTP/1.1", b"Host: elsewhere.org"),
    "absolute form, upper case, with a port": head(b"GET HTTPS://[::1]:8000" + QUESTION + b" HTTP/1.1", b"Host: x"),
    "a host with a port": head(b"GET " + QUESTION + b" HTTP/1.1", b"host:\t127.0.0.1:8000 "),
    "a host that is an address": head(b"GET " + QUESTION + b" HTTP/1.1", b"Host: [2001:db8::1]:80"),
    "HTTP/1.0 without a host": head(b"GET " + QUESTION + b" HTTP/1.0"),
    "a later version 1": head(b"GET " + QUESTION + b" HTTP/1.9", b"Host: example.org"),
    "empty lines before": b"\r\n\r\n" + head(b"GET " + QUESTION + b" HTTP/1.1", b"Host: example.org"),
    "an empty field": head(b"GET " + QUESTION + b" HTTP/1.1", b"Host: example.org", b"X:"),
    "the most fields": head(
        b"GET " + QUESTION + b" HTTP/1.1", b"Host: x", *[b"x-%d: y" % i for i in range(FIELDS - 1)]
    ),
    "a body": head(b"GET " + QUESTION + b" HTTP/1.1", b"Host: x", b"Content-Length: 5") + b"GET /",
    "a body in chunks": head(b"GET " + QUESTION + b" HTTP/1.1", b"Host: x", b"Transfer-Encoding: Chunked")
    + b'5;a;b=c;d="\\" ;=\xff"\r\nGET /\r\n00a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n',
}


@pytest.mark.parametrize("data", ANSWERED.values(), ids=ANSWERED)
def test_every_valid_form_of_a_request_is_answered(served: Served, data: bytes) -> None:
    """Each form is answered alike, and the bytes after it are the next request."""
    with socket.create_connection(served.address, timeout=30) as client:
        stream = client.makefile("rb")
        client.sendall(data)
        status, headers, body = read_answer(stream)
        assert (status, body) == (200, ANSWER)
        if headers.get("connection") != "close":
            client.sendall(get())
            assert read_answer(stream)[0] == 200


REFUSED = {
    "no host": (400, head(b"GET /livez HTTP/1.1")),
    "two hosts": (400, get(b"Host: example.org")),
    "two hosts in other letters": (400, get(b"hOST: example.com")),
    "an empty host": (400, head(b"GET /livez HTTP/1.1", b"Host:")),
    "a host with a space": (400, head(b"GET /livez HTTP/1.1", b"Host: a b")),
    "a host with a path": (400, head(b"GET /livez HTTP/1.1", b"Host: a/b")),
    "a host with a user": (400, head(b"GET /livez HTTP/1.1", b"Host: a@b")),
    "a port above 65535": (400, head(b"GET /livez HTTP/1.1", b"Host: a:65536")),
    "an open bracket": (400, head(b"GET /livez HTTP/1.1", b"Host: [::1")),
    "an invalid address in brackets": (400, head(b"GET /livez HTTP/1.1", b"Host: [:::::1]")),
    "a bad host in HTTP/1.0": (400, head(b"GET /livez HTTP/1.0", b"Host: a b")),
    "an authority with an open bracket": (400, head(b"GET http://[/livez HTTP/1.1", b"Host: x")),
    "an authority with letters for a port": (400, head(b"GET http://a:b/livez HTTP/1.1", b"Host: x")),
    "an empty authority": (400, head(b"GET http:///livez HTTP/1.1", b"Host: x")),
    "an authority with a user": (400, head(b"GET http://a@b/livez HTTP/1.1", b"Host: x")),
    "another scheme": (400, head(b"GET ftp://a/livez HTTP/1.1", b"Host: x")),
    "no slash": (400, head(b"GET livez HTTP/1.1", b"Host: x")),
    "an asterisk": (400, head(b"GET * HTTP/1.1", b"Host: x")),
    "an authority alone": (400, head(b"GET example.org:80 HTTP/1.1", b"Host: x")),
    "a fragment": (400, head(b"GET /livez#a HTTP/1.1", b"Host: x")),
    "a tunnel": (501, head(b"CONNECT example.org:80 HTTP/1.1", b"Host: x")),
    "a tunnel without a port": (400, head(b"CONNECT /livez HTTP/1.1", b"Host: x")),
    "two spaces": (400, head(b"GET  /livez HTTP/1.1", b"Host: x")),
    "a tab": (400, head(b"GET /livez\t HTTP/1.1", b"Host: x")),
    "no version": (400, head(b"GET /livez")),
    "half a version": (400, head(b"GET /livez HTTP/1", b"Host: x")),
    "a version in lower case": (400, head(b"GET /livez http/1.1", b"Host: x")),
    "version 2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "version 0": (505, head(b"GET /livez HTTP/0.9", b"Host: x")),
    "a method in lower case": (400, head(b"get /livez HTTP/1.1", b"Host: x")),
    "a method that is not a word": (400, head(b"G@T /livez HTTP/1.1", b"Host: x")),
    "a TLS handshake": (400, b"\x16\x03\x01\x02\x00\x01\x00"),
    "control characters": (400, get(b"X: a\x00b")),
    "the control character DEL": (400, get(b"X: a\x7fb")),
    "a lone line feed": (400, b"GET /livez HTTP/1.1\n" + HOST + b"\r\n"),
    "lone line feeds only": (400, b"GET /livez HTTP/1.1\nHost: x\n\n"),
    "a lone carriage return": (400, get(b"X: a\rb")),
    "a folded field": (400, get(b"X: a", b" b")),
    "a field without a colon": (400, get(b"X")),
    "a field without a name": (400, get(b": x")),
    "a space before the colon": (400, get(b"X : a")),
    "too many fields": (431, get(*[b"x-%d: y" % i for i in range(FIELDS)])),
    "a head that is too long": (431, get(b"X: " + b"y" * HEAD_BYTES)),
    "an address that is too long": (414, head(b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1", b"Host: x")),
    "a length of 5,000 digits": (400, post(b"Content-Length: " + b"1" * 5_000)),
    "a length with a sign": (400, post(b"Content-Length: +1")),
    "a length in other digits": (400, post("Content-Length: ²".encode("latin-1"))),
    "an empty length": (400, post(b"Content-Length:")),
    "two lengths in one": (400, post(b"Content-Length: 1,1")),
    "two lengths": (400, post(b"Content-Length: 1", b"Content-Length: 2")),
    "too long a body": (413, post(b"Content-Length: %d" % BODY_BYTES)),
    "both a coding and a length": (400, post(b"Transfer-Encoding: chunked", b"Content-Length: 3") + b"0\r\n\r\n"),
    "an unknown coding": (501, post(b"Transfer-Encoding: gzip, chunked")),
    "chunked twice": (400, post(b"Transfer-Encoding: chunked, chunked")),
    "an empty coding": (400, post(b"Transfer-Encoding:")),
    "a coding in HTTP/1.0": (400, head(b"POST /livez HTTP/1.0", b"Transfer-Encoding: chunked")),
    "an unknown expectation": (417, get(b"Expect: a miracle")),
    "a chunk without a size": (400, post(b"Transfer-Encoding: chunked") + b"\r\n"),
    "a chunk of a negative size": (400, post(b"Transfer-Encoding: chunked") + b"-1\r\n"),
    **{
        f"a chunk's size and {extension!r}": (400, post(b"Transfer-Encoding: chunked") + b"1%b\r\na\r\n" % extension)
        for extension in (b" ", b"\t", b";", b"; a", b";a ", b";a;", b";a=", b";a= b", b";=b", b";a=b c", b";a=\xff")
    },
    **{
        f"a chunk's size and {value!r}": (400, post(b"Transfer-Encoding: chunked") + b"1;a=%b\r\na\r\n" % value)
        for value in (b'"', b'"b', b'"b"c', b'"b" ', b'"\\"', b'"\x7f"', b'"\x00"', b'b"c"', b'"\\\x01"')
    },
    "a chunk that is too short": (400, post(b"Transfer-Encoding: chunked") + b"2\r\nabc\r\n"),
    "a lone line feed after a chunk's size": (400, post(b"Transfer-Encoding: chunked") + b"1\na\r\n"),
    "too long a line between chunks": (400, post(b"Transfer-Encoding: chunked") + b"1;" + b"a" * HEAD_BYTES),
    "chunks that are too many": (413, post(b"Transfer-Encoding: chunked") + b"1000\r\n%b\r\n" % (b"x" * 4096) * 16),
    "a trailer that is not a field": (400, post(b"Transfer-Encoding: chunked") + b"0\r\nx\r\n\r\n"),
    "too many trailers": (431, post(b"Transfer-Encoding: chunked") + b"0\r\n" + b"a: b\r\n" * (FIELDS + 1)),
    "half a head": (400, b"GET /livez HT"),
    "half a body": (400, post(b"Content-Length: 5") + b"abc"),
}


@pytest.mark.parametrize(("status", "data"), REFUSED.values(), ids=REFUSED)
def test_an_invalid_request_is_refused_with_a_problem_and_closed(served: Served, status: int, data: bytes) -> None:
    """A proxy in front of the server might read an ambiguous request differently (request smuggling)."""
    answer = exchange(served.address, data)
    first, _, body = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] %d " % status, first)
    assert b"\r\nConnection: close\r\n" in first
    problem = json.loads(body)  # one answer and nothing after it
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert problem["status"] == status


FORMS = [
    ("OPTIONS *", 200, "allow", "HEAD, GET, OPTIONS"),  # of the whole server
    *(
        (f"GET {target}", 302, "location", "BTC-USD/")  # without a host: the server does not know its public names
        for target in ("/page/btc_usd", "http://a.org/page/btc_usd", "/page/btc_usd?a=b")
    ),
    *(
        (f"GET {target}", 200, "content-type", "text/html; charset=utf-8")
        for target in ("/", "//", "http://a.org", "http://a.org/", "http://a.org?")
    ),
]


@pytest.mark.parametrize(("line", "status", "name", "value"), FORMS)
def test_every_form_of_an_address_is_answered(served: Served, line: str, status: int, name: str, value: str) -> None:
    answer = exchange(served.address, head(f"{line} HTTP/1.1".encode(), b"Host: example.org", b"Connection: close"))
    received, headers, _ = read_answer(BytesIO(answer))
    assert (received, sorted(headers[name].split(", "))) == (status, sorted(value.split(", ")))


def test_a_refusal_arrives_while_the_client_still_sends(served: Served) -> None:
    """Closing with unread data resets the connection, and the client could lose the answer."""
    for _ in range(20):
        answer = exchange(served.address, get(b"X: " + b"y" * 300_000))
        assert answer.startswith(b"HTTP/1.1 431 ")


def test_refusals_are_logged_and_counted_like_other_requests(tmp_path: Path) -> None:
    """Method and path are logged as far as they could be read."""
    with serving_model(make_model(BTC), tmp_path) as served:
        exchange(served.address, b"nonsense\r\n\r\n")
        exchange(served.address, post(b"Content-Length: 70000"))
        exchange(served.address, head(b"GET /livez HTTP/1.1"))
        metrics = requests.get(f"{served.url}/metrics", timeout=30).text
        served.signal()
        served.wait()
    lines = [(line["method"], line["path"], line["status"]) for line in served.events("request")]
    assert lines[:3] == [("", "", 400), ("POST", "/livez", 413), ("GET", "/livez", 400)]
    counted = re.findall(r'requests_total\{method="(\w+)",route="unmatched",status="(\d+)"\} 1.0', metrics)
    assert sorted(counted) == [("GET", "400"), ("POST", "413"), ("other", "400")]


HOSTILE = {
    "spaces in a field": get(b"X: a" + b" " * 60_000 + b"b"),
    "tabs in a field": get(b"X: a" + b"\t" * 60_000 + b"b"),
    "spaces within the limit": get(b"X: a" + b" " * (HEAD_BYTES - 100) + b"b\x00"),
    "spaces in the first line": head(b"GET /" + b" " * 60_000 + b" HTTP/1.1", b"Host: x"),
    "colons": get(b":" * 60_000),
    "carriage returns": get(b"\r" * 60_000),
    "folds": get(b"X: a" + b"\r\n " * 20_000),
    "fields": get(*[b"a:b"] * 20_000),
    "fields within the limit": get(*[b"a:b"] * 3_000),
    "percent signs": head(b"GET /" + b"%" * 16_000 + b"\x00 HTTP/1.1", b"Host: x"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_head_is_refused_in_linear_time(data: bytes) -> None:
    """Reading blocks the event loop. In quadratic time, so many readings would exceed the time limit of a test."""
    for _ in range(200):
        refusal = read(data).refusal
        assert refusal is not None
        assert refusal.status in {400, 431}


def read(data: bytes) -> parser.Request:
    """Return the request that begins with these bytes, which arrive as the server receives them."""
    arrived = bytearray()
    requests_read = parser.requests(arrived, {})
    while not isinstance(result := next(requests_read), parser.Request):
        size = min(4_096, HEAD_BYTES - len(arrived))
        arrived += data[:size]
        data = data[size:]
    return result


class Counted(bytearray):
    """A buffer that counts the bytes that are searched or copied."""

    examined = 0

    def find(self, text: bytes, start: int = 0) -> int:  # type: ignore[override]  # as the parser calls it
        """Search from `start` on."""
        self.examined += len(self) - start
        return super().find(text, start)

    def __getitem__(self, part: slice) -> bytearray:  # type: ignore[override]  # the same
        copied = super().__getitem__(part)
        self.examined += len(copied)
        return copied


def test_bytes_that_come_one_by_one_are_examined_a_few_times_each() -> None:
    """However a head is split. Otherwise long heads would cost in proportion to the square of their length."""
    arrived = Counted()
    reading = parser.requests(arrived, {})
    for byte in get(b"X: " + b" " * 60_000)[: HEAD_BYTES - 1]:
        next(reading)
        arrived.append(byte)
    assert next(reading) is Need.REST
    assert arrived.examined < 10 * len(arrived)
    arrived.append(b" "[0])
    result = next(reading)
    assert isinstance(result, parser.Request)
    assert result.refusal is not None
    assert result.refusal.status == 431


@settings(max_examples=50)
@given(st.lists(st.integers(1, 400), max_size=6), st.lists(st.sampled_from(sorted(ANSWERED)), min_size=1, max_size=3))
def test_requests_are_parsed_alike_however_they_are_split_into_packets(
    served: Served, cuts: list[int], names: list[str]
) -> None:
    """A packet may end anywhere, and a client may send several requests at once."""
    names = [name for name in names if "1.0" not in name] or ["origin form"]
    data = b"".join(ANSWERED[name] for name in names)
    with socket.create_connection(served.address, timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = client.makefile("rb")
        for cut in cuts:
            client.sendall(data[:cut])
            data = data[cut:]
        client.sendall(data)
        assert [read_answer(stream)[2] for _ in names] == [ANSWER] * len(names)


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of texts with parts of `data` replaced, inserted or removed."""
    places = st.integers(0, len(data))
    edits = st.tuples(places, st.integers(0, 8), st.binary(max_size=8) | st.sampled_from(SPECIAL))

    def edit(edited: list[tuple[int, int, bytes]]) -> bytes:
        text = data
        for place, removed, added in edited:
            text = text[:place] + added + text[place + removed :]
        return text

    return st.lists(edits, min_size=1, max_size=4).map(edit)


SPECIAL = [
    *(b"\r\n", b"\n", b"\r", b"\x00", b":", b" ", b"\t", b",", b"\xff", b"%", b"0\r\n\r\n", b"HTTP/1.1"),
    *ANSWERED.values(),
]


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=200), st.sampled_from(sorted(ANSWERED.values())).flatmap(mutations)))
def test_any_bytes_are_answered_or_the_connection_is_closed(served: Served, data: bytes) -> None:
    """Every answer is valid HTTP without a 500, and the next client is served."""
    answer = exchange(served.address, data)
    assert answer == b"" or re.match(rb"HTTP/1\.[01] (100|200|302|4\d\d|501|505) ", answer)
    assert re.search(rb"HTTP/1\.[01] 500 ", answer) is None
    if data.strip(b"\r\n"):
        assert answer
    assert exchange(served.address, request("/livez")).startswith(b"HTTP/1.1 200 OK\r\n")
