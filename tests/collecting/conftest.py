"""Empty databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_predict.store import WritableDatabase, open_writer
from tests.support.databases import KINDS, new_database


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once on each kind."""
    return new_database(request.param, tmp_path)


@pytest.fixture
def database(address: str) -> Iterator[WritableDatabase]:
    with open_writer(address) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Iterator[WritableDatabase]:
    with open_writer(str(tmp_path / "market.db")) as opened:
        yield opened
