"""Conditional requests by RFC 9110, section 13, at every address."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.web.http import sending
from tests.support.applications import client
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

CLIENT = client(make_model(BTC, ETH), lambda: TRAINED_AT + timedelta(hours=1))
WITH_VALIDATORS = [
    *("/bitcoin?date=2024-06-01", "/forecast/BTC-USD", "/probability/BTC-USD?date=2024-06-01&above=70000"),
    *("/risk/BTC-USD", "/pairs", "/model", "/scorecard", "/version", "/openapi.json"),
]
WITHOUT = ["/docs", "/docs/swagger-ui.css", "/livez", "/readyz", "/fresh", "/metrics"]
ETAG = CLIENT.get("/pairs").headers["ETag"]
MODIFIED = "Sat, 18 May 2024 12:10:47 GMT"
BEFORE, AFTER = "Fri, 17 May 2024 12:10:47 GMT", "Sun, 19 May 2024 12:10:47 GMT"
METHODS = pytest.mark.parametrize("method", ["GET", "HEAD"])

# Headers of a request, and the status of an answer that has validators and of one that has none.
CASES: list[tuple[dict[str, str], int, int]] = [
    ({"If-Match": ETAG}, 200, 412),
    ({"If-Match": "*"}, 200, 200),
    ({"If-Match": '"other"'}, 412, 412),
    ({"If-Match": f'"other", {ETAG}'}, 200, 412),
    ({"If-Match": f'"other",,\t{ETAG} ,'}, 200, 412),
    ({"If-Match": f"W/{ETAG}"}, 412, 412),  # a weak tag never matches strongly
    ({"If-Match": ETAG.strip('"')}, 412, 412),
    ({"If-Match": ""}, 412, 412),
    ({"If-Unmodified-Since": MODIFIED}, 200, 200),
    ({"If-Unmodified-Since": AFTER}, 200, 200),
    ({"If-Unmodified-Since": BEFORE}, 412, 200),
    ({"If-Unmodified-Since": "yesterday"}, 200, 200),
    ({"If-None-Match": ETAG}, 304, 200),
    ({"If-None-Match": f"W/{ETAG}"}, 304, 200),
    ({"If-None-Match": f'W/"other", {ETAG}'}, 304, 200),
    ({"If-None-Match": "*"}, 304, 304),
    ({"If-None-Match": '"other"'}, 200, 200),
    ({"If-None-Match": ETAG.strip('"')}, 200, 200),
    ({"If-Modified-Since": MODIFIED}, 304, 200),
    ({"If-Modified-Since": AFTER}, 304, 200),
    ({"If-Modified-Since": BEFORE}, 200, 200),
    ({"If-Modified-Since": "Saturday, 18-May-24 12:10:47 GMT"}, 304, 200),
    ({"If-Modified-Since": "Sat May 18 12:10:47 2024"}, 304, 200),
    ({"If-Modified-Since": "Sat, 18 May 2024 12:10:46 GMT"}, 200, 200),
    ({"If-Modified-Since": "Sun, 01 Nov 99999999999 10:12:00 GMT"}, 200, 200),
    ({"If-Modified-Since": "Mon, 01 Jan 0001 00:00:00 GMT"}, 200, 200),  # what some clients call never
    # The order of section 13.2.2: If-Match hides If-Unmodified-Since, If-None-Match hides If-Modified-Since.
    ({"If-Match": ETAG, "If-Unmodified-Since": BEFORE}, 200, 412),
    ({"If-Match": '"other"', "If-Unmodified-Since": AFTER}, 412, 412),
    ({"If-None-Match": '"other"', "If-Modified-Since": AFTER}, 200, 200),
    ({"If-None-Match": ETAG, "If-Modified-Since": BEFORE}, 304, 200),
    ({"If-Match": ETAG, "If-None-Match": ETAG}, 304, 412),
    ({"If-Match": '"other"', "If-None-Match": ETAG}, 412, 412),
    ({"If-Match": ETAG, "If-Modified-Since": AFTER}, 304, 412),
    ({"If-Unmodified-Since": BEFORE, "If-None-Match": ETAG}, 412, 200),
    ({"If-Unmodified-Since": AFTER, "If-Modified-Since": AFTER}, 304, 200),
    # Range requests are not supported, so their conditions are ignored too.
    ({"Range": "bytes=0-3"}, 200, 200),
    ({"Range": "bytes=0-3", "If-Range": '"other"'}, 200, 200),
]


@METHODS
@pytest.mark.parametrize(("headers", "status", "without"), CASES, ids=str)
def test_conditions_have_their_precedence(headers: dict[str, str], status: int, without: int, method: str) -> None:
    """At every address, with validators or without."""
    for paths, expected in ((WITH_VALIDATORS, status), (WITHOUT, without)):
        answers = {path: CLIENT.open(path, method=method, headers=headers) for path in paths}
        assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(paths, expected)
        whole = [path for path in paths if (expected, method) == (200, "GET") and path != "/metrics"]
        assert [path for path in whole if answers[path].data != CLIENT.get(path).data] == []


@pytest.mark.parametrize("path", [*WITH_VALIDATORS, *WITHOUT])
def test_a_failed_condition_is_a_problem(path: str) -> None:
    answer = CLIENT.get(path, headers={"If-Match": '"other"'})
    assert (answer.status_code, answer.content_type) == (412, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    body = json.loads(answer.data)
    assert (body["status"], body["title"]) == (412, "Precondition Failed")
    assert "If-Match" in body["detail"]


@pytest.mark.parametrize("path", WITH_VALIDATORS)
def test_304_has_the_headers_that_a_cache_updates(path: str) -> None:
    """RFC 9110, section 15.4.5: no header describes a body, which 304 does not have."""
    whole, copy = CLIENT.get(path), CLIENT.get(path, headers={"If-None-Match": "*"})
    assert (copy.status_code, copy.data) == (304, b"")
    dropped = {"Content-Type", "Content-Length", "Last-Modified"}
    assert sorted(copy.headers) == sorted(item for item in whole.headers if item[0] not in dropped)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/page/btc_usd", 302), ("/bitcoin?date=yesterday", 400), ("/bitcoin?date=2030-01-01", 422), ("/nowhere", 404)],
)
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_conditions_do_not_apply_to_errors_and_redirects(path: str, status: int, name: str) -> None:
    """RFC 9110, section 13.2.1: an error stays that error."""
    for value in ("*", '"other"', ETAG):
        assert CLIENT.get(path, headers={name: value}).status_code == status


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "DELETE"])
def test_conditions_apply_to_get_and_head_only(method: str) -> None:
    plain = CLIENT.open("/pairs", method=method)
    assert CLIENT.open("/pairs", method=method, headers={"If-Match": '"other"'}).status == plain.status


def test_repeated_condition_headers_are_one_list() -> None:
    """Each of two fields has a tag; the server joins them with a comma, as the standard says."""
    answer = CLIENT.get("/pairs", headers=[("If-None-Match", '"other"'), ("If-None-Match", ETAG)])
    assert answer.status_code == 304


NUMBERS = st.integers(0, 10**40).map(str) | st.sampled_from(["0", "00", "31", "99", "-1", "99999999999", "9" * 5_000])
WEEKDAYS, MONTHS = ["Sun", "Sunday", "", "Sun" * 1_000], ["Nov", "Feb", "nov", "13", ""]
ZONES = ["GMT", "+9999999999", "-0000", "UTC", "", "GMT" * 1_000]
PARTS = [st.sampled_from(WEEKDAYS), NUMBERS, st.sampled_from(MONTHS), *[NUMBERS] * 4, st.sampled_from(ZONES)]
DATE_LIKE = st.builds("{}, {} {} {} {}:{}:{} {}".format, *PARTS)


@given(DATE_LIKE | st.text(), st.sampled_from(["If-Modified-Since", "If-Unmodified-Since"]))
def test_a_date_that_cannot_be_parsed_is_ignored(text: str, name: str) -> None:
    """Also if the day or the year does not exist, or a number overflows."""
    value = text.encode("ascii", "ignore").decode().translate({13: None, 10: None, 0: None})
    assert CLIENT.get("/pairs", headers={name: value}).status_code in {200, 304, 412}


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_date_of_the_calendar_is_parsed(instant: datetime) -> None:
    """In the preferred form, and compared with the training to the second."""
    written = f"{instant:%a}, {instant.day:02} {instant:%b} {instant.year:04} {instant:%H:%M:%S} GMT"
    expected = 304 if instant.replace(microsecond=0) >= TRAINED_AT else 200
    assert CLIENT.get("/pairs", headers={"If-Modified-Since": written}).status_code == expected


def test_a_weak_tag_does_not_match_strongly() -> None:
    """No answer has a weak tag today; the rule must not depend on that."""
    assert sending.evaluate({"HTTP_IF_MATCH": 'W/"a"'}, 'W/"a"', None) == 412
    assert sending.evaluate({"HTTP_IF_NONE_MATCH": '"a"'}, 'W/"a"', None) == 304
