import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto_predict.market import SeriesKey
from crypto_predict.store import Database, WritableDatabase, open_reader, open_writer
from tests.support.databases import KINDS, give_back, new_database
from tests.support.minutes import MINUTES


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database: a file of SQLite, or what `ON_BOTH` asks for."""
    result = new_database(getattr(request, "param", "sqlite"), tmp_path)
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


@pytest.fixture(params=KINDS, scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WritableDatabase]:
    """A database for all examples of a property."""
    with open_writer(new_database(request.param, tmp_path_factory.mktemp("shared"))) as database:
        yield database


@pytest.fixture(scope="module")
def new_series(shared: WritableDatabase) -> Callable[[], SeriesKey]:
    """A function that adds another series to `shared`."""
    numbers = itertools.count()

    def add() -> SeriesKey:
        series = dataclasses.replace(MINUTES, source=f"source {next(numbers)}")
        shared.follow(series, simulated=True)
        return series

    return add
