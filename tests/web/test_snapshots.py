from datetime import timedelta

import pytest

from crypto_predict.web.snapshots import Snapshot, Validity
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

SIX_HOURS = timedelta(hours=6)


def validity(retrain_every: timedelta = SIX_HOURS) -> Validity:
    return Snapshot.of(make_model(), retrain_every).validity


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
def test_an_answer_may_be_cached_until_the_next_retrain(age: timedelta, seconds: int) -> None:
    """It is cached for at least a minute, even if the retrain is overdue, to avoid a stampede of requests."""
    assert dict(validity().until_change(TRAINED_AT + age))["Cache-Control"] == f"public, max-age={seconds}"


def test_no_answer_is_cached_for_more_than_a_year() -> None:
    """A retrain every million days must neither overflow nor be promised."""
    headers = dict(validity(retrain_every=timedelta.max).until_change(TRAINED_AT))
    assert headers["Cache-Control"] == "public, max-age=31536000"


def test_the_tag_is_the_same_for_the_same_model() -> None:
    """Two instances behind one load balancer must agree on it."""
    assert validity().revalidated() == validity().revalidated()
    assert dict(validity().revalidated())["ETag"].startswith('"')


def test_the_tag_changes_with_the_model() -> None:
    other = Snapshot.of(make_model(BTC, ETH), SIX_HOURS).validity
    assert dict(validity().revalidated())["ETag"] != dict(other.revalidated())["ETag"]


def test_the_last_modification_is_the_training() -> None:
    assert dict(validity().until_change(TRAINED_AT))["Last-Modified"] == "Sat, 18 May 2024 12:10:47 GMT"


def test_answers_that_identify_a_release_are_revalidated_at_each_request() -> None:
    """A deploy polls /version for the new release: no cache may answer in its place."""
    assert dict(validity().revalidated())["Cache-Control"] == "no-cache"
