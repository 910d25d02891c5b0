from collections.abc import Sequence
from datetime import timedelta

import pytest

from crypto_predict.wording import counted, days_listed, duration, lasted, listed


@pytest.mark.parametrize(("count", "said"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (2510, "2,510 days")])
def test_one_is_singular_and_thousands_have_a_comma(count: int, said: str) -> None:
    assert counted(count, "day") == said


@pytest.mark.parametrize(
    ("items", "said"), [((), ""), (("a",), "a"), (("a", "b"), "a and b"), (("a", "b", "c"), "a, b and c")]
)
def test_the_last_of_several_follows_an_and(items: Sequence[str], said: str) -> None:
    assert listed(items) == said


@pytest.mark.parametrize(("days", "said"), [([1], "1 day"), ([7], "7 days"), ([1, 7, 30], "1, 7 and 30 days")])
def test_horizons_are_in_days(days: Sequence[int], said: str) -> None:
    assert days_listed(days) == said


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (0.5, "0.5 hours"),
        (1, "1 hour"),
        (36, "36 hours"),
        (47.9, "47.9 hours"),
        (48, "2 days"),
        (60, "2.5 days"),
        (239, "10 days"),
        (3538, "147 days"),
        (87_600, "3,650 days"),
    ],
)
def test_what_lasts_two_days_or_more_is_in_days(hours: float, said: str) -> None:
    """Nobody reads 3538 hours as five months."""
    assert lasted(hours) == said


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=119), "119 seconds"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(hours=1, minutes=59), "119 minutes"),
        (timedelta(hours=24), "24 hours"),
        (timedelta(hours=47, minutes=59), "47 hours"),
        (timedelta(hours=3552), "148 days"),
        (timedelta(days=1_000_000), "1,000,000 days"),
    ],
)
def test_a_length_of_time_is_said_in_the_unit_a_person_would_choose(span: timedelta, said: str) -> None:
    """Nobody divides 3,552 hours by 24."""
    assert duration(span) == said
