from datetime import timedelta

import pytest

from crypto_predict.wording import counted, days_listed, duration, lasted, listed


def test_counts_and_lists_are_in_words() -> None:
    """One is singular, thousands have a comma, and the last of several follows an "and"."""
    assert [counted(count, "day") for count in (0, 1, 2, 2510)] == ["0 days", "1 day", "2 days", "2,510 days"]
    assert [listed("abc"[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert [days_listed(days) for days in ([1], [7], [1, 7, 30])] == ["1 day", "7 days", "1, 7 and 30 days"]


@pytest.mark.parametrize(
    ("hours", "expected"),
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
def test_two_days_or_more_are_in_days(hours: float, expected: str) -> None:
    """3538 hours are hard to recognise as five months."""
    assert lasted(hours) == expected


@pytest.mark.parametrize(
    ("span", "expected"),
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
def test_a_length_of_time_is_in_the_most_readable_unit(span: timedelta, expected: str) -> None:
    """3,552 hours are hard to read."""
    assert duration(span) == expected
