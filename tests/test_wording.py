from datetime import timedelta

import pytest

from crypto_predict.wording import counted, duration


@pytest.mark.parametrize(("count", "said"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (2510, "2,510 days")])
def test_one_is_singular_and_thousands_have_a_comma(count: int, said: str) -> None:
    assert counted(count, "day") == said


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
