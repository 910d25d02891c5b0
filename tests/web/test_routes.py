import json
import logging
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.market import Pair
from tests.support.applications import client, problem
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

PROBLEM = "application/problem+json"
JSON = "application/json"
PROBABILITY = "/probability/BTC-USD?date=2024-06-01&above=70000"
MODEL_ANSWERS = [
    "/bitcoin?date=2024-06-01",
    "/forecast/BTC-USD",
    PROBABILITY,
    "/risk/BTC-USD",
    "/pairs",
    "/model",
    "/models",
    "/scorecard",
]
PAGE = ["/", "/page/BTC-USD/", "/page/BTC-USD.json", "/page/BTC-USD/record.json"]
EVERY_ANSWER = [*MODEL_ANSWERS, *PAGE, "/version", "/openapi.json", "/livez", "/readyz", "/fresh", "/metrics", "/docs"]
EVERY_FAULT = ["/bitcoin?date=", "/bitcoin?date=2030-01-01", "/forecast/DOGE-USD", "/probability/BTC-USD", "/nowhere"]
EVERY_FAULT += ["/docs/nothing.js", "/risk/BTC-USD?date=2024-03-01"]
CLIENT = client(make_model(BTC, ETH), lambda: TRAINED_AT + timedelta(hours=1))


BAD = [
    *("date", "date=", "date=2024-06-01&date=2024-06-02", "date=2024-02-30", "date=yesterday", "date=0000-01-01"),
    *("date=2024-06-01T12:00%2B25:00", "date=%00", "date=2024-06-01%00", "date=%ff%fe", "date=%zz"),
    *("date=%0d%0aSet-Cookie:%20a=b", "date=" + "9" * 10_000),
]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        *((query, "date") for query in BAD),
        *((f"date=2024-06-01&model={name}", "model") for name in ("", "Prophet", "lstm", "combined%20", "%00")),
        ("date=2024-06-01&when=now", "when"),
        ("when=now", "when"),
        ("x" * 10_000 + "=1", "x" * 80 + "..."),
    ],
)
def test_a_bad_query_is_400_and_names_the_parameter(query: str, parameter: str) -> None:
    """Whatever is wrong with a query, the answer names the parameter and stays short."""
    assert problem(CLIENT.get(f"/bitcoin?{query}"), 400)["parameter"] == parameter


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        *((f"/bitcoin?date={day}", "date") for day in ("9999-12-31", "2022-12-31", "2025-05-18")),
        *((f"/bitcoin?date={at}", "date") for at in ("2025-05-18T00:00:01Z", "2022-12-31T23:59:59Z")),
        # Year 1 and year 9999 have hours that UTC dates cannot express.
        *((f"/bitcoin?date={at}", "date") for at in ("9999-12-31T23:59-02:00", "0001-01-01T00:00%2B14:00")),
        *((f"/forecast/BTC-USD?start={day}", "start") for day in ("2022-12-31", "2030-01-01")),
        *((f"/forecast/BTC-USD?end={day}", "end") for day in ("2025-05-18", "2030-01-01")),
    ],
)
def test_a_time_outside_the_model_is_422_and_names_the_range(path: str, parameter: str) -> None:
    body = problem(CLIENT.get(path), 422)
    assert body["parameter"] == parameter
    assert str(body["detail"]).startswith(f"{parameter}: ")
    assert "lies outside the range of this model, 2023-01-01 to 2025-05-17" in str(body["detail"])


@pytest.mark.parametrize("pair", ["BTC-USD", "BTC/USD", "BTC%2FUSD", "btc%2fusd", "btc/usd", "Btc_Usd"])
def test_a_pair_in_a_path_may_be_written_in_several_ways(pair: str) -> None:
    response = CLIENT.get(f"/forecast/{pair}?start=2024-06-01&end=2024-06-02")
    assert [row["date"] for row in json.loads(response.data)] == ["2024-06-01", "2024-06-02"]


def test_an_unknown_pair_is_404_and_names_those_of_the_model() -> None:
    for path in ("/forecast/DOGE-USD", "/probability/DOGE-USD?date=2024-06-01&above=1", "/risk/DOGE-USD"):
        body = problem(CLIENT.get(path), 404)
        assert body["parameter"] == "pair"
        assert "'DOGE/USD' is not in this model, which holds BTC/USD, ETH/USD" in str(body["detail"])


@pytest.mark.parametrize("pair", ["money", "BTC", "BTC-USD-EUR", "B-U", "%00", "BTC//USD", "x" * 3_000])
def test_a_malformed_pair_is_400(pair: str) -> None:
    body = problem(CLIENT.get(f"/forecast/{pair}"), 400)
    assert (body["parameter"], "two currencies such as BTC/USD" in str(body["detail"])) == ("pair", True)


@pytest.mark.parametrize("path", ["/pairs", "/model", "/models", "/scorecard", "/version"])
def test_a_parameter_is_refused_where_none_is_taken(path: str) -> None:
    """A request for one pair must not silently get all of them."""
    body = problem(CLIENT.get(f"{path}?pair=BTC-USD"), 400)
    assert body["parameter"] == "pair"
    assert str(body["detail"]).startswith("'pair' is not a parameter of this address, which takes ")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/bitcoin/", "/forecast/", "/docs/", "/docs/../api.py", "/docs//start.js", "/%ff", "/docs/%00"]
)
def test_404_refers_to_the_documentation(path: str) -> None:
    assert "/docs" in str(problem(CLIENT.get(path), 404)["detail"])


@pytest.mark.parametrize("path", EVERY_ANSWER)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_another_method_is_405_and_lists_the_allowed_ones(path: str, method: str) -> None:
    response = CLIENT.open(path, method=method)
    problem(response, 405)
    assert set(response.allow) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", [*EVERY_ANSWER, *EVERY_FAULT])
def test_head_equals_get_without_the_body(path: str) -> None:
    got, head = CLIENT.get(path), CLIENT.head(path)
    assert (got.status_code == 200) == (path in EVERY_ANSWER)
    assert head.data == b""
    assert head.status == got.status
    varying = {"Content-Length"} if path == "/metrics" else set()
    assert [item for item in head.headers if item[0] not in varying] == [
        item for item in got.headers if item[0] not in varying
    ]


@pytest.mark.parametrize("path", [*EVERY_ANSWER, *EVERY_FAULT])
def test_every_origin_may_read_every_answer(path: str) -> None:
    """Errors too: a browser hides an error without this header from the page."""
    for headers in ({}, {"Origin": "https://example.org"}):
        response = CLIENT.get(path, headers=headers)
        assert response.headers.getlist("Access-Control-Allow-Origin") == ["*"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_preflight_allows_reading() -> None:
    preflight = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    response = CLIENT.options("/bitcoin", headers=preflight)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert int(response.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("path", MODEL_ANSWERS)
def test_answers_of_the_model_may_be_cached_until_the_next_retrain(path: str) -> None:
    headers = CLIENT.get(path).headers
    assert headers["Cache-Control"] == "public, max-age=18000"
    assert headers["Last-Modified"] == "Sat, 18 May 2024 12:10:47 GMT"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/fresh", "/metrics"])
def test_a_probe_is_never_cached_and_may_have_any_parameters(path: str) -> None:
    """A parameter that a platform's probe adds must not take the service out of rotation."""
    answer = CLIENT.get(f"{path}?cachebuster=1")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def test_a_stopping_server_is_alive_but_not_ready() -> None:
    draining = threading.Event()
    served = client(make_model(BTC, ETH), draining=draining)
    assert served.get("/readyz").status_code == 200
    draining.set()
    problem(served.get("/readyz", headers={"If-None-Match": "*"}), 503)  # whatever the condition
    assert served.get("/livez").status_code == 200
    for path in ("/bitcoin?date=2024-06-01", "/"):  # readers who are there are served until the end
        assert served.get(path).status_code == 200


def test_a_fault_of_the_server_is_logged_and_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback goes to the log, and no part of it to the client."""

    def broken() -> datetime:
        raise RuntimeError("the secret inside")

    with caplog.at_level(logging.ERROR):
        response = client(make_model(), broken).get("/fresh")
    body = problem(response, 500)
    assert "secret" not in json.dumps(body)
    assert "the secret inside" in caplog.text
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", EVERY_ANSWER)
def test_no_text_of_the_card_reaches_a_header(path: str) -> None:
    """Headers are Latin-1 without line ends; the name of a release, a source or a revision may be any text."""
    model = make_model(BTC, simulated=True)
    card = replace(model.card, version="1.0\n\u00e4\u2603", build="\r\nSet-Cookie: a=b", git_revision="\u2028")
    served = client(replace(model, card=card))
    response = served.get(path)
    assert response.status_code == 200
    assert all(value.isascii() and value.isprintable() for _, value in response.headers)


def test_the_page_loads_from_this_server_only() -> None:
    response = CLIENT.get("/docs")
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "://" not in response.get_data(as_text=True)


@pytest.mark.parametrize("name", ["start.js", "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"])
def test_every_file_of_the_page_is_local(name: str) -> None:
    response = CLIENT.get(f"/docs/{name}")
    assert response.status_code == 200
    assert len(response.data) > 100
    assert f"/docs/{name}" in CLIENT.get("/docs").get_data(as_text=True)


def test_swagger_ui_does_not_send_the_document_to_a_validator() -> None:
    """By default it sends the address to a validator on the internet."""
    assert "validatorUrl: null" in CLIENT.get("/docs/start.js").get_data(as_text=True)


@given(st.sampled_from(["/bitcoin", "/forecast/BTC-USD", "/pairs"]), st.text(), st.text(), st.text())
def test_requests_do_not_cause_faults_of_the_server(path: str, name: str, value: str, segment: str) -> None:
    """Any request is answered, or the answer explains what is wrong with it."""
    for url in (f"{path}?{quote(name)}={quote(value)}", f"/bitcoin?date={quote(value)}", f"/forecast/{quote(segment)}"):
        response = CLIENT.get(url)
        assert response.status_code in {200, 400, 404, 422}
        if response.status_code != 200:
            assert response.content_type == PROBLEM


def test_a_pair_is_also_answered_by_the_name_of_what_is_traded_in_its_place() -> None:
    """Binance trades Tether in place of dollars: what it has of ETH/USD is collected as ETH/USDT."""
    model = make_model(BTC, ETH)
    ether = replace(model.card.pairs[ETH], traded=Pair("ETH", "USDT"))
    served = client(
        replace(model, card=replace(model.card, pairs={**model.card.pairs, ETH: ether})), lambda: TRAINED_AT
    )
    for path in ("/forecast/{}", "/probability/{}?date=2024-06-01&above=3000", "/risk/{}"):
        assert served.get(path.format("ETH-USDT")).data == served.get(path.format("ETH-USD")).data
    assert problem(served.get("/forecast/BTC-USDT"), 404)["parameter"] == "pair"
