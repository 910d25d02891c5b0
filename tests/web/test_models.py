"""The list of models over HTTP."""

from dataclasses import replace
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from crypto_predict.baked import plain
from crypto_predict.baked.models import ModelReport, PairwiseScore
from crypto_predict.baked.schema import LiveModel, LiveRecord, Model
from crypto_predict.web.documentation.openapi import document
from tests.support.applications import client, snapshot_of
from tests.support.models import BTC, ETH, TRAINED_AT, blank, make_model, with_models

MODEL = with_models(make_model(BTC, ETH, simulated={ETH}), "garch", "mine", served="mine", pairs=[BTC])


def listed(model: Model) -> dict[str, Any]:
    answer = client(model).get("/models")
    assert answer.status_code == 200
    OAS31Validator(document(snapshot_of(model))["components"]["schemas"]["Models"]).validate(answer.json)
    return dict(answer.json or {})


def test_every_model_of_a_pair_is_listed_with_its_report() -> None:
    """Those that answer come first. What is said of them is what the card says, to the last digit."""
    answer, card = listed(MODEL), MODEL.card
    assert (answer["version"], answer["build"], answer["simulated"]) == (card.version, card.build, True)
    bitcoin = answer["pairs"]["BTC/USD"]
    assert (bitcoin["served"], bitcoin["not_served"], bitcoin["simulated"]) == ("mine", None, False)
    names = [model["name"] for model in bitcoin["models"]]
    assert names == ["combined", "prophet", "garch", "mine", "published", "broken"]
    reports = {report.name: plain.encode(report) for report in card.pairs[BTC].models}
    for model in bitcoin["models"]:
        del model["forecast"], model["record"]
        assert model["name"] == "prophet" or model == reports[model["name"]]
    assert bitcoin["pairwise"] == plain.encode(card.pairs[BTC].pairwise)


def test_a_model_that_answers_has_the_address_of_its_forecast() -> None:
    """One that was left out, or whose forecasts are all of the past, has none."""
    served, models = client(MODEL), listed(MODEL)["pairs"]["BTC/USD"]["models"]
    addresses = {model["name"]: model["forecast"] for model in models}
    assert [name for name, address in addresses.items() if address is None] == ["published", "broken"]
    for name in ("combined", "prophet", "garch", "mine"):
        rows = served.get(addresses[name]).json
        assert rows is not None
        assert {row["model"] for row in rows} == {name}
    (broken,) = (model for model in models if model["name"] == "broken")
    assert (broken["left_out"], broken["requirements"], broken["scores"]) == ("ValueError: no data", ["torch"], [])


def test_models_that_were_not_tested_are_listed_without_scores() -> None:
    """The history was too short for a test, or ``--rivals`` does not name Prophet."""
    for model in listed(MODEL)["pairs"]["ETH/USD"]["models"]:
        assert (model["source"], model["cutoffs"], model["scores"], model["left_out"]) == ("built in", 0, [], None)


@pytest.mark.parametrize("simulated", [False, True])
def test_a_model_that_was_released_before_has_its_live_record(simulated: bool) -> None:
    """That of the same prices, real or invented. One that is no longer released is in the scorecard alone."""
    model = with_models(make_model(BTC, simulated=simulated), "garch", "mine")
    released = [
        blank(LiveModel, name=name, releases=9, since=TRAINED_AT, newest=TRAINED_AT)
        for name in ("mine", "gone", "broken")
    ]
    compared = blank(PairwiseScore, model="mine", other="gone", horizon_days=7)
    records: dict[str, Any] = {"pairs": {}, "simulated": {}}
    records["simulated" if simulated else "pairs"] = {
        BTC: blank(LiveRecord, since=TRAINED_AT, models=tuple(released), pairwise=(compared,))
    }
    bitcoin = listed(replace(model, scorecard=replace(model.scorecard, **records)))["pairs"]["BTC/USD"]
    assert bitcoin["record_pairwise"] == [plain.encode(compared)]
    shown = {model["name"]: model["record"] for model in bitcoin["models"] if model["record"] is not None}
    assert shown == {name: plain.encode(record) for name, record in zip(("mine", "broken"), released[::2], strict=True)}


def test_the_reason_why_another_model_is_the_default_is_shown() -> None:
    facts = replace(MODEL.card.pairs[BTC], served="combined", not_served="mine was left out")
    changed = replace(MODEL, card=replace(MODEL.card, pairs=MODEL.card.pairs | {BTC: facts}))
    bitcoin = listed(changed)["pairs"]["BTC/USD"]
    assert (bitcoin["served"], bitcoin["not_served"]) == ("combined", "mine was left out")


def test_a_model_with_the_name_of_one_that_was_left_out_is_listed_beside_it() -> None:
    """Two files may have one name; the second one is left out for that reason, and must not hide the first."""
    facts = MODEL.card.pairs[BTC]
    second = ModelReport("mine", "rivals/other.py", "c" * 64, (), 0, 0, None, (), "another model has this name")
    card = replace(MODEL.card, pairs=MODEL.card.pairs | {BTC: replace(facts, models=(*facts.models, second))})
    models = listed(replace(MODEL, card=card))["pairs"]["BTC/USD"]["models"]
    sources = [(model["source"], model["left_out"]) for model in models if model["name"] == "mine"]
    assert sources == [("rivals/mine.py", None), ("rivals/other.py", "another model has this name")]
