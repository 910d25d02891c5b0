import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def shallow_finalizers() -> Iterator[None]:
    """Collect no garbage meanwhile: a finalizer fails where JSON is nested too deep."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
