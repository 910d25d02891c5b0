from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from tests.support.applications import client
from tests.support.collected import LATE, fill
from tests.support.databases import give_back, new_database
from tests.support.models import BTC, ETH, make_model


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a database that `fill` has filled and no test changes, once on each kind."""
    found = new_database(request.param, tmp_path_factory.mktemp("database"))
    fill(found)
    return found


@pytest.fixture(scope="package")
def served(url: str) -> Client:
    """The application with that database, ten seconds after the newest close."""
    return client(make_model(BTC, ETH), lambda: LATE, database=url)


@pytest.fixture(params=["sqlite", "postgresql"])
def own_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database that a test may change, once on each kind."""
    found = new_database(request.param, tmp_path)
    yield found
    give_back(found)
