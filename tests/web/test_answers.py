import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.errors import InvalidValue, UnknownPair
from crypto_predict.market import Pair
from crypto_predict.web.answers import Answers, OutsideModel
from crypto_predict.web.questions import BadParameter
from tests.support.models import BTC, ETH, make_forecast, make_model

MODEL = make_model(BTC, ETH)
ANSWERS = Answers(MODEL)
FORECAST = make_forecast()
DAYS = st.dates(FORECAST.first, FORECAST.end)
INSTANTS = st.datetimes(
    datetime.combine(FORECAST.first, datetime.min.time()),
    datetime.combine(FORECAST.end, datetime.max.time()),
    timezones=st.just(UTC),
)


def test_bitcoin_is_answered_with_exactly_the_four_keys_its_callers_know() -> None:
    """One key has a space, the others do not; existing callers read them by name, and some by order."""
    body = ANSWERS.bitcoin("date=2024-06-01").body
    assert body == (
        b'{"date": "Sat, 01 Jun 2024 00:00:00 GMT", "prediction": 68812.22, "prediction low": 61263.97, '
        b'"prediction_high": 77290.49}\n'
    )
    assert list(json.loads(body)) == ["date", "prediction", "prediction low", "prediction_high"]


@given(DAYS)
def test_a_date_is_answered_with_the_close_of_that_day(day: date) -> None:
    answer = json.loads(ANSWERS.bitcoin(f"date={day}").body)
    price = Evaluator(FORECAST).at_close(day)
    assert (answer["prediction"], answer["prediction low"], answer["prediction_high"]) == (
        price.price,
        price.low,
        price.high,
    )
    assert answer["date"] == f"{day:%a, %d %b %Y} 00:00:00 GMT"


@given(INSTANTS)
def test_a_date_time_is_answered_with_the_price_at_that_instant(instant: datetime) -> None:
    """The answer's date is the instant asked for, to the second, in UTC."""
    answer = json.loads(ANSWERS.bitcoin(f"date={instant:%Y-%m-%dT%H:%M:%S.%fZ}").body)
    assert answer["prediction"] == Evaluator(FORECAST).at(instant).price
    assert answer["date"] == f"{instant:%a, %d %b %Y %H:%M:%S} GMT"


def test_the_same_instant_in_two_time_zones_is_one_question() -> None:
    assert ANSWERS.bitcoin("date=2024-06-01T12:00%2B02:00") == ANSWERS.bitcoin("date=2024-06-01T10:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "2022-12-31",
        "2025-05-18",
        "0001-01-01",
        "9999-12-31",
        "2022-12-31T23:59:59Z",
        "2025-05-18T00:00:01Z",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-12:00",
    ],
)
def test_outside_the_model_the_answer_names_the_range(text: str) -> None:
    """Year 1 and year 9999 have hours that no UTC date can express; they lie outside like everything else there."""
    with pytest.raises(OutsideModel, match="2023-01-01 to 2025-05-17") as caught:
        ANSWERS.bitcoin(f"date={text.replace('+', '%2B')}")
    assert caught.value.parameter == "date"


@pytest.mark.parametrize("text", ["2023-01-01", "2025-05-17", "2023-01-01T00:00Z", "2025-05-18T00:00Z"])
def test_both_ends_of_the_range_are_answered(text: str) -> None:
    """The last close is the instant at which the day after it begins."""
    assert json.loads(ANSWERS.bitcoin(f"date={text}").body)["prediction"] > 0


def test_bitcoin_is_asked_of_whatever_it_is_priced_in() -> None:
    """A model trained on BTC/USDT still answers for Bitcoin."""
    answers = Answers(make_model(ETH, Pair("BTC", "USDT")))
    assert answers.bitcoin("date=2024-06-01").body == ANSWERS.bitcoin("date=2024-06-01").body


def test_a_model_without_bitcoin_says_what_it_holds() -> None:
    with pytest.raises(UnknownPair, match="'BTC/USD' is not in this model, which holds ETH/USD"):
        Answers(make_model(ETH)).bitcoin("date=2024-06-01")


@given(DAYS, DAYS)
def test_a_forecast_has_a_row_for_each_day_both_ends_included(one: date, other: date) -> None:
    """Each row says what ``/bitcoin`` says of that day."""
    start, end = min(one, other), max(one, other)
    rows = json.loads(ANSWERS.forecast("BTC-USD", f"start={start}&end={end}").body)
    assert [row["date"] for row in rows] == [str(start + timedelta(days=n)) for n in range((end - start).days + 1)]
    single = json.loads(ANSWERS.bitcoin(f"date={end}").body)
    assert (
        rows[-1].items()
        >= {
            "date": str(end),
            "prediction": single["prediction"],
            "low": single["prediction low"],
            "high": single["prediction_high"],
        }.items()
    )


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("", "2024-05-18", "2024-06-16"),
        ("start=2024-01-01", "2024-01-01", "2024-01-30"),
        ("end=2024-05-20", "2024-05-18", "2024-05-20"),
        ("start=2025-05-10", "2025-05-10", "2025-05-17"),
        ("start=2023-01-01&end=2025-05-17", "2023-01-01", "2025-05-17"),
    ],
)
def test_a_forecast_begins_after_the_last_candle_and_lasts_thirty_days(query: str, first: str, last: str) -> None:
    """Unless something else is said; and never beyond the range."""
    rows = json.loads(ANSWERS.forecast("ETH-USD", query).body)
    assert (rows[0]["date"], rows[-1]["date"]) == (first, last)


@pytest.mark.parametrize("text", ["BTC-USD", "BTC/USD", "btc-usd", "btc/usd", "Btc_Usd"])
def test_a_pair_may_be_written_in_several_ways(text: str) -> None:
    assert ANSWERS.forecast(text, "") == ANSWERS.forecast("BTC-USD", "")


@pytest.mark.parametrize("name", ["start", "end"])
def test_the_end_of_a_forecast_that_lies_outside_is_named(name: str) -> None:
    with pytest.raises(OutsideModel, match=f"{name}: 2030-01-01 lies outside .* 2023-01-01 to 2025-05-17") as caught:
        ANSWERS.forecast("BTC-USD", f"{name}=2030-01-01")
    assert caught.value.parameter == name


def test_a_forecast_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(BadParameter, match="end 2024-06-01 lies before start 2024-06-02"):
        ANSWERS.forecast("BTC-USD", "start=2024-06-02&end=2024-06-01")


@pytest.mark.parametrize("text", ["", "BTC", "BTC-USD-EUR", "B-U", "\x00", "BTC//USD", "x" * 10_000])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="two currencies such as BTC/USD"):
        ANSWERS.forecast(text, "")


def test_a_pair_that_the_model_lacks_is_refused_with_those_it_holds() -> None:
    with pytest.raises(UnknownPair, match="'DOGE/USD' is not in this model, which holds BTC/USD, ETH/USD"):
        ANSWERS.forecast("DOGE-USD", "")


def test_the_pairs_are_listed_with_their_ranges() -> None:
    pairs = json.loads(ANSWERS.pairs("").body)
    assert [pair["pair"] for pair in pairs] == ["BTC/USD", "ETH/USD"]
    assert pairs[1] == {
        "pair": "ETH/USD",
        "first_day": "2023-01-01",
        "last_candle": "2024-05-17",
        "last_day": "2025-05-17",
        "forecast": "/forecast/ETH-USD",
        "as_of": "2024-05-18T12:00:00Z",
        "simulated": False,
    }


def test_the_card_is_served_whole() -> None:
    """Whoever doubts an answer finds everything about its origin in one place."""
    assert json.loads(ANSWERS.model("").body) == plain.encode(MODEL.card)


def test_the_version_tells_one_release_from_the_next() -> None:
    assert json.loads(ANSWERS.version("").body) == {
        "version": "0.3.1",
        "build": "0.3.1-20240518121047",
        "git_revision": MODEL.card.git_revision,
        "trained_at": "2024-05-18T12:10:47Z",
        "simulated": False,
    }


@pytest.mark.parametrize("answer", [ANSWERS.pairs, ANSWERS.model, ANSWERS.version])
def test_what_takes_no_parameters_refuses_any(answer: object) -> None:
    assert callable(answer)
    with pytest.raises(BadParameter, match="takes no parameters"):
        answer("pair=BTC-USD")


def test_the_same_question_gets_the_same_bytes_from_another_process() -> None:
    """Nothing of the answers depends on what was asked before."""
    fresh = Answers(make_model(BTC, ETH))
    assert fresh.forecast("BTC-USD", "") == ANSWERS.forecast("BTC-USD", "")
    assert fresh.bitcoin("date=2024-07-01T01:02:03") == ANSWERS.bitcoin("date=2024-07-01T01:02:03")


def test_what_was_prepared_is_what_would_have_been_answered() -> None:
    """Rendering beforehand may save time and nothing else."""
    prepared = Answers(make_model(BTC, ETH))
    prepared.prepare()
    question = ("BTC-USD", "start=2023-01-01&end=2025-05-17")
    assert prepared.forecast(*question) == Answers(make_model(BTC, ETH)).forecast(*question)
