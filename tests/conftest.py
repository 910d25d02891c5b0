"""How hypothesis searches, in which order the files run, and during which tests coverage is measured.

The search takes the same examples in every run, and has no deadline on a shared machine; ``pytest --hypothesis-profile
explore`` searches elsewhere each time.
"""

import sys
from collections.abc import Iterator

import coverage
import pytest
from hypothesis import is_hypothesis_test, settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")

# Before Python 3.14 every line of every library is traced, and a test of numbers takes twice its time.
TRACING_IS_SLOW = sys.version_info < (3, 14)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that the run does not end with one of them on a single core."""
    items.sort(key=lambda item: "tests/workflows/" not in item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    """Where tracing is slow, do not trace tests that repeat a computation: other tests execute the same lines once."""
    tracing = coverage.Coverage.current()
    repeats = is_hypothesis_test(item.obj) or item.get_closest_marker("repeats")
    if tracing is None or not repeats or not TRACING_IS_SLOW:
        return (yield)
    tracing.stop()
    try:
        return (yield)
    finally:
        tracing.start()
