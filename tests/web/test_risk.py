"""The table of risk over HTTP: one distribution, the one of `/probability`, in the words of whoever may lose."""

import csv
import io
import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.web.documentation.openapi import document
from tests.support.applications import client, problem, snapshot_of
from tests.support.models import BTC, make_forecast
from tests.web.test_probabilities import CLIENT, MODEL, MODELS

DAY = date(2024, 6, 1)  # 15 days after the last candle
NEWEST = 67_010.0  # at noon of the day after it
NAMES = ("value_at_risk", "expected_shortfall", "ranges", "falls")


def ask(query: str = f"date={DAY}", pair: str = "BTC-USD") -> dict[str, Any]:
    response = CLIENT.get(f"/risk/{pair}?{query}")
    assert response.status_code == 200, response.get_data(as_text=True)
    return dict(json.loads(response.data))


def column(answer: dict[str, Any], name: str, member: str) -> list[Any]:
    return [figure[member] for figure in answer[name]]


def test_every_figure_is_one_of_the_distribution() -> None:
    """Shortfalls are computed by another way: all prices below, each as probable as its part of the distribution."""
    answer, distribution = ask(), Evaluator(make_forecast()).distribution(DAY)
    assert (answer["date"], answer["newest_price"]) == ("2024-06-01", NEWEST)
    for figure, share in zip(answer["value_at_risk"], (0.01, 0.05), strict=True):
        price = distribution.quantile(share)
        assert figure["probability"] == share
        assert figure["loss"] == pytest.approx(1 - price / NEWEST, abs=1e-6)
        assert figure["price"] == pytest.approx(price, abs=0.01)
    for figure, share in zip(answer["expected_shortfall"], (0.01, 0.05), strict=True):
        prices = [distribution.quantile(share * (n + 0.5) / 10_000) for n in range(10_000)]
        assert figure["probability"] == share
        assert figure["price"] == pytest.approx(sum(prices) / 10_000, rel=1e-4)
    for figure, share in zip(answer["ranges"], (0.5, 0.8, 0.9), strict=True):
        ends = [distribution.quantile(level) for level in ((1 - share) / 2, (1 + share) / 2)]
        assert figure["probability"] == share
        assert [figure["low"], figure["high"]] == pytest.approx(ends, abs=0.01)
    for figure, share in zip(answer["falls"], (0.05, 0.1, 0.2), strict=True):
        assert (figure["loss"], figure["price"]) == (share, pytest.approx(NEWEST * (1 - share), abs=0.01))
        assert figure["probability"] == pytest.approx(distribution.below(NEWEST * (1 - share)), abs=1e-6)


def test_its_probabilities_are_those_of_the_other_address() -> None:
    """Who asks both, for a price of this table, must not find two answers."""
    for query in (f"date={DAY}", f"date={DAY}&model=prophet", "date=2024-05-18T18:30Z&model=garch"):
        answer = ask(query)
        for name in ("value_at_risk", "falls"):
            for figure in answer[name]:
                asked = json.loads(CLIENT.get(f"/probability/BTC-USD?{query}&below={figure['price']}").data)
                assert figure["probability"] == pytest.approx(asked["probability"], abs=5e-6)
        assert [asked["low"], asked["high"]] == [answer["ranges"][1][end] for end in ("low", "high")]
        assert {name: asked["based_on"][name] for name in asked["based_on"] if name != "extrapolated"} == {
            name: answer["based_on"][name] for name in asked["based_on"] if name != "extrapolated"
        }


DAYS_AHEAD = st.dates(date(2024, 5, 18), make_forecast().end)


@given(DAYS_AHEAD, st.sampled_from(MODELS))
def test_rarer_losses_are_larger_and_their_mean_exceeds_them(day: date, model: str) -> None:
    answer = ask(f"date={day}&model={model}")
    (rare, usual), (rare_mean, usual_mean) = (column(answer, name, "loss") for name in NAMES[:2])
    assert usual <= rare <= rare_mean <= 1
    assert usual <= usual_mean <= rare_mean
    falls = column(answer, "falls", "probability")
    assert falls == sorted(falls, reverse=True)
    lows, highs = (column(answer, "ranges", end) for end in ("low", "high"))
    assert lows[::-1] + highs == sorted(lows + highs)
    for name in ("value_at_risk", "expected_shortfall", "falls"):
        for figure in answer[name]:
            assert figure["price"] + figure["amount"] == pytest.approx(answer["newest_price"], abs=0.01)
            assert figure["amount"] / answer["newest_price"] == pytest.approx(figure["loss"], abs=1e-6)


def test_without_a_date_it_is_the_risk_of_a_week() -> None:
    assert ask("") == ask("date=2024-05-24")
    assert ask("")["based_on"]["horizon_days"] == 7


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (COMBINED, [[True, False], [True, True], [False, False, False], [False, False, True]]),
        (PROPHET, [[True, True], [True, True], [False, False, True], [True, True, True]]),
    ],
)
def test_each_figure_says_whether_it_rests_on_an_assumed_tail(model: str, expected: list[list[bool]]) -> None:
    """Our model holds quantiles from 5 % to 95 %, Prophet alone from 10 % to 90 %; a mean beyond reaches further."""
    answer = ask(f"date={DAY}&model={model}")
    assert [column(answer, name, "extrapolated") for name in NAMES] == expected
    assert answer["based_on"]["extrapolated"] is True
    assert "rest on the assumed shape of a tail" in answer["words"]


@pytest.mark.parametrize(
    ("query", "status", "parameter", "detail"),
    [
        (
            "date=2024-05-17",
            400,
            "date",
            "date: 2024-05-17 has passed, since the newest price is that of 2024-05-18T00",
        ),
        ("date=2023-06-01T12:00Z", 400, "date", "has passed"),
        ("date=2024-05-18T12:00Z", 400, "date", "has passed, since the newest price is that of 2024-05-18T12:00:00Z"),
        ("date=2024-05-18T06:00Z", 400, "date", "has passed"),  # the price was known at noon
        ("date=2022-12-31", 422, "date", "the range of this model, 2023-01-01 to 2025-05-17"),
        ("date=2030-01-01", 422, "date", "the range of this model, 2023-01-01 to 2025-05-17"),
        ("date=", 400, "date", "is not an ISO date"),
        ("date=2024-06-01&date=2024-06-02", 400, "date", "date is given more than once"),
        ("model=lstm", 400, "model", "is not one of combined, prophet, garch, mine"),
        ("above=1", 400, "above", "which takes date, model and format"),
        ("format=xml", 400, "format", "csv or json"),
    ],
)
def test_a_question_without_an_answer_is_refused_with_the_reason(
    query: str, status: int, parameter: str, detail: str
) -> None:
    """Of the past there is a fitted distribution, but nothing can be lost by then from the price of today."""
    refused = problem(CLIENT.get(f"/risk/BTC-USD?{query}"), status)
    assert (refused["parameter"], detail in refused["detail"]) == (parameter, True), refused


def test_losses_are_counted_from_the_newest_price_of_the_model_that_answers() -> None:
    """Other models do not know the newest hour, so that theirs is the last close."""
    answer = ask("date=2024-05-18T06:00Z&model=garch")
    assert (answer["newest_price"], answer["as_of"]) == (66_900.5, "2024-05-18T00:00:00Z")
    assert ask()["as_of"] == "2024-05-18T12:00:00Z"


def test_a_prophet_without_an_interval_has_no_risk() -> None:
    bare = make_forecast(prophet_bands=())
    app = client(replace(MODEL, forecasts=MODEL.forecasts | {BTC: bare}))
    assert problem(app.get("/risk/BTC-USD?model=prophet"), 422)["parameter"] == "model"


def test_the_words_have_the_losses_and_what_they_rest_on() -> None:
    answer = ask()
    assert answer["words"] == (
        "In 5 of 100 cases BTC/USD loses more than 12 % by the close of 2024-06-01, on average 16 % then; in 1 of 100 "
        "it loses more than 18 %, on average 22 %. Out of sample the 80 % interval held 81.1 % of 993 outcomes after "
        "7 days; nothing nearer to 15 days was measured. Figures that are marked as extrapolated rest on the assumed "
        "shape of a tail."
    )
    assert "by 2024-05-18T18:00:00Z, on average" in ask("date=2024-05-18T18:00Z")["words"]


def test_a_gain_is_not_called_a_loss() -> None:
    """The forecast of a model may lie so high that even its low end is a gain, and yet the mean beyond a loss."""
    words = ask("date=2024-05-24&model=prophet")["words"]
    assert "BTC/USD gains less than 1.5 % by the close of 2024-05-24, on average it loses 3.6 % then" in words


def test_invented_prices_are_marked_and_a_model_that_was_not_measured_says_so() -> None:
    response = CLIENT.get("/risk/ETH-USD")
    answer = json.loads(response.data)
    assert (answer["simulated"], response.headers["Crypto-Predict-Simulated"]) == (True, "true")
    assert answer["based_on"]["calibration"] is None
    assert "The prices are simulated. Nothing was measured out of sample" in answer["words"]


@pytest.mark.parametrize("pair", ["BTC-USD", "ETH-USD"])
def test_a_file_has_a_line_for_each_figure(pair: str) -> None:
    response = CLIENT.get(f"/risk/{pair}.csv?date={DAY}")
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True), newline="")))
    answer = ask(pair=pair)
    figures = [{"figure": name.removesuffix("s"), **figure} for name in NAMES for figure in answer[name]]
    same = ("date", "newest_price", "kind", "as_of", "pair", "model", "simulated")
    assert len(rows) == len(figures) == 10
    for row, figure in zip(rows, figures, strict=True):
        whole = figure | {name: answer[name] for name in same}
        assert {name for name, value in row.items() if value} == whole.keys()
        assert all(
            row[name] == (str(value).lower() if isinstance(value, bool) else str(value))
            for name, value in whole.items()
        )
    assert response.headers["Crypto-Predict-Pair"] == answer["pair"]
    assert response.headers.get("Crypto-Predict-Simulated") == ("true" if answer["simulated"] else None)


@pytest.mark.parametrize("query", ["", "date=2024-05-18T18:00Z", "date=2025-05-17&model=prophet"])
def test_every_kind_of_answer_fits_the_documented_schema(query: str) -> None:
    described = document(snapshot_of(MODEL))["components"]["schemas"]["Risk"]
    for pair in ("BTC-USD", "ETH-USD"):
        OAS31Validator(described).validate(ask(query, pair))
