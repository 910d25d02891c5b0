"""Quantiles of a forecast at any level."""

import json
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import MODELS
from crypto_predict.errors import InvalidValue
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.web.model.endpoint import read_levels
from crypto_predict.web.model.forecast import answer
from tests.support.applications import client, snapshot_of
from tests.support.models import BTC, TRAINED_AT, make_forecast, make_model

SNAPSHOT = snapshot_of(make_model())
DAYS = st.dates(make_forecast().first, make_forecast().end)
LEVELS = st.lists(st.integers(10, 990).map(lambda n: n / 1000), min_size=1, max_size=20, unique=True)


def rows(query: str) -> list[dict[str, Any]]:
    return list(json.loads(answer(SNAPSHOT, TRAINED_AT, query, "BTC-USD").body))


@given(DAYS, LEVELS, st.sampled_from(MODELS))
def test_quantiles_of_a_day_ascend_with_their_levels(day: date, levels: list[float], model: str) -> None:
    (row,) = rows(f"start={day}&end={day}&model={model}&quantiles={','.join(map(str, levels))}")
    assert list(row["quantiles"]) == [str(level) for level in sorted(levels)]
    assert all(a <= b for a, b in pairwise(row["quantiles"].values()))
    assert all(price > 0 for price in row["quantiles"].values())


@given(DAYS, st.sampled_from(MODELS))
def test_the_quantiles_at_10_and_90_percent_are_the_interval(day: date, model: str) -> None:
    (row,) = rows(f"start={day}&end={day}&model={model}&quantiles=0.1,0.9")
    assert row["quantiles"] == {"0.1": row["low"], "0.9": row["high"]}


def test_quantiles_are_added_to_the_row_and_change_nothing_else() -> None:
    query = "start=2024-05-10&end=2024-06-20"
    with_quantiles = rows(f"{query}&quantiles=0.5")
    assert list(with_quantiles[0]) == [
        *("date", "prediction", "low", "high", "quantiles", "kind", "as_of", "pair", "model", "simulated")
    ]
    assert [{name: row[name] for name in row if name != "quantiles"} for row in with_quantiles] == rows(query)


@pytest.mark.parametrize("text", ["0.5,0.05,0.95", "0.05, 0.5, 0.95", "0.050,.5,9.5e-1", "0.95,0.50,5e-2"])
def test_levels_may_be_written_in_any_order_and_in_several_ways(text: str) -> None:
    assert read_levels("quantiles", text) == (0.05, 0.5, 0.95)


@pytest.mark.parametrize("text", ["0.01", "0.99", ",".join(f"0.{n}" for n in range(10, 30))])
def test_the_ends_of_what_is_accepted_are_accepted(text: str) -> None:
    assert len(read_levels("quantiles", text)) == text.count(",") + 1


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "0.5,", ",0.5", "0", "1", "0.009", "0.991"),
        *("50", "5%", "-0.5", "nan", "inf", "median", "0.5;0.9", "\x00"),
    ],
)
def test_a_level_that_is_not_accepted_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"quantiles: .* is not a list of levels between 0\.01 and 0\.99") as caught:
        read_levels("quantiles", text)
    assert caught.value.name == "quantiles"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0.5,0.50", "quantiles: the level 0.5 is given more than once"),
        (",".join(f"0.{n}" for n in range(10, 31)), "quantiles: 21 levels are more than the 20 of one request"),
        ("," * 5_000, "quantiles: 5001 levels are more than the 20 of one request"),
    ],
)
def test_a_level_too_many_is_refused(text: str, fault: str) -> None:
    """Each level of each day is computed: a request must not cost more than it takes to ask."""
    with pytest.raises(BadParameter, match=fault) as caught:
        read_levels("quantiles", text)
    assert caught.value.parameter == "quantiles"


@given(st.text())
def test_any_levels_are_parsed_or_refused(text: str) -> None:
    """Any other exception would be a fault of the server."""
    try:
        result = read_levels("quantiles", text)
    except (InvalidValue, BadParameter):
        return
    assert all(0.01 <= level <= 0.99 for level in result)


def test_a_problem_names_the_parameter() -> None:
    response = client(make_model(BTC)).get("/forecast/BTC-USD?quantiles=1.5")
    assert (response.status_code, json.loads(response.data)["parameter"]) == (400, "quantiles")
    response = client(make_model(BTC)).get("/bitcoin?date=2024-06-01&quantiles=0.5")
    assert (response.status_code, json.loads(response.data)["parameter"]) == (400, "quantiles")


def test_rows_with_quantiles_are_not_kept() -> None:
    """There are more levels than memory."""
    fresh = snapshot_of(make_model())
    answer(fresh, TRAINED_AT, "quantiles=0.123", "BTC-USD")
    assert b"quantiles" not in answer(fresh, TRAINED_AT, "", "BTC-USD").body
