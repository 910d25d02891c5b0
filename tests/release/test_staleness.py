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


def model_of_age(trained_hours: int, price_hours: int, stalest_hours: float) -> Model:
    """A model of this age, whose newest price has another age, after a gate with this limit."""
    now = datetime.now(UTC).replace(microsecond=0)
    anchor = Anchor(at=now - timedelta(hours=price_hours), price=67_000.0)
    last = anchor.at.date() - DAY
    model = make_model(trained_at=now - timedelta(hours=trained_hours), last=last)
    gate = replace(model.card.gate, thresholds={"stalest_hours": stalest_hours})
    forecasts = {BTC: make_forecast(last=last, anchor=anchor)}
    return replace(model, card=replace(model.card, gate=gate), forecasts=forecasts)


@pytest.mark.parametrize(
    ("ages", "stalest_hours", "fault"),
    [
        ((1, 30), 60, None),
        ((25, 30), 60, "the model was trained at"),
        ((1, 100), 60, "the last candle of BTC/USD closed at"),
        ((1, 100), 200, None),
    ],
)
def test_a_release_is_refused_for_the_age_of_its_model_or_of_a_candle_that_the_gate_refuses(
    tmp_path: Path, ages: tuple[int, int], stalest_hours: float, fault: str | None
) -> None:
    """The newest price may be late by a day, and no retrain helps: `GATE_STALEST_HOURS` has the limit of the gate.

    At any time of the day the last candle has closed up to 24 hours before its newest price.
    """
    store.save(model_of_age(*ages, stalest_hours), tmp_path / "model.pkl")
    with serving(tmp_path / "model.pkl") as served:
        assert requests.get(f"{served.url}/fresh", timeout=30).status_code == 503
        faults = server_faults(served.url, "", {}, allow_simulated=False, allow_stale=False)
    stale = [text for text in faults if "stale" in text]
    assert [fault in text for text in stale] == [True] if fault else stale == []
