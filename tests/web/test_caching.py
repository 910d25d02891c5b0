from datetime import timedelta

import pytest

from crypto_predict.web.caching import Caching
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

SIX_HOURS = timedelta(hours=6)


def caching(age: timedelta = timedelta(), retrain_every: timedelta = SIX_HOURS) -> Caching:
    return Caching(make_model(), retrain_every, lambda: TRAINED_AT + age)


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
def test_an_answer_may_be_kept_until_the_next_retrain(age: timedelta, seconds: int) -> None:
    """Never less than a minute, even when the retrain is overdue: a stampede helps nobody."""
    assert dict(caching(age).until_retrain())["Cache-Control"] == f"public, max-age={seconds}"


def test_no_answer_is_kept_for_more_than_a_year() -> None:
    """A retrain every million days must neither overflow nor promise that."""
    assert dict(caching(retrain_every=timedelta.max).until_retrain())["Cache-Control"] == "public, max-age=31536000"


def test_the_tag_is_the_same_for_the_same_model() -> None:
    """Two instances behind one load balancer must agree on it."""
    assert caching().etag == caching().etag
    assert caching().etag.startswith('"')


def test_the_tag_changes_with_the_model() -> None:
    other = Caching(make_model(BTC, ETH), SIX_HOURS, lambda: TRAINED_AT)
    assert caching().etag != other.etag


def test_the_last_modification_is_the_training() -> None:
    assert dict(caching().until_retrain())["Last-Modified"] == "Sat, 18 May 2024 12:10:47 GMT"


def test_what_tells_releases_apart_is_asked_for_each_time() -> None:
    """A deploy polls /version for the new release: no cache may answer in its place."""
    headers = dict(caching().revalidated())
    assert headers["Cache-Control"] == "no-cache"
    assert headers["ETag"] == caching().etag
