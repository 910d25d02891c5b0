from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """The matrices are small: threads would only wait for one another."""
    with threadpool_limits(1):
        yield
