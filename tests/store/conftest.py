from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_predict.store import Database, WritableDatabase, open_reader, open_writer
from tests.support.databases import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once on each kind."""
    return new_database(request.param, tmp_path)


@pytest.fixture
def writer(url: str) -> Iterator[WritableDatabase]:
    """An open database without series."""
    with open_writer(url) as database:
        yield database


@pytest.fixture
def reader(url: str, writer: WritableDatabase) -> Iterator[Database]:
    """Another connection to the database of `writer`."""
    assert writer.collected() == []
    with open_reader(url) as database:
        yield database
