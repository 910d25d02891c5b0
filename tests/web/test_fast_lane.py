import threading
from collections.abc import Iterable

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from crypto_predict.web.app import FastLane, create_flask_app, create_service
from tests.support.applications import client
from tests.support.models import BTC, ETH, TRAINED_AT, make_model
from tests.support.serving import SETTINGS

SERVICE = create_service(make_model(BTC, ETH), SETTINGS, lambda: TRAINED_AT, threading.Event())
HEADERS_NOW = dict(SERVICE.editions.current.snapshot.validity.revalidated(TRAINED_AT))
ETAG, MODIFIED = HEADERS_NOW["ETag"], HEADERS_NOW["Last-Modified"]
FLASK: Flask = create_flask_app(SERVICE)
BEHIND: list[str] = []  # the questions that the fast lane handed on


def behind(environ: dict[str, object], start_response: object) -> Iterable[bytes]:
    BEHIND.append(str(environ["QUERY_STRING"]))
    return FLASK(environ, start_response)  # type: ignore[arg-type]  # WSGI's own types are not public


FAST = Client(FastLane(behind, SERVICE))
SLOW = Client(FLASK)

QUESTIONS = [
    "date=2024-06-01",
    "date=2023-01-01",
    "date=2025-05-17",
    "&date=2024-06-01&",
    "date=2024%2D06%2D01",
    "date=2024-06-01T12:34:56.789Z",
    "date=2024-06-01T12:00%2B02:00",
    "date=2024-06-01T12:00+02:00",
    "date=2024-06-01%2012:00",
    "",
    "date",
    "date=yesterday",
    "date=2030-01-01",
    "date=9999-12-31T23:59-02:00",
    "date=2024-06-01&date=2024-06-01",
    "date=2024-06-01&other=1",
    "date=%ff%00",
    "date=\xff",
    "date=" + "1" * 10_000,
]
HEADERS: list[dict[str, str]] = [
    {},
    {"Origin": "https://example.org"},
    {"If-None-Match": ETAG},
    {"If-None-Match": '"other"'},
    {"If-Modified-Since": MODIFIED},
    {"Range": "bytes=0-1"},
    {"Host": "a..b"},
    {"Host": "x" * 300},
    {"Host": "not a host!"},
    {"Accept": "text/html", "Accept-Encoding": "gzip", "Cookie": "a=b", "Cache-Control": "no-cache"},
]
PAGES = ["/", "/page/ETH-USD/", "/page/BTC-USD.json", "/page/BTC-USD/record.json", "/page/XYZ-USD/", "/page/btc-usd/"]


def assert_the_same(query: str, headers: dict[str, str], method: str = "GET", path: str = "/bitcoin") -> None:
    fast, slow = (lane.open(path, query_string=query, headers=headers, method=method) for lane in (FAST, SLOW))
    assert fast.status == slow.status
    assert list(fast.headers) == list(slow.headers)
    assert fast.data == slow.data


@pytest.mark.parametrize("headers", HEADERS, ids=str)
@pytest.mark.parametrize("query", QUESTIONS, ids=lambda query: query[:40])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_both_lanes_give_the_same_status_headers_and_bytes(query: str, headers: dict[str, str], method: str) -> None:
    """The fast lane must be a shorter way to the same answer, not a second program."""
    assert_the_same(query, headers, method)


@pytest.mark.parametrize(
    "headers", [*HEADERS, {"Accept-Encoding": "gzip, br"}, {"Accept-Encoding": "gzip;q=0"}], ids=str
)
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_both_lanes_give_the_same_page(path: str, headers: dict[str, str], method: str) -> None:
    assert_the_same("pair=<script>", headers, method, path)


@pytest.mark.parametrize("path", PAGES[:4])
def test_a_page_does_not_reach_flask(path: str) -> None:
    BEHIND.clear()
    assert FAST.get(path, headers={"Accept-Encoding": "gzip"}).status_code == 200
    assert BEHIND == []


@given(st.dates().map(str) | st.datetimes().map(str) | st.text(alphabet=st.characters(max_codepoint=255)))
def test_both_lanes_agree_about_any_query(value: str) -> None:
    assert_the_same(f"date={value}", {})


@pytest.mark.parametrize("query", QUESTIONS[:9])
def test_a_valid_query_does_not_reach_flask(query: str) -> None:
    """Otherwise the fast lane would agree with Flask by never answering."""
    BEHIND.clear()
    assert FAST.get(f"/bitcoin?{query}").status_code == 200
    assert BEHIND == []


def test_the_whole_application_contains_both_lanes() -> None:
    app = client(make_model(BTC, ETH))
    assert list(app.get("/bitcoin?date=2024-06-01").headers) == list(SLOW.get("/bitcoin?date=2024-06-01").headers)
    assert app.get("/pairs").data == SLOW.get("/pairs").data
