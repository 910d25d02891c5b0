import json
import logging
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.support.applications import client
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

PROBLEM = "application/problem+json"
JSON = "application/json"
MODEL_ANSWERS = ["/bitcoin?date=2024-06-01", "/forecast/BTC-USD", "/pairs", "/model"]
EVERY_ANSWER = [*MODEL_ANSWERS, "/version", "/openapi.json", "/livez", "/readyz", "/fresh", "/metrics", "/docs"]
EVERY_FAULT = ["/bitcoin", "/bitcoin?date=2030-01-01", "/forecast/DOGE-USD", "/nowhere", "/docs/nothing.js"]


CLIENT = client(make_model(BTC, ETH), lambda: TRAINED_AT + timedelta(hours=1))


def problem(response: TestResponse, status: int) -> dict[str, object]:
    """The body of an answer that must be a problem with this status."""
    assert response.status_code == status
    assert response.content_type == PROBLEM
    assert response.headers["Cache-Control"] == "no-store"
    body = json.loads(response.data)
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    return dict(body)


@pytest.mark.parametrize("path", EVERY_ANSWER)
def test_every_address_answers(path: str) -> None:
    assert CLIENT.get(path).status_code == 200


def test_the_root_leads_to_the_documentation() -> None:
    response = CLIENT.get("/")
    assert response.status_code == 302
    assert response.location == "/docs"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "date"),
        ("date", "date"),
        ("date=", "date"),
        ("date=2024-06-01&date=2024-06-02", "date"),
        ("date=2024-06-01&when=now", "when"),
        ("when=now", "when"),
        ("date=2024-02-30", "date"),
        ("date=yesterday", "date"),
        ("date=2024-06-01T12:00%2B25:00", "date"),
        ("date=0000-01-01", "date"),
        ("date=%00", "date"),
        ("date=2024-06-01%00", "date"),
        ("date=%ff%fe", "date"),
        ("date=%zz", "date"),
        ("date=%0d%0aSet-Cookie:%20a=b", "date"),
        ("date=" + "9" * 10_000, "date"),
        ("x" * 10_000 + "=1", "x" * 80 + "..."),
    ],
)
def test_a_bad_query_is_answered_with_400_and_the_parameter(query: str, parameter: str) -> None:
    """Whatever is wrong with a question, the answer names the parameter and stays short."""
    response = CLIENT.get(f"/bitcoin?{query}")
    body = problem(response, 400)
    assert body["parameter"] == parameter
    assert len(response.data) < 1_000


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/bitcoin?date=9999-12-31", "date"),
        ("/bitcoin?date=9999-12-31T23:59-02:00", "date"),
        ("/bitcoin?date=0001-01-01T00:00%2B14:00", "date"),
        ("/forecast/BTC-USD?start=2022-12-31", "start"),
        ("/forecast/BTC-USD?end=2025-05-18", "end"),
    ],
)
def test_a_time_outside_the_model_is_answered_with_422_and_the_range(path: str, parameter: str) -> None:
    body = problem(CLIENT.get(path), 422)
    assert body["parameter"] == parameter
    assert "2023-01-01 to 2025-05-17" in str(body["detail"])


@pytest.mark.parametrize("pair", ["BTC-USD", "BTC/USD", "BTC%2FUSD", "btc%2fusd"])
def test_a_pair_is_found_however_it_is_written(pair: str) -> None:
    response = CLIENT.get(f"/forecast/{pair}?start=2024-06-01&end=2024-06-02")
    assert [row["date"] for row in json.loads(response.data)] == ["2024-06-01", "2024-06-02"]


def test_a_pair_that_the_model_lacks_is_answered_with_404_and_those_it_holds() -> None:
    body = problem(CLIENT.get("/forecast/DOGE-USD"), 404)
    assert body["parameter"] == "pair"
    assert "BTC/USD, ETH/USD" in str(body["detail"])


def test_what_is_no_pair_is_answered_with_400() -> None:
    assert problem(CLIENT.get("/forecast/money"), 400)["parameter"] == "pair"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/bitcoin/", "/forecast/", "/docs/", "/docs/../api.py", "/docs//start.js", "/%ff", "/docs/%00"]
)
def test_where_there_is_nothing_the_answer_says_where_there_is_something(path: str) -> None:
    assert "/docs" in str(problem(CLIENT.get(path), 404)["detail"])


@pytest.mark.parametrize("path", [*EVERY_ANSWER, "/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_another_method_is_answered_with_405_and_those_that_are_possible(path: str, method: str) -> None:
    response = CLIENT.open(path, method=method)
    problem(response, 405)
    assert set(response.allow) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", [*EVERY_ANSWER, *EVERY_FAULT, "/"])
def test_head_says_what_get_says_without_a_body(path: str) -> None:
    got, head = CLIENT.get(path), CLIENT.head(path)
    assert head.data == b""
    assert head.status == got.status
    varying = {"Content-Length"} if path == "/metrics" else set()
    assert [item for item in head.headers if item[0] not in varying] == [
        item for item in got.headers if item[0] not in varying
    ]


@pytest.mark.parametrize("path", [*EVERY_ANSWER, *EVERY_FAULT])
def test_every_origin_may_read_every_answer(path: str) -> None:
    """A page of any origin may ask, errors included: a browser shows an error without this header as none at all."""
    for headers in ({}, {"Origin": "https://example.org"}):
        response = CLIENT.get(path, headers=headers)
        assert response.headers.getlist("Access-Control-Allow-Origin") == ["*"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_preflight_allows_reading() -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    response = CLIENT.options("/bitcoin", headers=asked)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert int(response.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("path", [*MODEL_ANSWERS, "/version", "/openapi.json"])
def test_a_copy_that_is_still_good_is_not_sent_again(path: str) -> None:
    first = CLIENT.get(path)
    for condition in (
        {"If-None-Match": first.headers["ETag"]},
        {"If-None-Match": f'"other", {first.headers["ETag"]}'},
        {"If-None-Match": f"W/{first.headers['ETag']}"},
        {"If-None-Match": "*"},
        {"If-Modified-Since": first.headers["Last-Modified"]},
    ):
        for method in ("GET", "HEAD"):
            response = CLIENT.open(path, method=method, headers=condition)
            assert (response.status_code, response.data) == (304, b"")
            assert response.headers["ETag"] == first.headers["ETag"]
            assert response.headers["Cache-Control"] == first.headers["Cache-Control"]


@pytest.mark.parametrize(
    "condition",
    [
        {"If-None-Match": '"other"'},
        {"If-None-Match": "nonsense \x7f"},
        {"If-Modified-Since": "Fri, 17 May 2024 00:00:00 GMT"},
        {"If-Modified-Since": "not a date"},
        {"If-Modified-Since": "Fri, 99 May 99999 00:00:00 GMT"},
        {"If-None-Match": '"other"', "If-Modified-Since": "Sat, 18 May 2024 12:10:47 GMT"},
        {"Range": "bytes=0-3"},
    ],
)
def test_a_copy_that_is_not_known_to_be_good_is_replaced(condition: dict[str, str]) -> None:
    """Among them conditions that make no sense, and a tag that differs where the time does not."""
    response = CLIENT.get("/bitcoin?date=2024-06-01", headers=condition)
    assert response.status_code == 200
    assert response.data == CLIENT.get("/bitcoin?date=2024-06-01").data


def test_a_bad_question_is_refused_even_where_the_copy_is_good() -> None:
    problem(CLIENT.get("/bitcoin?date=yesterday", headers={"If-None-Match": "*"}), 400)


@pytest.mark.parametrize("path", MODEL_ANSWERS)
def test_answers_of_the_model_may_be_kept_until_the_next_retrain(path: str) -> None:
    headers = CLIENT.get(path).headers
    assert headers["Cache-Control"] == "public, max-age=18000"
    assert headers["Last-Modified"] == "Sat, 18 May 2024 12:10:47 GMT"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/fresh", "/metrics"])
def test_the_state_of_the_server_is_never_kept(path: str) -> None:
    assert CLIENT.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/fresh", "/metrics"])
def test_a_probe_may_carry_what_it_likes(path: str) -> None:
    """A parameter that a platform's probe adds must not take the service out of rotation."""
    assert CLIENT.get(f"{path}?cachebuster=1").status_code == 200


def test_a_server_that_drains_is_alive_but_not_ready() -> None:
    draining = threading.Event()
    served = client(make_model(BTC, ETH), draining=draining)
    assert served.get("/readyz").status_code == 200
    draining.set()
    problem(served.get("/readyz"), 503)
    assert served.get("/livez").status_code == 200
    assert served.get("/bitcoin?date=2024-06-01").status_code == 200


def test_a_fault_of_the_server_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback belongs into the log, and nothing of it to a stranger."""

    def broken() -> datetime:
        raise RuntimeError("the secret inside")

    with caplog.at_level(logging.ERROR):
        response = client(make_model(), broken).get("/fresh")
    body = problem(response, 500)
    assert "secret" not in json.dumps(body)
    assert "the secret inside" in caplog.text
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", [*EVERY_ANSWER, "/scorecard"])
def test_no_text_of_the_card_reaches_a_header(path: str) -> None:
    """Headers are Latin-1 without line ends; a release's name, a source or a revision may be anything."""
    model = make_model(BTC, simulated=True)
    card = replace(model.card, version="1.0\n\u00e4\u2603", build="\r\nSet-Cookie: a=b", git_revision="\u2028")
    served = client(replace(model, card=card))
    response = served.get(path)
    assert response.status_code == 200
    assert all(value.isascii() and value.isprintable() for _, value in response.headers)


def test_the_page_allows_nothing_from_elsewhere() -> None:
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


def test_swagger_ui_sends_the_document_to_no_validator() -> None:
    """Its default is to hand the address to a validator on the internet."""
    assert "validatorUrl: null" in CLIENT.get("/docs/start.js").get_data(as_text=True)


@given(st.sampled_from(["/bitcoin", "/forecast/BTC-USD", "/pairs"]), st.text(), st.text(), st.text())
def test_no_question_is_a_fault_of_the_server(path: str, name: str, value: str, segment: str) -> None:
    """Whatever is asked, the answer is an answer or says what is wrong with the question."""
    for url in (f"{path}?{quote(name)}={quote(value)}", f"/bitcoin?date={quote(value)}", f"/forecast/{quote(segment)}"):
        response = CLIENT.get(url)
        assert response.status_code in {200, 400, 404, 422}
        if response.status_code != 200:
            assert response.content_type == PROBLEM
