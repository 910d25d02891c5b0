from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_predict.store import Database, WritableDatabase, open_reader, open_writer
from tests.support.databases import KINDS, give_back, new_database
from tests.support.minutes import MINUTES


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, once on each kind."""
    result = new_database(request.param, tmp_path)
    yield result
    give_back(result)


@pytest.fixture
def writer(url: str) -> Iterator[WritableDatabase]:
    """An open database with one series, which has no candles."""
    with open_writer(url) as database:
        database.follow(MINUTES, simulated=False)
        yield database


@pytest.fixture
def reader(url: str, writer: WritableDatabase) -> Iterator[Database]:
    """Other connections to the database of `writer`."""
    assert len(writer.collected()) == 1
    with open_reader(url) as database:
        yield database
