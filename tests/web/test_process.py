"""Provenance, conditions and strange headers on the real server, over a real socket."""

import http.client
import json
import re
import socket
from collections.abc import Iterator

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from crypto_predict.web.app import now
from crypto_predict.web.http import response, sending
from crypto_predict.web.operations import startup
from tests.support.applications import client
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import Served, request, serving_model

BITCOIN = "/bitcoin?date=2024-06-01"
PROBABILITY = "/probability/{}?date=2024-06-01&above=1"
RESTING_ON_PRICES = [
    *(BITCOIN, f"{BITCOIN}&model=prophet", "/bitcoin?date=2024-06-01T12:00:00Z", "/forecast/BTC-USD"),
    *(
        "/forecast/BTC-USD?model=prophet",
        PROBABILITY.format("BTC-USD"),
        "/pairs",
        "/risk/BTC-USD",
        "/model",
        "/scorecard",
        "/version",
    ),
    *("/readyz", "/fresh", "/docs", "/openapi.json", "/", "/page/BTC-USD/", "/page/BTC-USD.json"),
    "/page/BTC-USD/record.json",
]
OF_ONE_PAIR = re.compile("/(bitcoin|forecast|probability|risk|page/BTC-USD|$)")
NOT_RESTING = ["/livez", "/metrics", "/docs/start.js", "/nowhere", "/bitcoin"]
MARK = "Crypto-Predict-Simulated"


# Bitcoin's prices are real in the third, Ether's are not.
REAL, SIMULATED, MIXED = (client(make_model(BTC, ETH, simulated=simulated), now) for simulated in (False, True, {ETH}))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a model that was trained long ago."""
    with serving_model(make_model(BTC, ETH), tmp_path_factory.mktemp("real")) as served:
        yield served


@pytest.mark.parametrize("path", RESTING_ON_PRICES)
def test_every_answer_that_rests_on_invented_prices_is_marked(path: str) -> None:
    """In answers to GET and HEAD, and in 304."""
    for served, expected in ((REAL, None), (SIMULATED, "true"), (MIXED, None if OF_ONE_PAIR.match(path) else "true")):
        for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"If-None-Match": "*"})):
            answer = served.open(path, method=method, headers=headers)
            assert answer.headers.get(MARK) == expected


@pytest.mark.parametrize("path", NOT_RESTING)
def test_answers_that_do_not_rest_on_prices_are_not_marked(path: str) -> None:
    assert MARK not in SIMULATED.get(path).headers


@pytest.mark.parametrize(
    ("path", "values"),
    [
        *(
            (path, [True])
            for path in ("/readyz", "/fresh", "/version", "/model", PROBABILITY.format("ETH-USD"), "/risk/ETH-USD")
        ),
        ("/pairs", [False, True]),
        ("/forecast/ETH-USD?end=2024-05-19", [True, True]),
        ("/forecast/BTC-USD?end=2024-05-19", [False, False]),
    ],
)
def test_newer_answers_have_a_member_for_invented_prices(path: str, values: list[bool]) -> None:
    """A program that reads the body alone must not miss it; here Ether's prices are invented."""
    body = MIXED.get(path).json
    assert body is not None
    assert [row["simulated"] for row in (body if isinstance(body, list) else [body])] == values


def test_a_page_of_another_origin_may_read_every_header_of_this_project(real: Served) -> None:
    """A browser hides all others from a script."""
    for path in (BITCOIN, "/forecast/BTC-USD", "/nowhere", "/docs"):
        answer = requests.get(f"{real.url}{path}", headers={"Origin": "https://example.org"}, timeout=30)
        ours = {*response.PROVENANCE, response.STALE[0], *response.SERIES}
        exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        assert exposed == {*ours, "Date", "ETag", "Link", "Retry-After"}


def test_a_stale_model_is_reported_in_days(real: Served) -> None:
    """At the start and at /fresh, with both ages."""
    (warning,) = real.events(startup.STALE)
    assert all(re.fullmatch(r"[0-9,]+ days", warning[name]) for name in ("age", "newest_price_age"))
    assert warning["stale_after"] == "24 hours"
    stale = requests.get(f"{real.url}/fresh", timeout=30)
    assert stale.status_code == 503
    assert stale.json()["candle_age_seconds"] - stale.json()["age_seconds"] == 647
    assert re.search(r"trained [0-9,]+ days ago, the newest price is [0-9,]+ days old", stale.json()["detail"])


READ_BY_SOMEBODY = [
    *(name.removeprefix("HTTP_").replace("_", "-").title() for name in sorted(sending.CONDITIONS)),
    *("Range", "If-Range", "Accept", "Accept-Encoding", "Accept-Language", "Accept-Charset", "Authorization", "Cookie"),
    *("Content-Type", "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", "Forwarded"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "User-Agent", "Referer", "Cache-Control", "Pragma"),
    *("Max-Forwards", "Date", "From", "Te", "Upgrade", "Via", "Warning", "Proxy-Authorization"),
    "X-Http-Method-Override",
]
HARD = [
    *("9" * 5_000, "-1", "bytes=" + "9" * 400 + "-", "bytes=" + ",".join(["0-1"] * 500), "*", '"', 'W/"'),
    "=?utf-8?b?/w==?=",
    *("Sun, 01 Nov 99999999999 10:12:00 GMT", "Mon, 01 Jan 0000 00:00:00 GMT", "Basic ====", "Digest " + "a=" * 500),
    *("text/html;q=1e999", "text/html;q=nan", ";" * 2_000, "," * 2_000, "a=" + '"' * 500, "\xff\xfe"),
    *("%00%0d%0a", "[::1"),
    *('multipart/form-data; boundary="', "text/plain; charset=\xe4", "a/b; x*=utf-8''%ff", "GET", "HTTP/2.0, h2c"),
]
VALUES = st.sampled_from(HARD) | st.text(
    st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=200
).filter(lambda text: text.isprintable())


@given(
    st.sampled_from(["GET", "HEAD", "OPTIONS"]),
    st.sampled_from([*RESTING_ON_PRICES, *NOT_RESTING]),
    st.lists(st.tuples(st.sampled_from(READ_BY_SOMEBODY), VALUES), max_size=4),
)
@example("GET", BITCOIN, [("If-Modified-Since", "Sun, 01 Nov 99999999999 10:12:00 GMT")])
@example(
    "OPTIONS",
    "/pairs",
    [("Origin", "x"), ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "\xff")],
)
def test_headers_do_not_cause_faults_of_the_server(
    real: Served, method: str, path: str, headers: list[tuple[str, str]]
) -> None:
    """No parser may overflow or raise, whatever a client sends."""
    data = request(path, *(f"{name}: {value}" for name, value in headers)).replace(b"GET", method.encode(), 1)
    with socket.create_connection(real.address, timeout=30) as connection:
        connection.sendall(data)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
    assert answer.status < 500 or path == "/fresh"  # which is stale here
    assert answer.status in {200, 302, 304, 400, 404, 412, 503}


def test_each_header_alone_is_not_a_fault_of_the_server(real: Served) -> None:
    """Every header that is parsed, with every value that is hard to parse."""
    connection = http.client.HTTPConnection(*real.address, timeout=30)
    for path in (BITCOIN, "/pairs", "/docs"):
        for name in READ_BY_SOMEBODY:
            for value in HARD:
                connection.request("GET", path, headers={name: value})
                answer = connection.getresponse()
                answer.read()
                assert answer.status in {200, 304, 412}, (name, value)
    connection.close()


def test_no_answer_repeats_a_header_of_the_request(real: Served) -> None:
    """Except the one that a preflight requests."""
    mark = "x-no-such-thing"
    headers = dict.fromkeys(READ_BY_SOMEBODY, mark)
    for path in (*RESTING_ON_PRICES, *NOT_RESTING):
        answer = requests.get(f"{real.url}{path}", headers=headers, timeout=30, allow_redirects=False)
        assert mark not in json.dumps(dict(answer.headers))
