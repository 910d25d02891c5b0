"""Whether a price is touched until some time, or the price stays within limits, over HTTP."""

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.extremes import Extremes
from crypto_predict.baked.schema import HORIZON_DAYS, Model
from crypto_predict.market import DAY as ONE_DAY
from crypto_predict.web.documentation.openapi import document
from tests.support.applications import Probabilities, client, problem, snapshot_of
from tests.support.models import BTC, ETH, LAST, make_forecast, make_model, make_touch_score, with_hours, with_models

DAY = date(2024, 6, 1)  # 15 days after the last candle
NEWEST = 67_010.0  # the price of the anchor
PAST = date(2024, 5, 1)


def with_touches(model: Model) -> Model:
    """The model with touches of its first pair that were tested 1, 7 and 30 days ahead."""
    scores = tuple(map(make_touch_score, (1, 7, 30)))
    corridors = tuple(replace(score, brier=0.2) for score in scores)
    card = replace(model.card.pairs[BTC], touches=scores, corridors=corridors)
    return replace(model, card=replace(model.card, pairs=model.card.pairs | {BTC: card}))


WALK = make_forecast(prophet_weights=(0.0,) * HORIZON_DAYS)
MODEL = with_touches(with_models(make_model(BTC, ETH, simulated={ETH}), "garch", pairs=[BTC]))
MODEL = replace(MODEL, forecasts=MODEL.forecasts | {BTC: replace(WALK, models=MODEL.forecasts[BTC].models)})
CLIENT = client(MODEL)
EXTREMES = Extremes(Evaluator(MODEL.forecasts[BTC]), COMBINED)
PROBABILITIES = Probabilities(CLIENT)
answer_to, ask, probability = PROBABILITIES.answer_to, PROBABILITIES.ask, PROBABILITIES.probability


def test_a_touch_is_more_probable_than_a_close_beyond() -> None:
    """By the rule of reflection, and by what the pair's highs and lows have shown."""
    touched, closed = probability(date=DAY, touches=75_000), probability(date=DAY, above=75_000)
    assert closed < touched == round(EXTREMES.touched(DAY, 75_000), 6)
    assert probability(date=DAY, touches=60_000) > probability(date=DAY, below=60_000)


@given(st.integers(1, HORIZON_DAYS), st.floats(0.5, 2), st.sampled_from([COMBINED, PROPHET, "garch"]))
def test_a_price_is_touched_or_the_price_stays_on_this_side_of_it(days: int, share: float, model: str) -> None:
    price, day = share * 66_950, LAST + timedelta(days=days)
    touched = probability(date=day, touches=price, model=model)
    stays = "stays_below" if price > (NEWEST if model == COMBINED else 66_900.5) else "stays_above"
    assert touched + probability(date=day, **{stays: price}, model=model) == pytest.approx(1, abs=1.1e-6)
    beyond = "above" if stays == "stays_below" else "below"
    assert touched >= probability(date=day, **{beyond: price}, model=model)


def test_a_corridor_is_narrower_than_each_of_its_limits() -> None:
    up, down = probability(date=DAY, touches=75_000), probability(date=DAY, touches=60_000)
    both = ask(date=DAY, stays_above=60_000, stays_below=75_000)
    assert max(0, 1 - up - down) < both["probability"] < 1 - max(up, down)
    assert [(border["price"], border["touched"]) for border in both["borders"]] == [(60_000, down), (75_000, up)]
    place = int(10 * both["probability"])
    assert both["known"] is False
    assert (both["corridor"]["at_least"], both["corridor"]["questions"]) == (place / 10, 1_000 + place)
    assert both["corridor"]["brier"] == 0.2
    assert both["words"] == (
        f"Probability {100 * both['probability']:.0f} %: BTC/USD stays above 60,000 and below 75,000 until the close "
        f"of 2024-06-01. Out of sample {10 * place + 3}.0 % of {1_000 + place:,} corridors said to hold the price for "
        f"7 days with a probability of {10 * place} to {10 * place + 10} % did; nothing nearer to 15 days was measured."
    )


def test_the_answer_says_how_such_answers_came_true() -> None:
    answer = ask(date=DAY, touches=75_000)
    (border,) = answer["borders"]
    place = int(10 * answer["probability"])
    assert border["price"] == answer["touches"] == 75_000
    assert border["touched"] == answer["probability"]
    assert border["calibration"] == {
        "horizon_days": 7,
        "horizon_hours": None,
        "at_least": place / 10,
        "below": (place + 1) / 10,
        "questions": 1_000 + place,
        "said": place / 10 + 0.05,
        "came": place / 10 + 0.03,
        "brier": 0.1,
        "brier_reflection": 0.102,
    }
    assert (answer["happened"], answer["known"], answer["corridor"]) == (None, False, None)
    assert answer["based_on"]["horizon_days"] == 15
    assert answer["words"] == (
        f"Probability {100 * answer['probability']:.0f} %: BTC/USD touches 75,000 by the close of 2024-06-01. "
        f"Out of sample {10 * place + 3}.0 % of {1_000 + place:,} prices said to be touched within 7 days with a "
        f"probability of {10 * place} to {10 * place + 10} % were; nothing nearer to 15 days was measured."
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"date": "2024-05-19T12:00Z", "touches": 70_000}, "touches 70,000 by 2024-05-19T12:00:00Z."),
        ({"date": DAY, "touches": "1e300"}, "Probability below 0.5 %: BTC/USD touches 1e+300 by the close of"),
        ({"date": DAY, "touches": "1e300"}, "It rests on the assumed shape of a tail."),
        ({"date": DAY, "stays_above": "1"}, "Probability above 99.5 %: BTC/USD stays above 1 until the close of"),
        (
            {"date": DAY, "touches": 67_011},
            "Out of sample there were no prices said to be touched within 7 days",
        ),
        ({"date": LAST + ONE_DAY, "touches": 68_000}, "were."),
        (
            {"date": DAY, "touches": 75_000, "model": "garch"},
            "by the model combined, whose curve this answer uses were",
        ),
    ],
)
def test_the_words_say_what_was_asked_and_what_it_rests_on(query: dict[str, object], words: str) -> None:
    assert words in answer_to(query)["words"]


def test_the_present_price_has_been_touched() -> None:
    answer = ask(date=DAY, touches=NEWEST)
    assert (answer["probability"], answer["known"]) == (1, True)
    assert answer["borders"] == [{"price": NEWEST, "touched": 1, "calibration": None}]
    assert "BTC/USD touches 67,010: the newest price, of 2024-05-18T12:00:00Z, is 67,010." in answer["words"]


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        ({"stays_above": 70_000, "stays_below": 80_000}, "above 70,000 and below 80,000"),
        ({"stays_above": 67_010}, "above 67,010"),
        ({"stays_below": 60_000}, "below 60,000"),
    ],
)
def test_a_corridor_without_the_present_price_is_answered_with_0_and_the_reason(
    limits: dict[str, object], asked: str
) -> None:
    answer = ask(date=DAY, **limits)
    assert (answer["probability"], answer["known"], answer["corridor"]) == (0, True, None)
    newest = "as the newest price, of 2024-05-18T12:00:00Z, is 67,010."
    assert f"Probability 0: BTC/USD does not stay {asked}, {newest}" in answer["words"]
    assert "Out of sample" not in answer["words"], "what was measured of forecasts does not bear on it"
    assert "assumed" not in answer["words"]


def day_of_the_past(**query: object) -> dict[str, Any]:
    """The answer about a day whose close is C, its low 0.98 C and its high 1.01 C."""
    close = MODEL.forecasts[BTC].closes[(PAST - MODEL.forecasts[BTC].first).days]
    assert close is not None
    prices = {name: value * close if isinstance(value, float) else value for name, value in query.items()}
    return ask(**{"date": PAST, **prices})


@pytest.mark.parametrize(
    ("query", "happened", "said"),
    [
        ({"touches": 0.99}, 1, "touched"),
        ({"touches": 1.005}, 1, "touched"),
        ({"touches": 0.97}, 0, "did not touch"),
        ({"touches": 1.02}, 0, "did not touch"),
        ({"stays_above": 0.97}, 1, "stayed above"),
        ({"stays_above": 0.99}, 0, "did not stay above"),
        ({"stays_below": 1.02}, 1, "stayed below"),
        ({"stays_below": 1.0}, 0, "did not stay below"),
        ({"stays_above": 0.97, "stays_below": 1.02}, 1, "stayed above"),
        ({"stays_above": 0.97, "stays_below": 1.005}, 0, "did not stay above"),
        ({"stays_above": 0.99, "stays_below": 1.02}, 0, "did not stay above"),
        ({"touches": 0.99, "date": "2024-05-01T06:00Z"}, 1, "touched"),
        ({"touches": 0.99, "date": "2024-05-02T00:00Z"}, 1, "touched"),
    ],
)
def test_what_was_touched_on_a_day_of_the_past_is_known(query: dict[str, object], happened: int, said: str) -> None:
    """An instant is answered by its day; midnight is the end of the day before."""
    answer = day_of_the_past(**query)
    assert (answer["probability"], answer["known"]) == (happened, True)
    assert answer["kind"] == "fitted"
    assert answer["happened"]["day"] == "2024-05-01"
    assert f"BTC/USD {said} " in answer["words"]
    day = "2024-05-01, of which the whole day is known" if "date" in query else "2024-05-01"
    assert f"on {day}: the price was between " in answer["words"]
    assert "fitted distribution" not in answer["words"]
    assert not answer["based_on"]["extrapolated"]


def test_the_past_of_invented_prices_is_said_to_be_invented() -> None:
    answer = answer_to({"date": PAST, "touches": 1}, "ETH-USD")
    assert answer["simulated"] is True
    assert "The prices are simulated." in answer["words"]


def test_a_model_without_a_backtest_says_that_nothing_was_measured() -> None:
    answer = answer_to({"date": DAY, "touches": 70_000}, "ETH-USD")
    assert [border["calibration"] for border in answer["borders"]] == [None]
    assert "Nothing was measured out of sample" in answer["words"]
    assert "The prices are simulated." in answer["words"]


MISSING = next(
    WALK.first + timedelta(days=place) for place, close in enumerate(MODEL.forecasts[BTC].closes) if close is None
)


@pytest.mark.parametrize(
    ("query", "parameter", "detail"),
    [
        (f"date={DAY}&touches=1&above=2", "touches", "above (2) and touches (1) are different questions: ask one"),
        (
            f"date={DAY}&touches=1&stays_above=2",
            "stays_above",
            "touches (1) and stays_above (2) are different",
        ),
        (f"date={DAY}&below=1&stays_below=2", "stays_below", "below (1) and stays_below (2) are different questions"),
        (
            f"date={DAY}&stays_above=7e4&stays_below=6e4",
            *("stays_below", "stays_below (60,000) must be more than stays_above (70,000)"),
        ),
        (f"date={DAY}&stays_above=7e4&stays_below=7e4", "stays_below", "must be more than stays_above"),
        (f"date={DAY}&touches=1&touches=2", "touches", "touches is given more than once"),
        (f"date={DAY}&touches=0", "touches", "a number above 0 without thousands separators, such as 100000"),
        (f"date={DAY}&stays_above=100,000", "stays_above", "a number above 0 without thousands separators"),
        (f"date={DAY}&stays_below=-1", "stays_below", "a number above 0 without thousands separators"),
        (f"date={DAY}&touch=1", "touch", "which takes date, above, below, touches, stays_above, stays_below and model"),
        (f"date={MISSING}&touches=1", "date", f"{MISSING} has no candle, so nobody knows what was touched on it"),
        (
            "date=2024-05-18T06:00Z&touches=1",
            *("date", "2024-05-18T06:00:00Z has passed, as the newest price is of 2024-05-18T12:00:00Z"),
        ),
        ("date=2024-05-18T12:00Z&stays_above=1", "date", "and the day has not closed, so nobody knows"),
    ],
)
def test_a_question_without_an_answer_is_refused_with_the_reason(query: str, parameter: str, detail: str) -> None:
    refused = problem(CLIENT.get(f"/probability/BTC-USD?{query}"), 400)
    assert (refused["parameter"], detail in refused["detail"]) == (parameter, True), refused


@pytest.mark.parametrize("moment", ["2022-12-31", "2025-05-18", "9999-12-31T23:59-02:00"])
def test_a_time_that_the_model_does_not_cover_is_refused(moment: str) -> None:
    assert "the range of this model" in answer_to({"date": moment, "touches": 1}, status=422)["detail"]


@given(st.text(alphabet=st.characters(max_codepoint=255)), st.sampled_from(["touches", "stays_above", "stays_below"]))
def test_any_price_is_answered_or_refused(text: str, name: str) -> None:
    """Clients send anything: a fault of the server would be answered with 500."""
    assert CLIENT.get(f"/probability/BTC-USD?date={DAY}&{name}={quote(text)}").status_code in {200, 400}


@pytest.mark.parametrize(
    "query",
    [
        *("date=2024-06-01&touches=70000", "date=2024-06-01&stays_above=6e4&stays_below=8e4"),
        *("date=2024-05-01&touches=1", "date=2024-05-19T01:00Z&stays_below=8e4", "date=2024-06-01&stays_above=7e4"),
    ],
)
def test_every_kind_of_answer_fits_the_documented_schema(query: str) -> None:
    described = document(snapshot_of(MODEL))["components"]["schemas"]["Probability"]
    for pair in ("BTC-USD", "ETH-USD"):
        OAS31Validator(described).validate(json.loads(CLIENT.get(f"/probability/{pair}?{query}").data))


def test_an_hour_ahead_the_forecast_of_hours_answers() -> None:
    model = with_hours(MODEL)
    asked = client(model).get("/probability/BTC-USD?date=2024-05-18T13:00Z&touches=67500")
    answer = json.loads(asked.data)
    assert answer["based_on"]["horizon_hours"] == 1
    extremes = Extremes(Evaluator(model.forecasts[BTC]), COMBINED)
    assert answer["probability"] == round(extremes.touched(extremes.since + timedelta(hours=1), 67_500), 6)
    assert answer["probability"] != probability(date="2024-05-18T13:00Z", touches=67_500)


def test_a_touch_within_the_next_hours_names_the_hours_that_were_measured() -> None:
    model = with_hours(MODEL)
    facts = model.card.pairs[BTC]
    measured = (*(make_touch_score(None, hours) for hours in (1, 6, 24)), *facts.touches)
    card = replace(model.card, pairs=model.card.pairs | {BTC: replace(facts, touches=measured)})
    app = client(replace(model, card=card))
    answer = json.loads(app.get("/probability/BTC-USD?date=2024-05-18T19:00Z&touches=67500").data)
    (border,) = answer["borders"]
    assert (border["calibration"]["horizon_hours"], border["calibration"]["horizon_days"]) == (6, None)
    assert "touched within 6 hours with a probability of" in answer["words"]
    assert "nothing nearer to 7 hours was measured" in answer["words"]
