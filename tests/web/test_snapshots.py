"""How long answers of the model hold: until the next training, or the end of the day that they are about."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from werkzeug.test import Client

from crypto_predict.baked.schedule import Schedule
from crypto_predict.market import Pair
from crypto_predict.web.model.snapshots import Limits, Snapshot, Validity
from tests.support.applications import client
from tests.support.models import BTC, ETH, LAST, TRAINED_AT, make_model

SIX_HOURS = timedelta(hours=6)
NOON = datetime.combine(LAST, datetime.min.time(), UTC) + timedelta(days=9, hours=12)


def validity(cache_for: timedelta = SIX_HOURS, schedule: Schedule | None = None, *pairs: Pair) -> Validity:
    return Snapshot.of(make_model(*pairs), schedule, Limits(cache_for, timedelta(days=1_000))).validity


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        (timedelta(0), 21_600),
        (timedelta(hours=5), 3_600),
        (timedelta(hours=5, minutes=59, seconds=30), 60),
        (timedelta(days=900), 60),
        (timedelta(hours=-1), 25_200),
    ],
)
def test_an_answer_may_be_cached_until_the_model_has_an_age(age: timedelta, seconds: int) -> None:
    """It is cached for at least a minute, even if the model is older, to avoid a stampede of requests."""
    assert dict(validity().until_change(TRAINED_AT + age))["Cache-Control"] == f"public, max-age={seconds}"


def test_no_answer_is_cached_for_more_than_a_year() -> None:
    """An age of a million days must neither overflow nor be promised."""
    headers = dict(validity(timedelta.max).until_change(TRAINED_AT))
    assert headers["Cache-Control"] == "public, max-age=31536000"


def test_the_tag_is_the_same_for_the_same_model_alone() -> None:
    """Two instances behind one load balancer must agree on it."""
    models = (validity(), validity(), validity(SIX_HOURS, None, BTC, ETH))
    first, again, other = (dict(of_model.revalidated(TRAINED_AT)) for of_model in models)
    assert first == again
    assert first["ETag"] != other["ETag"]
    assert first["ETag"].startswith('"')


def test_answers_that_identify_a_release_are_revalidated_at_each_request() -> None:
    """A deploy polls /version for the new release: no cache may answer in its place."""
    assert dict(validity().revalidated(TRAINED_AT))["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("before", "seconds"), [(timedelta(hours=2), 7_200), (timedelta(0), 60), (timedelta(days=-1), 60)]
)
def test_an_answer_may_be_cached_until_a_planned_training(before: timedelta, seconds: int) -> None:
    """Not for as long as without a plan: after a failed attempt the next one comes soon."""
    now = TRAINED_AT + timedelta(hours=10)
    planned = validity(schedule=Schedule(SIX_HOURS, now + before))
    assert dict(planned.until_change(now))["Cache-Control"] == f"public, max-age={seconds}"


def at(now: datetime) -> Client:
    return client(make_model(), lambda: now)


def test_the_answer_is_that_of_the_present_day_and_changes_at_midnight() -> None:
    """It has the same bytes as if the day had been named; both lanes answer so, also with other parameters."""
    for now in (NOON, NOON + timedelta(hours=11, minutes=59, seconds=59), NOON + timedelta(hours=12)):
        present = at(now)
        named = present.get(f"/bitcoin?date={now.date()}")
        for query in ("", "?", "?model=combined"):
            answer = present.get(f"/bitcoin{query}")
            assert (answer.status_code, answer.data) == (200, named.data)
            assert json.loads(answer.data)["date"] == f"{now:%a, %d %b %Y} 00:00:00 GMT"
        assert present.get("/bitcoin", headers={"If-None-Match": '"other"'}).data == named.data


@pytest.mark.parametrize(("before", "seconds"), [(timedelta(hours=12), None), (timedelta(seconds=5), 5)])
def test_no_cache_keeps_the_answer_beyond_midnight(before: timedelta, seconds: int | None) -> None:
    max_age = at(NOON + timedelta(hours=12) - before).get("/bitcoin").cache_control.max_age
    assert max_age is not None
    assert 0 <= max_age <= before.total_seconds()
    assert seconds in {None, max_age}


def test_a_copy_of_yesterday_is_not_still_good() -> None:
    """One of today is; the tag is another one than that of a named day, whose answer does not change."""
    today = at(NOON).get("/bitcoin")
    assert today.headers["ETag"] != at(NOON).get(f"/bitcoin?date={NOON.date()}").headers["ETag"]
    for condition in ({"If-None-Match": today.headers["ETag"]}, {"If-Modified-Since": today.headers["Last-Modified"]}):
        assert at(NOON).get("/bitcoin", headers=condition).status_code == 304
        assert at(NOON + timedelta(days=1)).get("/bitcoin", headers=condition).status_code == 200


def test_a_day_outside_of_the_model_is_named() -> None:
    for query, status in (("", 422), ("?date=", 400)):  # a date that is given but empty is a mistake
        answer = at(NOON + timedelta(days=9_999)).get(f"/bitcoin{query}")
        assert (answer.status_code, json.loads(answer.data)["parameter"]) == (status, "date")
