"""What the first visit of the page transfers, of a model with five years of history: a made one and a real one."""

import math
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest

from bench import models
from bench.serving import PAGE_KB, VISIT_KB
from bench.visits import first_visit
from crypto_predict.baked import store
from crypto_predict.baked.schema import Model, Trend
from crypto_predict.web.page import assets
from tests.support.models import BTC, LAST, make_forecast, make_model
from tests.support.serving import serving_model

REAL = Path("../shared/data/binance_BTC-USDT_1d.csv")
DAYS = 1825


def made() -> Model:
    """A model whose numbers have as many different digits as those of a market."""
    random = Random(0)
    moves = accumulate(random.gauss(0, 0.03) for _ in range(DAYS))
    closes = [round(30_000 * math.exp(move), 2) for move in moves]
    first = LAST - timedelta(days=DAYS - 1)
    changepoints = tuple(n / 25 for n in range(1, 25))
    forecast = make_forecast(
        first=first,
        closes=tuple(closes),
        last_close=closes[-1],
        trend=Trend(first, DAYS, 0.05, 0.9, changepoints, tuple(random.gauss(0, 0.02) for _ in changepoints)),
    )
    return replace(make_model(), forecasts={BTC: forecast})


def real(folder: Path) -> Model:
    if not REAL.exists():
        pytest.skip("no shared history")
    models.bake(f"file:{REAL}", folder / "real.pkl")
    return store.load(folder / "real.pkl")


@pytest.fixture(scope="module", params=["made", "real"])
def visit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The bytes of each answer by its path."""
    folder = tmp_path_factory.mktemp("visit")
    with serving_model(made() if request.param == "made" else real(folder), folder) as served:
        return first_visit(served.address[1])


def test_the_page_itself_and_its_documents_are_small(visit: dict[str, int]) -> None:
    """The documents have a third of what a first visit may transfer."""
    assert 2_000 < visit["/"] <= 1000 * PAGE_KB
    documents = [size for path, size in visit.items() if path.endswith(".json")]
    assert len(documents) == 3
    assert sum(documents) <= 1000 * VISIT_KB / 3


def test_a_first_visit_is_small(visit: dict[str, int]) -> None:
    if "main.js" not in assets.find().files:
        pytest.skip("the scripts of the page have not been built: run `make page`")
    assert any("/main-" in path for path in visit)
    assert any("/style-" in path for path in visit)
    assert sum(visit.values()) <= 1000 * VISIT_KB
