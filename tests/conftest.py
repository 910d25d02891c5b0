"""The profiles of hypothesis, the order of the test files, and the tests during which coverage is measured.

Hypothesis tries the same examples in every run, without a deadline, since machines differ in speed; ``pytest
--hypothesis-profile explore`` tries different ones each time.
"""

import sys
from collections.abc import Iterator

import coverage
import pytest
from hypothesis import is_hypothesis_test, settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")

# Before Python 3.14 every line of every library is traced, so a numerical test takes twice as long.
TRACING_IS_SLOW = sys.version_info < (3, 14)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, so that the run does not end with one of them on a single core."""
    items.sort(key=lambda item: "tests/workflows/" not in item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    """Do not trace tests that repeat a computation if tracing is slow: other tests execute the same lines."""
    tracing = coverage.Coverage.current()
    repeats = is_hypothesis_test(item.obj) or item.get_closest_marker("repeats")
    if tracing is None or not repeats or not TRACING_IS_SLOW:
        return (yield)
    tracing.stop()
    try:
        return (yield)
    finally:
        tracing.start()
