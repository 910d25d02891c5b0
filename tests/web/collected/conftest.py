from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.test import Client

from crypto_predict.market.collected import ForecastStep
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.applications import client
from tests.support.collected import END, LATE, MINUTES, fill
from tests.support.databases import give_back, new_database
from tests.support.minutes import KEEP, forecast, scores
from tests.support.models import BTC, ETH, make_model

FORECASTS = 30  # the minutes before the newest close at which a forecast was made, of simulated prices


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a database that `fill` has filled and no test changes, with forecasts, once on each kind."""
    path = new_database(request.param, tmp_path_factory.mktemp("database"))
    fill(path)
    with open_writer(path) as writer:
        for minutes in range(FORECASTS, -1, -1):
            at = END - timedelta(minutes=minutes)
            writer.write_forecasts({MINUTES: [ForecastStep(replace(forecast(0), cutoff=at), at, (scores(1),))]}, KEEP)
    return path


@pytest.fixture(scope="package")
def served(url: str) -> Client:
    """The application with that database, ten seconds after the newest close."""
    return client(make_model(BTC, ETH), lambda: LATE, database=url)


@pytest.fixture(params=["sqlite", "postgresql"])
def own_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database that a test may change, once on each kind."""
    path = new_database(request.param, tmp_path)
    yield path
    give_back(path)


@pytest.fixture
def writer(own_url: str) -> Iterator[WritableDatabase]:
    """The writer of that database, in which simulated minutes are collected, without candles so far."""
    with open_writer(own_url) as writer:
        writer.follow(MINUTES, simulated=True)
        yield writer


@pytest.fixture
def own(own_url: str) -> Client:
    """The application with that database, ten seconds after the newest close."""
    return client(make_model(), lambda: LATE, database=own_url)
