"""When the smoke test refuses a model as stale, on a real server without a container."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from crypto_predict.baked import store
from crypto_predict.baked.schema import Anchor, Model
from crypto_predict.market import DAY
from crypto_predict.release.smoke import server_faults
from tests.support.models import BTC, make_forecast, make_model
from tests.support.serving import serving


def model_of_age(trained_hours: int, price_hours: int, stalest_hours: float = 48) -> Model:
    """A model of this age, whose newest price has another age, after a gate with this limit."""
    now = datetime.now(UTC).replace(microsecond=0)
    anchor = Anchor(at=now - timedelta(hours=price_hours), price=67_000.0)
    last = anchor.at.date() - DAY
    model = make_model(trained_at=now - timedelta(hours=trained_hours), last=last)
    gate = replace(model.card.gate, thresholds={"stalest_hours": stalest_hours})
    return replace(
        model,
        card=replace(model.card, gate=gate),
        forecasts={BTC: make_forecast(last=last, anchor=anchor)},
    )


def stale_faults(model: Model, folder: Path) -> list[str]:
    store.save(model, folder / "model.pkl")
    with serving(folder / "model.pkl") as served:
        assert requests.get(f"{served.url}/fresh", timeout=30).status_code == 503
        faults = server_faults(served.url, "", {}, allow_simulated=False, allow_stale=False)
        return [fault for fault in faults if "stale" in fault]


@pytest.mark.parametrize(("hours", "refused"), [(1, False), (25, True)])
def test_a_release_is_refused_for_the_age_of_its_model_not_of_its_newest_price(
    tmp_path: Path, hours: int, refused: bool
) -> None:
    """A source may be late by a day, and no retrain helps: the gate has its own limit, 48 hours."""
    result = stale_faults(model_of_age(hours, price_hours=30), tmp_path)
    assert any("the model was trained at" in fault for fault in result) is refused


@pytest.mark.parametrize(("limit", "refused"), [(48, True), (200, False)])
def test_the_newest_candle_may_be_as_old_as_the_gate_of_the_model_allows(
    tmp_path: Path, limit: float, refused: bool
) -> None:
    """`GATE_STALEST_HOURS` moves the limit of the gate, and the smoke test must not refuse what the gate accepted."""
    result = stale_faults(model_of_age(1, price_hours=100, stalest_hours=limit), tmp_path)
    assert any("the last candle of BTC/USD closed at" in fault for fault in result) is refused
