"""The documents of the page: the formats of types.d.ts, and the numbers of the API."""

import json
import re
from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from datetime import date, datetime
from itertools import accumulate
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.schema import (
    HORIZON_DAYS,
    Anchor,
    Backtest,
    LiveForecast,
    LiveRecord,
    LiveScore,
    Model,
    PairForecast,
    ProphetBacktest,
    ProphetScore,
    Score,
    Scorecard,
)
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.page import documents
from tests.support import strategies
from tests.support.applications import client
from tests.support.models import BTC, ETH, FIRST, LAST, blank, make_forecast, make_model, with_hindcasts, with_models
from tests.support.page import with_prices

TYPES = Path(__file__).parents[3] / "page" / "scripts" / "types.d.ts"


def of(model: Model) -> dict[str, Any]:
    """The forecast document of the first pair, as a browser reads it."""
    answers = Answers(model)
    return with_prices(json.loads(documents.rendered(documents.forecast(answers, answers.pairs[0]))))


def of_prophet(forecast: PairForecast) -> dict[str, Any]:
    """The document of Prophet alone, as a browser reads it."""
    document = documents.model(Answers(with_forecast(forecast)), BTC, PROPHET)
    return with_prices({"decimals": price_decimals(forecast.last_close), **json.loads(documents.rendered(document))})


def days(first: date, count: int) -> list[date]:
    return [first + n * DAY for n in range(count)]


def with_forecast(forecast: PairForecast) -> Model:
    return replace(make_model(), forecasts={BTC: forecast})


FORECASTS = st.sampled_from([0, 1, 7, 400]).flatmap(
    lambda back: st.builds(
        make_forecast,
        first=st.just(LAST - back * DAY),
        last_close=st.sampled_from([66_900.5, 1.5, 0.00123, 1e-9]),
        fitted_band=strategies.narrow,
        level_correction=strategies.SMALL,
        prophet_weights=strategies.by_horizon(strategies.SMALL),
        forecast_quantiles=strategies.by_horizon(strategies.quantiles(1)),
        prophet_bands=strategies.bands_at_knots(strategies.narrow),
    )
)


@settings(max_examples=15)
@given(FORECASTS)
def test_every_number_is_the_one_that_the_evaluator_gives(forecast: PairForecast) -> None:
    """A reader who compares the page with the API must not find two answers, up to the precision of a number."""
    document, evaluator = of(with_forecast(forecast)), Evaluator(forecast)
    past = days(forecast.first, (forecast.last - forecast.first).days + 1)
    ahead = days(forecast.last + DAY, HORIZON_DAYS)
    ends = [evaluator.at(day) for day in ahead]
    assert document["fitted"] == precisely([evaluator.at(day).price for day in past])
    assert document["prediction"] == precisely([end.price for end in ends])
    assert document["levels"] == list(LEVELS)
    quantiles, least = dict(zip(LEVELS, document["quantiles"], strict=True)), 10.0**-evaluator.decimals
    assert quantiles[0.1] == precisely([max(end.low, least) for end in ends])
    assert quantiles[0.9] == precisely([max(end.high, least) for end in ends])
    if forecast.prophet_bands:
        alone, shown = zip(*(evaluator.at(day, PROPHET) for day in ahead), strict=True), of_prophet(forecast)
        for name, prices in zip(("prediction", "low", "high"), alone, strict=True):
            assert shown[name] == precisely(list(prices))


def precisely(prices: list[float]) -> object:
    """Return prices of which some have more digits than a number holds: the last of them may differ."""
    return pytest.approx(prices, rel=1e-15, abs=0)


@pytest.mark.parametrize("served", [COMBINED, "mine"])
def test_every_number_is_the_one_that_the_api_answers(served: str) -> None:
    """Of each model at the same server, with every quantile of the default one, and the newest price."""
    api = client(with_models(make_model(BTC, ETH), "mine", served=served))
    document = with_prices(json.loads(api.get("/page/ETH-USD.json").data))
    last = date.fromisoformat(document["last"])
    newest = json.loads(api.get("/page/BTC-USD.json").data)["anchor"]
    assert json.loads(api.get(f"/bitcoin?date={newest['at']}&model=combined").data)["prediction"] == newest["price"]
    assert (document["served"], {served, *document["models"]}) == (served, {COMBINED, PROPHET, "mine"})

    def asked(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        whole = f"start={document['first']}&end={last + HORIZON_DAYS * DAY}&model={name}"
        rows = json.loads(api.get(f"/forecast/ETH-USD?{whole}&quantiles=0.05,0.1,0.25,0.5,0.75,0.9,0.95").data)
        return rows[:-HORIZON_DAYS], rows[-HORIZON_DAYS:]

    past, ahead = asked(served)
    assert document["fitted"] == [row["prediction"] for row in past]
    assert document["prediction"] == [row["prediction"] for row in ahead]
    assert document["levels"] == [float(level) for level in ahead[0]["quantiles"]]
    assert document["quantiles"] == [[row["quantiles"][str(level)] for row in ahead] for level in document["levels"]]
    for name in document["models"]:
        sent = json.loads(api.get(f"/page/ETH-USD/models/{name}.json").data)
        shown, (_, ahead) = with_prices({"decimals": document["decimals"], **sent}), asked(name)
        for end in ("prediction", "low", "high"):
            assert shown[end] == [row[end] for row in ahead]


def test_without_a_backtest_prophet_alone_has_a_curve_and_no_interval() -> None:
    """The API refuses that question; the page draws the curve. It continues the fitted one."""
    shown = of_prophet(make_forecast(prophet_bands=()))
    assert (shown["low"], shown["high"]) == (None, None)
    assert shown["prediction"] == of_prophet(make_forecast())["prediction"]
    assert shown["words"] == "prophet has not been scored: the history is too short."


def test_the_past_of_a_model_has_its_bands_through_time_and_a_dozen_fans() -> None:
    """As moves that were forecast, each list as differences."""
    model = with_hindcasts(make_model(), "mine", every=7)
    document = json.loads(documents.rendered(documents.hindcast(Answers(model), BTC, "mine")))
    past = model.forecasts[BTC].hindcasts["mine"]
    assert list(accumulate(document["cutoffs"])) == list(past.cutoffs)
    assert document["horizons"] == [1, 7, 30]
    for place, end in enumerate(("low", "prediction", "high")):
        for days_ahead, steps in zip(document["horizons"], document[end], strict=True):
            column = [row[past.horizons.index(days_ahead)] for row in past.moves()]
            assert list(accumulate(steps)) == [move[place] for move in column]
    assert [len(fan["high"]) for fan in document["fans"]] == [30] * 12
    assert document["words"].split(" inside")[0].endswith("of 12")


def test_the_closes_are_those_of_the_model_and_a_day_without_a_candle_stays_empty() -> None:
    document, forecast = of(make_model()), make_forecast()
    assert len(document["closes"]) == len(document["fitted"]) == (LAST - FIRST).days + 1
    assert None in document["closes"]
    assert document["closes"] == [None if close is None else round(close, 2) for close in forecast.closes]


def test_a_price_is_never_0() -> None:
    """A logarithmic scale has no 0. Here the price rose by the millionfold since the first close."""
    closes = (0.001, *make_forecast().closes[1:])
    anchor = Anchor(make_forecast().anchor.at, 0.002)
    document = of(with_forecast(make_forecast(closes=closes, anchor=anchor)))
    assert (document["closes"][0], document["anchor"]["price"]) == (0.01, 0.01)


SCALARS = {str: "string", Pair: "string", bool: "boolean", int: "number", float: "number", date: "Day"}
SCALARS |= {datetime: "Instant"}


def in_typescript(kind: Any) -> str:
    """The type of what `plain.encode` makes of a value."""
    if kind in SCALARS or is_dataclass(kind):
        return SCALARS.get(kind) or str(kind.__name__)
    members = [in_typescript(member) for member in get_args(kind) if member not in {Ellipsis, NoneType}]
    if get_origin(kind) is dict:
        return f"Record<{', '.join(members)}>"
    if get_origin(kind) is UnionType:
        return f"{members[0]} | null"
    return f"({members[0]})[]" if " " in members[0] else f"{members[0]}[]"


def members_of(kind: Any) -> dict[str, Any]:
    """The types of the members of a dataclass that the page shows."""
    hints = get_type_hints(kind)
    return {name: hints[name] for name in documents.SHOWN.get(kind, hints)}


def dataclasses_of(kind: Any) -> Iterator[Any]:
    """The dataclasses of which a document is made, itself among them."""
    if is_dataclass(kind) and kind is not Pair:
        yield kind
        for hint in members_of(kind).values():
            yield from dataclasses_of(hint)
    for member in get_args(kind):
        yield from dataclasses_of(member)


@pytest.mark.parametrize("kind", sorted(set(dataclasses_of(documents.Document)), key=str))
def test_the_scripts_are_checked_against_the_members_and_types_of_each_document(kind: type) -> None:
    """In the same order, with the same names of the interfaces: a document has one format in both languages."""
    declared = TYPES.read_text(encoding="utf-8")
    (body,) = re.findall(rf"^export interface {kind.__name__} \{{\n(.*?)^\}}", declared, re.MULTILINE | re.DOTALL)
    expected = [(name, in_typescript(hint)) for name, hint in members_of(kind).items()]
    assert re.findall(r"^  (\w+): ([^;]+);", body, re.MULTILINE) == expected


def scored() -> Model:
    """A model with a backtest and a live record."""
    model = make_model()
    alone = ProphetBacktest((blank(ProphetScore, horizon_days=1),), "alone")
    tested = blank(Backtest, scores=(blank(Score, horizon_days=1),), prophet=alone)
    card = replace(model.card, pairs={BTC: replace(model.card.pairs[BTC], backtest=tested)})
    latest = (blank(LiveForecast, made_at=model.card.trained_at, target=LAST),)
    live = blank(
        LiveRecord, since=model.card.trained_at, due=1, by_horizon=(blank(LiveScore, horizon_days=1),), latest=latest
    )
    return replace(model, card=card, scorecard=Scorecard(1, "0" * 64, {BTC: live}, {}))


def record_of(model: Model) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(documents.rendered(documents.record(Answers(model), BTC)))
    return document


def test_a_model_without_backtest_and_ledger_has_a_record_that_says_so() -> None:
    record = record_of(make_model())
    assert (record["backtest"], record["live"]) == (None, None)
    assert record["words"]


def test_a_record_has_the_members_that_the_page_shows_and_no_others() -> None:
    """The scores of a model file have several times as many."""
    record = record_of(scored())
    (score,), prophet = record["backtest"]["scores"], record["backtest"]["prophet"]
    assert list(record["backtest"]) == list(documents.SHOWN[Backtest])
    assert list(score) == list(documents.SHOWN[Score])
    assert list(prophet["scores"][0]) == list(documents.SHOWN[ProphetScore])
    assert list(record["live"]) == list(documents.SHOWN[LiveRecord])
    assert list(record["live"]["by_horizon"][0]) == list(documents.SHOWN[LiveScore])
    assert record["live"]["latest"][0]["target"] == str(LAST)


def test_a_document_is_small() -> None:
    """No number has more digits than its price is written with, whole ones no fraction, and there are no spaces."""
    document = documents.forecast(Answers(make_model()), BTC)
    decimals = price_decimals(make_forecast().last_close)
    text = documents.rendered(document).decode()
    assert all(
        number == round(float(number), decimals) for number in map(float, re.findall(r"[\[,:](-?[0-9.]+)", text))
    )
    assert re.search(r"\d\.0[,\]}]", text) is None
    assert re.search(r"[,:] ", text.replace(document.source, "")) is None
