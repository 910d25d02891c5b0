"""The functions of the page's scripts that need no browser: their own tests, under Node.js."""

import subprocess

import pytest

from tests.support.page import SOURCES, node


@pytest.mark.skipif(node() is None, reason="Node.js is not installed")
def test_the_functions_of_the_scripts_do_what_their_tests_say() -> None:
    """Questions, their answers in words, and ages: `npm test` in `page/` runs the same."""
    tests = sorted(map(str, (SOURCES / "tests").glob("*.test.js")))
    done = subprocess.run([str(node()), "--test", *tests], capture_output=True, text=True, check=False)
    assert tests
    assert done.returncode == 0, done.stdout[-8_000:]
