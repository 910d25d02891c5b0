"""Does every price say what it rests on?"""

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.schema import Model
from crypto_predict.errors import InvalidValue, NoProphetInterval
from crypto_predict.web import provenance
from crypto_predict.web.answers import Answers
from tests.support.models import BTC, ETH, make_forecast, make_model

MODEL = make_model(BTC, ETH, simulated={ETH})
ANSWERS = Answers(MODEL)
FORECAST = MODEL.forecasts[BTC]
ENDS = [datetime.combine(day, time()) for day in (FORECAST.first, FORECAST.end)]
CLOSE, ANCHOR = "2024-05-18T00:00:00Z", "2024-05-18T12:00:00Z"  # of the last daily candle, and the newest price


def rows(pair: str, query: str, answers: Answers = ANSWERS) -> list[dict[str, object]]:
    """The days of a forecast."""
    return list(json.loads(answers.forecast(pair, query).body))


def facts(query: str) -> dict[str, str]:
    """The headers of an answer about Bitcoin."""
    return dict(ANSWERS.bitcoin(query).headers)


@pytest.mark.parametrize(
    ("query", "kind", "as_of"),
    [
        ("date=2023-01-01", "fitted", CLOSE),
        ("date=2024-05-17", "fitted", CLOSE),
        ("date=2024-05-18", "forecast", ANCHOR),
        ("date=2025-05-17", "forecast", ANCHOR),
        ("date=2024-05-18T00:00:00Z", "fitted", CLOSE),  # the close of the day before
        ("date=2024-05-18T02:00:00%2B02:00", "fitted", CLOSE),  # the same instant
        ("date=2024-05-18T00:00:01Z", "fitted", ANCHOR),  # between two prices that are known
        ("date=2024-05-18T12:00:00Z", "fitted", ANCHOR),
        ("date=2024-05-18T12:00:01Z", "forecast", ANCHOR),
        ("date=2024-05-17&model=prophet", "fitted", CLOSE),
        ("date=2024-05-18&model=prophet", "forecast", CLOSE),
        ("date=2024-05-18T00:00:01Z&model=prophet", "forecast", CLOSE),  # Prophet does not start from the newest price
    ],
)
def test_the_answer_of_four_keys_says_the_rest_in_its_headers(query: str, kind: str, as_of: str) -> None:
    model = "prophet" if "prophet" in query else "combined"
    assert facts(query) == {
        "Crypto-Predict-Kind": kind,
        "Crypto-Predict-As-Of": as_of,
        "Crypto-Predict-Pair": "BTC/USD",
        "Crypto-Predict-Model": model,
    }
    assert list(json.loads(ANSWERS.bitcoin(query).body)) == ["date", "prediction", "prediction low", "prediction_high"]


@given(st.dates(FORECAST.first, FORECAST.end), st.sampled_from([COMBINED, PROPHET]))
def test_a_row_says_what_the_headers_of_the_same_day_say(day: object, model: str) -> None:
    """Two ways to one fact, of which none may differ."""
    (row,) = rows("BTC-USD", f"start={day}&end={day}&model={model}")
    headers = facts(f"date={day}&model={model}")
    named = [headers[name] for name in provenance.HEADERS if name in headers]
    assert [row[name] for name in ("kind", "as_of", "pair", "model")] == named
    assert row["simulated"] is False


def test_a_forecast_across_the_last_candle_has_rows_of_both_kinds() -> None:
    found = rows("ETH-USD", "start=2024-05-15&end=2024-05-20")
    assert [row["kind"] for row in found] == ["fitted"] * 3 + ["forecast"] * 3
    assert [row["as_of"] for row in found] == [CLOSE] * 3 + [ANCHOR] * 3
    assert list(found[0]) == ["date", "prediction", "low", "high", "kind", "as_of", "pair", "model", "simulated"]
    assert {(row["pair"], row["model"], row["simulated"]) for row in found} == {("ETH/USD", "combined", True)}


@pytest.mark.parametrize(
    "days", [("2024-05-10", "2024-05-17"), ("2024-05-18", "2024-05-18"), ("2024-05-17", "2024-05-18")]
)
def test_each_day_is_there_once_at_the_border_of_the_kinds(days: tuple[str, str]) -> None:
    start, end = days
    found = rows("BTC-USD", f"start={start}&end={end}")
    assert (found[0]["date"], found[-1]["date"]) == days
    assert len(found) == (datetime.fromisoformat(end) - datetime.fromisoformat(start)).days + 1
    assert [row["kind"] for row in found] == [
        "fitted" if str(row["date"]) < "2024-05-18" else "forecast" for row in found
    ]


@given(st.datetimes(*ENDS, timezones=st.just(UTC)))
def test_prophet_alone_is_asked_by_its_name(instant: datetime) -> None:
    """Both addresses give what the evaluation of that model gives."""
    asked = f"date={instant:%Y-%m-%dT%H:%M:%S}Z&model=prophet"
    expected = Evaluator(FORECAST).at(instant.replace(microsecond=0), PROPHET)
    assert json.loads(ANSWERS.bitcoin(asked).body)["prediction"] == expected.price
    (row,) = rows("BTC-USD", f"start={instant.date()}&end={instant.date()}&model=prophet")
    close = Evaluator(FORECAST).at_close(instant.date(), PROPHET)
    assert (row["prediction"], row["low"], row["high"]) == (close.price, close.low, close.high)


def test_the_default_is_the_combined_model() -> None:
    assert ANSWERS.bitcoin("date=2024-06-01") == ANSWERS.bitcoin("date=2024-06-01&model=combined")
    assert ANSWERS.forecast("BTC-USD", "") == ANSWERS.forecast("BTC-USD", "model=combined")
    assert ANSWERS.bitcoin("date=2024-06-01").body != ANSWERS.bitcoin("date=2024-06-01&model=prophet").body


@pytest.mark.parametrize("text", ["", "Prophet", "lstm", "combined ", "\x00", "x" * 10_000])
def test_a_model_that_does_not_exist_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not one of combined, prophet") as caught:
        ANSWERS.bitcoin(f"date=2024-06-01&model={text}")
    assert caught.value.name == "model"
    with pytest.raises(InvalidValue, match="is not one of combined, prophet"):
        ANSWERS.forecast("BTC-USD", f"model={text}")


def without_backtest() -> Model:
    """A model of a history too short for a backtest: of Prophet alone no interval is known."""
    return replace(make_model(), forecasts={BTC: make_forecast(prophet_bands=())})


def test_without_a_backtest_prophet_alone_answers_for_the_past() -> None:
    """What is not known is refused, never made up; what is known is answered."""
    answers = Answers(without_backtest())
    assert rows("BTC-USD", "start=2024-05-10&end=2024-05-17&model=prophet", answers)
    for query in ("", "start=2024-05-10&end=2024-05-18"):
        with pytest.raises(NoProphetInterval):
            answers.forecast("BTC-USD", f"{query}&model=prophet")
    with pytest.raises(NoProphetInterval):
        answers.bitcoin("date=2024-05-18&model=prophet")
    answers.prepare()


@pytest.mark.parametrize(
    ("simulated", "bitcoin", "rest"),
    [(False, False, False), (True, True, True), ({ETH}, False, True), ({BTC}, True, True)],
)
def test_an_answer_about_invented_prices_says_so(simulated: bool, bitcoin: bool, rest: bool) -> None:
    """An answer about one pair by that pair, an answer about all of them where any is invented."""
    answers = Answers(make_model(BTC, ETH, simulated=simulated))
    marked = ("Crypto-Predict-Simulated", "true")
    assert (marked in answers.bitcoin("date=2024-06-01").headers) is bitcoin
    assert (marked in answers.forecast("BTC-USD", "").headers) is bitcoin
    assert {row["simulated"] for row in rows("BTC-USD", "", answers)} == {bitcoin}
    for answer in (answers.pairs(""), answers.model(""), answers.scorecard(""), answers.version("")):
        assert (marked in answer.headers) is rest
    assert json.loads(answers.version("").body)["simulated"] is rest
    assert json.loads(answers.model("").body)["simulated"] is rest
    by_pair = {row["pair"]: row["simulated"] for row in json.loads(answers.pairs("").body)}
    assert by_pair["BTC/USD"] is bitcoin


def test_the_newest_price_without_hourly_ones_is_the_daily_close() -> None:
    """Then a forecast and the fitted curve start from the same price."""
    forecast = make_forecast()
    daily = replace(forecast, anchor=replace(forecast.anchor, at=forecast.last_close_time))
    origin = provenance.Provenance(BTC, COMBINED, daily, simulated=False)
    assert origin.fitted.as_of == origin.forecast.as_of == forecast.last_close_time
    just_after = dict(origin.headers(forecast.last_close_time + timedelta(seconds=1)))
    assert just_after["Crypto-Predict-Kind"] == "forecast"
