"""``/bitcoin`` without a date: the price at the end of the present UTC day."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from werkzeug.test import Client

from tests.support.applications import client
from tests.support.models import LAST, make_model

NOON = datetime.combine(LAST, datetime.min.time(), UTC) + timedelta(days=9, hours=12)


class Present:
    """An application at a time that a test moves."""

    def __init__(self) -> None:
        self.now = NOON
        self.client: Client = client(make_model(), lambda: self.now)


def test_the_answer_is_that_of_the_present_day_and_changes_at_midnight() -> None:
    """It has the same bytes as if the day had been named; both lanes answer so, also with other parameters."""
    present = Present()
    for now in (NOON, NOON + timedelta(hours=11, minutes=59, seconds=59), NOON + timedelta(hours=12)):
        present.now = now
        named = present.client.get(f"/bitcoin?date={now.date()}")
        for query in ("", "?", "?model=combined"):
            answer = present.client.get(f"/bitcoin{query}")
            assert (answer.status_code, answer.data) == (200, named.data)
            assert json.loads(answer.data)["date"] == f"{now:%a, %d %b %Y} 00:00:00 GMT"
        assert present.client.get("/bitcoin", headers={"If-None-Match": '"other"'}).data == named.data


@pytest.mark.parametrize(("before", "seconds"), [(timedelta(hours=12), None), (timedelta(seconds=5), 5)])
def test_no_cache_keeps_the_answer_beyond_midnight(before: timedelta, seconds: int | None) -> None:
    present = Present()
    present.now = NOON + timedelta(hours=12) - before
    kept = present.client.get("/bitcoin").cache_control.max_age
    assert kept is not None
    assert 0 <= kept <= before.total_seconds()
    assert seconds in {None, kept}


def test_a_copy_of_yesterday_is_not_still_good() -> None:
    """One of today is; the tag is another one than that of a named day, whose answer does not change."""
    present = Present()
    today = present.client.get("/bitcoin")
    assert today.headers["ETag"] != present.client.get(f"/bitcoin?date={NOON.date()}").headers["ETag"]
    conditions = ({"If-None-Match": today.headers["ETag"]}, {"If-Modified-Since": today.headers["Last-Modified"]})
    for condition in conditions:
        assert present.client.get("/bitcoin", headers=condition).status_code == 304
    present.now += timedelta(days=1)
    for condition in conditions:
        assert present.client.get("/bitcoin", headers=condition).status_code == 200


def test_a_day_outside_of_the_model_is_named() -> None:
    present = Present()
    present.now += timedelta(days=9_999)
    for query, status in (("", 422), ("?date=", 400)):  # a date that is given but empty is a mistake
        answer = present.client.get(f"/bitcoin{query}")
        assert (answer.status_code, json.loads(answer.data)["parameter"]) == (status, "date")
