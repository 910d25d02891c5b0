"""A browser for each file of tests of the page, which must do nothing wrong on the way."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.support.browser import Browser, started
from tests.support.pages import NOW

__all__ = ["started"]


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    """A browser at `NOW`. A page that reports an error, violates its policy or asks another origin fails the test.

    A test in which this is expected takes `faults` itself.
    """
    started.reset()
    started.set_clock(NOW - datetime.now(UTC))
    yield started
    assert started.faults() == []
