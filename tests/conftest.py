"""How hypothesis searches, and in which order the files run.

The search takes the same examples in every run, and has no deadline on a shared machine; ``pytest --hypothesis-profile
explore`` searches elsewhere each time.
"""

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that the run does not end with one of them on a single core."""
    items.sort(key=lambda item: "tests/workflows/" not in item.nodeid)
