import gc
from collections.abc import Iterator

import pytest

from tests.support.replay.reading import QUICK, Market, market


@pytest.fixture
def shallow_finalizers() -> Iterator[None]:
    """Collect no garbage meanwhile: a finalizer fails where JSON is nested too deep."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Iterator[Market]:
    """Serve a market without trades of the exchange of this module, its `VENUE`."""
    with market(request.module.VENUE, QUICK, quiet=1.0) as served:
        yield served
