"""The addresses that are asked for most are answered without Flask, whatever the request."""

from collections.abc import Iterable
from typing import Any

import pytest
from werkzeug.test import Client

from crypto_predict.web.hot import hot
from tests.support.applications import service_of
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

SERVICE = service_of(make_model(BTC, ETH))
BEHIND: list[str] = []  # the addresses that were passed on


def behind(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    BEHIND.append(environ["PATH_INFO"])
    start_response("204 No Content", [])
    return []


CLIENT = Client(hot(behind, SERVICE.editions, lambda: TRAINED_AT))
ADDRESSES = ["/bitcoin", "/bitcoin?date=yesterday", "/bitcoin?date=2030-01-01", "/", "/page/ETH-USD/"]
ADDRESSES += ["/page/BTC-USD.json", "/page/BTC-USD/record.json"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "BREW"])
@pytest.mark.parametrize(
    "headers", [{}, {"If-None-Match": "*"}, {"If-Match": '"other"'}, {"Origin": "https://example.org"}], ids=str
)
def test_a_hot_address_has_one_way(address: str, method: str, headers: dict[str, str]) -> None:
    """Answers, errors, conditions and other methods: two ways would have to be kept equal."""
    BEHIND.clear()
    answer = CLIENT.open(address, method=method, headers=headers)
    assert BEHIND == []
    allowed = {"GET", "HEAD", "OPTIONS"}
    assert (answer.status_code == 405) == (method not in allowed)
    assert method in {"GET", "HEAD"} or set(answer.allow) == allowed
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]


@pytest.mark.parametrize(
    "path", ["/bitcoin/", "//", "/forecast/BTC-USD", "/page/DOGE-USD/", "/page/btc_usd/", "/page/BTC-USD", "/feed.xml"]
)
def test_any_other_address_is_passed_on(path: str) -> None:
    BEHIND.clear()
    assert CLIENT.open("/", environ_overrides={"PATH_INFO": path}).status_code == 204
    assert [path] == BEHIND


def test_an_empty_path_is_the_root() -> None:
    """As RFC 9112, section 3.2.2 has it."""
    assert CLIENT.open("/", environ_overrides={"PATH_INFO": ""}).data == CLIENT.get("/").data
