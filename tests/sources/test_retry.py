from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import SourceError
from crypto_predict.sources.network.retry import Failure, RetryPolicy, retry_after

QUICK = RetryPolicy(attempts=3, first_wait=0.001, longest_wait=0.002)


class Exchange:
    """Fails in these ways, one after the other, and then answers 42."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.attempts = 0

    def __call__(self) -> int:
        """Fail, or answer."""
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        return 42


def test_a_passing_failure_is_retried() -> None:
    exchange = Exchange(Failure("busy", again=True), Failure("busy", again=True, retry_after=0))
    assert QUICK.run("alpaca", exchange) == 42
    assert exchange.attempts == 3


def busy(**options: Any) -> Failure:
    return Failure("busy", **{"again": True, **options})


GIVEN_UP = {
    "a lasting failure": (QUICK, busy(), r"busy \(tried 3 times\)", 3),
    "a refusal, as asking again prolongs the ban": (QUICK, busy(again=False), "busy", 1),
    "a name that does not exist": (QUICK, busy(most=2), r"busy \(tried 2 times\)", 2),
    "a wait beyond the limit, as the next source answers sooner": (
        QUICK,
        busy(retry_after=3600),
        "busy; it asks to wait 3600 s, longer than the 60 s this program waits",
        1,
    ),
    "waits that are too long together": (
        replace(QUICK, attempts=9, longest_retry_after=0.25),
        busy(retry_after=0.1),
        r"busy; it asks to wait 1 s, longer than the 0\.05 s this program waits",
        3,
    ),
}


@pytest.mark.parametrize(("policy", "failure", "reason", "attempts"), GIVEN_UP.values(), ids=GIVEN_UP)
def test_an_exchange_is_given_up_with_a_reason(
    policy: RetryPolicy, failure: Failure, reason: str, attempts: int
) -> None:
    exchange = Exchange(*[failure] * 9)
    with pytest.raises(SourceError, match=f"^alpaca: {reason}$"):
        policy.run("alpaca", exchange)
    assert exchange.attempts == attempts


def test_nothing_is_waited_for_that_comes_too_late() -> None:
    """Somebody who adds a pair waits ten seconds for an answer."""
    with pytest.raises(SourceError, match="busy; it asks to wait 11 s, longer than the 10 s this program waits"):
        QUICK.run("alpaca", Exchange(busy(retry_after=11)), lambda: 10.0)


def test_errors_of_the_program_are_not_retried() -> None:
    """Repeating a bug does not help."""
    exchange = Exchange(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        QUICK.run("alpaca", exchange)
    assert exchange.attempts == 1


@given(seconds=st.integers(0, 10**9 - 1))
def test_retry_after_is_read_in_seconds(seconds: int) -> None:
    assert retry_after({"Retry-After": f" {seconds} "}) == seconds


@given(now=st.integers(10**6, 4 * 10**9), seconds=st.integers(-1000, 1000))
def test_retry_after_is_read_as_a_date_by_the_clock_of_the_exchange(now: int, seconds: int) -> None:
    """A laptop whose clock is an hour wrong must not wait an hour."""
    time, due = (datetime.fromtimestamp(instant, UTC) for instant in (now, now + seconds))
    headers = {"Retry-After": format_datetime(due, usegmt=True), "Date": format_datetime(time, usegmt=True)}
    assert retry_after(headers) == max(0, seconds)


def test_retry_after_as_a_date_is_read_without_the_clock_of_the_exchange() -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    wait = retry_after({"Retry-After": format_datetime(due, usegmt=True)})
    assert wait is not None
    assert 3000 < wait <= 3600


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1.5", "1e3", "nan", "²", "9" * 40, "Fri, 99 Foo 2024 00:00:00 GMT"]
)
def test_a_malformed_retry_after_is_ignored(text: str) -> None:
    assert retry_after({"Retry-After": text}) is None


@given(text=st.text(), date=st.text())
def test_any_header_can_be_read(text: str, date: str) -> None:
    wait = retry_after({"Retry-After": text, "Date": date})
    assert wait is None or wait >= 0
