"""The probability of a price over HTTP, and what the answer says that it is based on."""

import json
import math
from dataclasses import replace
from datetime import date
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.models import Estimate, ModelReport, ModelScore
from crypto_predict.baked.schema import Backtest, Model, ProphetBacktest, ProphetScore
from crypto_predict.web.documentation.openapi import document
from tests.support.applications import Probabilities, client, problem, snapshot_of
from tests.support.models import BTC, ETH, blank, make_forecast, make_model, with_models

DAY = date(2024, 6, 1)  # 15 days after the last candle
PAST = date(2024, 3, 1)
DISTRIBUTION = Evaluator(make_forecast()).distribution(DAY)
PRICES = st.floats(1e-300, 1e300)


def backtested(model: Model) -> Model:
    """The model with a backtest of its first pair at 1, 7, 30 and 90 days."""
    scores = tuple(
        blank(
            ModelScore,
            horizon_days=horizon,
            forecasts=1000 - horizon,
            coverage_50=Estimate(0.51, 0.5, 0.52),
            coverage_80=Estimate(coverage, *((coverage - 0.02, coverage + 0.02) if horizon < 90 else (None, None))),
            coverage_90=Estimate(0.91, None, None),
        )
        for horizon, coverage in ((1, 0.801), (7, 0.811), (30, 0.822), (90, 0.75))
    )
    prophet = blank(ProphetBacktest, scores=(blank(ProphetScore, horizon_days=7, forecasts=900, coverage=0.7),))
    card, combined = model.card.pairs[BTC], blank(ModelReport, name=COMBINED, scores=scores)
    tested = replace(card, backtest=blank(Backtest, prophet=prophet), models=(combined, *card.models[1:]))
    return replace(model, card=replace(model.card, pairs=model.card.pairs | {BTC: tested}))


MODEL = backtested(with_models(make_model(BTC, ETH, simulated={ETH}), "garch", "mine", pairs=[BTC]))
MODELS = (COMBINED, PROPHET, "garch", "mine")
CLIENT = client(MODEL)
PROBABILITIES = Probabilities(CLIENT)
answer_to, ask, probability = PROBABILITIES.answer_to, PROBABILITIES.ask, PROBABILITIES.probability


def test_the_probability_is_that_of_the_distribution() -> None:
    assert probability(date=DAY, above=70_000) == round(DISTRIBUTION.above(70_000), 6)
    assert probability(date=DAY, below=70_000) == round(DISTRIBUTION.below(70_000), 6)
    assert 0.1 < probability(date=DAY, above=70_000) < 0.9


@given(st.dates(make_forecast().first, make_forecast().end), PRICES, PRICES, st.sampled_from(MODELS))
def test_below_between_and_above_make_up_everything(day: date, limit: float, other: float, model: str) -> None:
    low, high = min(limit, other), math.nextafter(max(limit, other), math.inf)
    parts = (
        probability(date=day, model=model, below=low),
        probability(date=day, model=model, above=low, below=high),
        probability(date=day, model=model, above=high),
    )
    assert all(0 <= part <= 1 for part in parts)
    assert sum(parts) == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("moment", ["2024-06-01", "2024-03-01", "2024-06-01T12:30:00Z", "2025-05-17"])
def test_four_prices_in_five_lie_inside_the_interval(moment: str, model: str) -> None:
    """The interval of the answer and its probability are one fact."""
    answer = ask(date=moment, above=1, model=model)
    inside = probability(date=moment, above=answer["low"], below=answer["high"], model=model)
    assert inside == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        *(({"above": "1e300"}, 0), ({"above": "1e+300"}, 0), ({"above": "5e-324"}, 1)),
        *(({"below": "1e300"}, 1), ({"below": "5e-324"}, 0), ({"above": "1e299", "below": "1e300"}, 0)),
        ({"above": "5e-324", "below": "1.7976931348623157e308"}, 1),
    ],
)
def test_prices_that_no_market_reaches_have_an_answer(limits: dict[str, str], expected: float) -> None:
    answer = ask(date=DAY, **limits)
    assert answer["probability"] == expected
    assert answer["based_on"]["extrapolated"] is True


@pytest.mark.parametrize("text", ["70000", "70000.00", "070000", "7e4", "7E+4", "7e+4", "7E 4", ".7e5", "70000."])
def test_a_price_may_be_written_in_several_ways(text: str) -> None:
    """A query writes a space as a plus sign, and a plus sign that was not encoded is one."""
    assert ask(date=DAY, above=text) == ask(date=DAY, above=70_000)
    assert json.loads(CLIENT.get(f"/probability/BTC-USD?date={DAY}&above={text}").data) == ask(date=DAY, above=70_000)


NOT_PRICES = [
    *("", " ", "0", "0.0", "1e-400", "-1", "-70000", "NaN", "nan", "inf", "Infinity", "-inf", "1e309", "9" * 400),
    *("100,000", "100_000", "100k", "$70000", "70000 USD", "0x10", "1e", ".", "\u0667\u0660", "7\u00bd", "\x00"),
]


@pytest.mark.parametrize("name", ["above", "below"])
@pytest.mark.parametrize("text", NOT_PRICES)
def test_what_is_not_a_price_is_refused_with_what_is(name: str, text: str) -> None:
    refused = answer_to({"date": DAY, name: text}, status=400)
    assert refused["parameter"] == name
    assert "a number above 0 without thousands separators, such as 100000" in refused["detail"]
    assert len(refused["detail"]) < 250


@pytest.mark.parametrize(
    ("query", "status", "parameter", "detail"),
    [
        (
            "date=2024-06-01",
            400,
            "above",
            "touches, stays_above and stays_below are missing: give one of them",
        ),
        ("", 400, "date", "date is missing: it must be an ISO date"),
        ("above=70000", 400, "date", "date is missing: it must be an ISO date"),
        ("date=yesterday&above=70000", 400, "date", "'yesterday' is not an ISO date"),
        ("date=2024-06-01&above=70000&below=60000", 400, "below", "below (60,000) must be more than above (70,000)"),
        ("date=2024-06-01&above=70000&below=7e4", 400, "below", "below (70,000) must be more than above (70,000)"),
        ("date=2024-06-01&above=1&above=2", 400, "above", "above is given more than once"),
        (
            "date=2024-06-01&abov=1",
            400,
            "abov",
            "which takes date, above, below, touches, stays_above, ",
        ),
        ("date=2024-06-01&above=1&model=lstm", 400, "model", "is not one of combined, prophet, garch, mine"),
        *(
            (f"date={moment}&above=1", 422, "date", "the range of this model, 2023-01-01 to 2025-05-17")
            for moment in ("2030-01-01", "2022-12-31", "2025-05-18T00:00:01Z", "9999-12-31T23:59-02:00")
        ),
    ],
)
def test_a_question_without_an_answer_is_refused_with_the_reason(
    query: str, status: int, parameter: str, detail: str
) -> None:
    refused = problem(CLIENT.get(f"/probability/BTC-USD?{query}"), status)
    assert (refused["parameter"], detail in refused["detail"]) == (parameter, True), refused


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_any_limit_is_answered_or_refused(text: str) -> None:
    """Clients send anything: a fault of the server would be answered with 500."""
    assert CLIENT.get(f"/probability/BTC-USD?date={DAY}&above={quote(text)}").status_code in {200, 400}


def test_an_answer_says_what_it_is_based_on() -> None:
    answer = ask(date=DAY, above=70_000)
    assert list(answer) == [
        *("date", "above", "below", "touches", "stays_above", "stays_below"),
        *("probability", "known", "borders", "corridor", "happened", "prediction", "low", "high"),
        *("kind", "as_of", "pair", "model", "simulated", "based_on", "words"),
    ]
    assert (answer["date"], answer["above"], answer["below"]) == ("2024-06-01", 70_000, None)
    assert (answer["kind"], answer["as_of"], answer["pair"]) == ("forecast", "2024-05-18T12:00:00Z", "BTC/USD")
    model = {"source": "alpaca", "build": "0.3.1-20240518121047", "trained_at": "2024-05-18T12:10:47Z"}
    confidence = {"low": pytest.approx(0.791), "high": pytest.approx(0.831)}
    coverages = {"coverage": 0.811, "confidence": confidence, "coverage_50": 0.51, "coverage_90": 0.91}
    calibration = {"horizon_days": 7, "horizon_hours": None, "forecasts": 993, "nominal": 0.8, **coverages}
    clock = {"clock": "days", "cutoff": "2024-05-18T00:00:00Z", "live": False, "newest_price_hours": None}
    horizon = clock | {"horizon_days": 15, "horizon_hours": None, "no_hours": None}
    basis = {"newest_candle": "2024-05-17", **horizon, "extrapolated": False, "calibration": calibration}
    assert answer["based_on"] == model | basis
    assert answer["words"] == (
        f"Probability {100 * answer['probability']:.0f} %: BTC/USD above 70,000 at the close of 2024-06-01. Out "
        "of sample the 80 % interval held 81.1 % of 993 outcomes after 7 days; nothing nearer to 15 days was measured."
    )


@pytest.mark.parametrize(
    ("moment", "horizon", "nearest"),
    [
        *(("2024-05-18", 1, 1), ("2024-05-18T18:00Z", 0.75, 1), ("2024-05-21", 4, 1), ("2024-05-22", 5, 7)),
        *(("2024-06-05", 19, 30), ("2024-07-16", 60, 30), ("2024-07-17", 61, 90), ("2025-05-17", 365, 90)),
    ],
)
def test_the_calibration_is_that_of_the_nearest_horizon(moment: str, horizon: float, nearest: int) -> None:
    """Of two that are equally near the shorter one: more forecasts were compared with it."""
    basis = ask(date=moment, above=70_000)["based_on"]
    assert (basis["horizon_days"], basis["calibration"]["horizon_days"]) == (horizon, nearest)
    assert (basis["calibration"]["confidence"] is None) == (nearest == 90)  # too few forecasts


def test_prophet_alone_has_its_own_distribution_and_calibration() -> None:
    """Its quantiles are those of its 80 % interval."""
    answer = ask(date=DAY, above=70_000, model="prophet")
    assert answer["model"] == "prophet"
    assert answer["probability"] != probability(date=DAY, above=70_000)
    measured = {"horizon_days": 7, "horizon_hours": None, "forecasts": 900, "nominal": 0.8, "coverage": 0.7}
    unknown = dict.fromkeys(("confidence", "coverage_50", "coverage_90"))
    assert answer["based_on"]["calibration"] == measured | unknown


@pytest.mark.parametrize(("model", "coverage"), [("garch", 0.8), ("mine", 0.81)])
def test_another_model_has_its_own_distribution_and_calibration(model: str, coverage: float) -> None:
    """It was tested as ours was, and its seven quantiles are baked."""
    answer = ask(date=DAY, above=70_000, model=model)
    other = Evaluator(MODEL.forecasts[BTC]).distribution(DAY, model)
    assert (answer["model"], answer["probability"]) == (model, round(other.above(70_000), 6))
    measured = {
        "horizon_days": 7,
        "horizon_hours": None,
        "forecasts": 993,
        "nominal": 0.8,
        "coverage": pytest.approx(coverage),
    }
    inner = {"confidence": {"low": 0.77, "high": 0.85}, "coverage_50": 0.51, "coverage_90": 0.91}
    assert answer["based_on"]["calibration"] == measured | inner


@pytest.mark.parametrize("moment", ["2024-03-01", "2024-05-17", "2024-05-18T06:00Z"])
def test_the_past_is_answered_from_the_fitted_distribution_and_says_so(moment: str) -> None:
    answer = ask(date=moment, above=50_000)
    basis = answer["based_on"]
    assert (answer["kind"], basis["horizon_days"], basis["calibration"]) == ("fitted", None, None)
    assert "That time has passed: this is the fitted distribution, not a forecast." in answer["words"]


def test_a_model_without_a_backtest_says_that_nothing_was_measured() -> None:
    answer = answer_to({"date": DAY, "above": 70_000}, "ETH-USD")
    assert answer["based_on"]["calibration"] is None
    assert "Nothing was measured out of sample" in answer["words"]
    assert "The prices are simulated." in answer["words"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"above": "0.000012"}, "Probability above 99.5 %: BTC/USD above 1.2e-05 at"),
        ({"above": "1e300"}, "Probability below 0.5 %: BTC/USD above 1e+300 at"),
        ({"above": 60_000, "below": 80_000.5}, "BTC/USD above 60,000 and below 80,000.5 at the close of 2024-06-01."),
        ({"above": "1e300"}, "It rests on the assumed shape of a tail."),
    ],
)
def test_the_words_never_promise_certainty(limits: dict[str, object], words: str) -> None:
    assert words in ask(date=DAY, **limits)["words"]


def test_between_the_last_close_and_the_newest_price_nothing_is_assumed() -> None:
    """Both prices are known, so one limit or the other is certainly exceeded."""
    for limit, expected in ((1, 1), (60_000, 1), (70_000, 0), (1e300, 0)):
        answer = ask(date="2024-05-18T06:00Z", above=limit)
        assert (answer["probability"], answer["based_on"]["extrapolated"]) == (expected, False)


def test_the_words_name_the_nearest_horizon_unless_it_is_the_one_of_the_question() -> None:
    assert "after 7 days." in ask(date="2024-05-24", above=70_000)["words"]
    assert "after 7 days; nothing nearer to 7.542 days was measured." in ask(date="2024-05-25T13:00Z", above=1)["words"]


def test_an_instant_is_answered_in_utc() -> None:
    answer = ask(date="2024-06-01T14:00+02:00", above=70_000)
    assert (answer["date"], "at 2024-06-01T12:00:00Z" in answer["words"]) == ("2024-06-01T12:00:00Z", True)


@pytest.mark.parametrize(
    "query", ["date=2024-06-01&above=1", "date=2024-03-01T01:00Z&below=1", "date=2024-06-01&below=9"]
)
def test_every_kind_of_answer_fits_the_documented_schema(query: str) -> None:
    described = document(snapshot_of(MODEL))["components"]["schemas"]["Probability"]
    for pair in ("BTC-USD", "ETH-USD"):
        OAS31Validator(described).validate(json.loads(CLIENT.get(f"/probability/{pair}?{query}").data))
