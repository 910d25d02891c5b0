"""The model that reads an index over the network: scored where it is reached, left out with a reason elsewhere."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.models import ModelReport
from crypto_predict.baked.schema import PairForecast
from crypto_predict.market import Pair
from tests.support.histories import START, as_csv, make_history
from tests.support.replay import server as replay
from tests.support.replay.deribit import DeribitIndex
from tests.support.replay.server import Fault, ReplayServer
from tests.support.training import TRAINED_AT, in_process

DAYS = 200
HISTORY = make_history(DAYS)
INDEX = {(START + timedelta(days=day)).date(): 0.6 for day in range(DAYS)}


def trained(folder: Path, environ: Mapping[str, str], pair: str = "BTC/USD") -> tuple[PairForecast, list[ModelReport]]:
    """Train with the model `deribit`, and return the forecast and the reports of all models but ours."""
    (folder / "prices.csv").write_text(as_csv(HISTORY))
    source = ("--source", f"file:{folder}/prices.csv", "--pair", pair, "--until", str(max(INDEX)))
    quick = ("--every", "20", "--rivals", "deribit", "--no-gate", "--output", str(folder / "model.pkl"))
    assert in_process(*source, *quick, environ={**TRAINED_AT, **environ}) == 0
    model, key = store.load(folder / "model.pkl"), Pair.parse(pair)
    return model.forecasts[key], list(model.card.pairs[key].models[1:])


def served(folder: Path, faults: Iterable[Fault], pair: str = "BTC/USD") -> tuple[PairForecast, list[ModelReport]]:
    """The same with a server of the index, and these faults."""
    with ReplayServer(DeribitIndex({"BTC": INDEX, "ETH": INDEX}, most=90)) as server:
        for fault in faults:
            server.inject(fault)
        return trained(folder, {"DERIBIT_API_URL": server.url}, pair)


@pytest.mark.parametrize("pair", ["BTC/USD", "ETH/USDT"])
def test_where_the_index_is_reached_its_range_is_scored_and_baked(tmp_path: Path, pair: str) -> None:
    forecast, [report] = served(tmp_path, [replay.answer(429, retry_after="0")], pair)
    assert (report.name, report.left_out) == ("deribit", None)
    assert {score.horizon_days for score in report.scores} == {1, 7, 30, 90}
    assert len(forecast.models["deribit"]) == 365


@pytest.mark.parametrize(
    ("pair", "faults", "reason"),
    [
        ("BTC/USD", [replay.answer(451)], "451 Unavailable For Legal Reasons: it refuses requests from your location"),
        ("BTC/USD", [replay.answer(429, retry_after="999")], "too many requests"),
        ("BTC/USD", [replay.answer(400)] * 4, "400 Bad Request"),
        ("LTC/USD", [], "there is no index of LTC/USD, only of BTC and ETH in dollars"),
        ("ETH/BTC", [], "there is no index of ETH/BTC, only of BTC and ETH in dollars"),
    ],
)
def test_where_it_is_not_the_model_is_left_out_with_the_reason(
    tmp_path: Path, pair: str, faults: list[Fault], reason: str
) -> None:
    forecast, [report] = served(tmp_path, faults, pair)
    assert report.left_out is not None
    assert reason in report.left_out
    assert (report.scores, forecast.models) == ((), {})


def test_a_malformed_address_leaves_it_out_and_stops_nothing(tmp_path: Path) -> None:
    _, [report] = trained(tmp_path, {"DERIBIT_API_URL": "ftp://user:hush@host"})
    assert report.left_out is not None
    assert "DERIBIT_API_URL" in report.left_out
    assert "hush" not in report.left_out


def test_days_without_an_index_are_not_cutoffs_and_a_long_gap_leaves_it_out(tmp_path: Path) -> None:
    """Three days are bridged, since an outage of the exchange passes."""
    begins = sorted(INDEX)[130]
    late = {day: close for day, close in INDEX.items() if day >= begins}
    gap = {day: close for day, close in INDEX.items() if not 190 <= day.toordinal() - START.toordinal() < 200}
    for index, left_out in ((late, None), (gap, f"the index of {max(INDEX)} is missing")):
        with ReplayServer(DeribitIndex({"BTC": index})) as server:
            _, [report] = trained(tmp_path, {"DERIBIT_API_URL": server.url})
        assert report.left_out == left_out
        assert left_out or (report.first_cutoff is not None and report.first_cutoff >= begins)
