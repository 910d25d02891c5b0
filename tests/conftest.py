"""The profiles of hypothesis, the order of the test files, and the tests during which coverage is measured.

Hypothesis tries the same examples in every run, without a deadline, since machines differ in speed; ``pytest
--hypothesis-profile explore`` tries different ones each time.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import coverage
import pytest
from hypothesis import is_hypothesis_test, settings

from crypto_predict.prerequisites import quick_imports
from tests.support.engine import why_no_engine

# A shell has its background jobs ignore Ctrl-C, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")

# Before Python 3.14 every line of every library is traced, so a numerical test takes twice as long.
TRACING_IS_SLOW = sys.version_info < (3, 14)
INHERITED = "COVERAGE_PROCESS_CONFIG"  # tells processes to measure their coverage


# The files and folders that take longest, slowest first.
SLOWEST = (
    *("tests/workflows/", "tests/sources/test_source_bounds"),
    *("tests/forecasting/evaluation/test_backtest", "tests/test_readme", "tests/training/", "tests/collecting/"),
    *("tests/page/test_live", "tests/page/test_reading", "tests/kubernetes/", "tests/web/documentation/test_browser"),
    *("tests/test_end_to_end", "tests/release/test_deploy", "tests/http_server/test_slow_clients"),
    *("tests/web/collected/", "tests/test_notebook", "tests/release/test_alert"),
    *("tests/baked/test_store", "tests/forecasting/gate/"),
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect thousands of tests in half the time: neither they nor the libraries are garbage before the end."""
    with quick_imports():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, so that the run does not end with one of them on a single core."""
    items.sort(key=lambda item: next((at for at, path in enumerate(SLOWEST) if item.nodeid.startswith(path)), 99))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Trace nothing of a test that repeats what others do: neither its fixtures nor the processes that it starts."""
    if item.get_closest_marker("repeats") is None:
        return (yield)
    inherited = os.environ.pop(INHERITED, None)
    try:
        with untraced():
            return (yield)
    finally:
        if inherited is not None:
            os.environ[INHERITED] = inherited


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    """Do not trace a test that hypothesis repeats. Its fixtures may be those of other tests, too."""
    if not is_hypothesis_test(item.obj) or item.get_closest_marker("repeats"):
        return (yield)
    with untraced():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs an engine if there is none."""
    if marker := item.get_closest_marker("engine"):
        why: Callable[[], str] = marker.kwargs.get("why", why_no_engine)
        if reason := why():
            pytest.skip(reason)


def pytest_sessionfinish() -> None:
    """Store the coverage of a worker before it reports its end: ten seconds after that it is killed."""
    if tracing := coverage.Coverage.current():
        tracing.stop()
        tracing.save()


@contextmanager
def untraced() -> Iterator[None]:
    """Execute lines that other tests execute, too, without tracing them if that is slow."""
    tracing = coverage.Coverage.current()
    if tracing is None or not TRACING_IS_SLOW:
        yield
        return
    tracing.stop()
    try:
        yield
    finally:
        tracing.start()
