import logging
from datetime import timedelta

import pytest

from crypto_predict.baked.schema import Model
from crypto_predict.web.app import now
from crypto_predict.web.model.freshness import facts_of
from crypto_predict.web.operations import startup
from crypto_predict.web.operations.startup import announce, base_url, example_path
from tests.support.models import BTC, ETH, TRAINED_AT, make_model

HOURS_24 = timedelta(hours=24)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("192.0.2.7", "http://192.0.2.7:8000"),
    ],
)
def test_the_url_can_be_used_on_this_machine(host: str, url: str) -> None:
    """A server that listens on every address is reached through loopback."""
    assert base_url(host, 8000) == url


@pytest.mark.parametrize(
    ("simulated", "age", "warnings"),
    [
        (False, timedelta(hours=23), []),
        (True, timedelta(hours=23), [startup.SIMULATED]),
        (False, timedelta(hours=24), [startup.STALE]),  # ten minutes after its newest price it was trained
        (True, timedelta(days=9), [startup.SIMULATED, startup.STALE]),
    ],
)
def test_simulated_prices_and_stale_models_are_warnings(
    caplog: pytest.LogCaptureFixture, simulated: bool, age: timedelta, warnings: list[str]
) -> None:
    """At every start: for invented prices, an old model and an old newest price."""
    with caplog.at_level(logging.INFO):
        announce(
            facts_of(make_model(simulated=simulated)), "/bitcoin", [("127.0.0.1", 8000)], TRAINED_AT + age, HOURS_24
        )
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == warnings


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (make_model(BTC, ETH), "/bitcoin?date=2024-06-16"),
        (make_model(ETH, BTC), "/bitcoin?date=2024-06-16"),
        (make_model(ETH), "/forecast/ETH-USD"),
    ],
)
def test_the_model_can_answer_the_example(model: Model, path: str) -> None:
    assert example_path(model) == path


def test_the_clock_is_in_utc() -> None:
    assert now().utcoffset() == timedelta(0)
