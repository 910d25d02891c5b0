from datetime import timedelta

import pytest

from crypto_predict.baked.schedule import Schedule
from crypto_predict.market import Pair
from crypto_predict.web.model.snapshots import Limits, Snapshot, Validity
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

SIX_HOURS = timedelta(hours=6)


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
    held = validity(schedule=Schedule(SIX_HOURS, now + before))
    assert dict(held.until_change(now))["Cache-Control"] == f"public, max-age={seconds}"
