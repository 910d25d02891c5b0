"""The bytes and headers of answers."""

import json
from dataclasses import replace
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET
from crypto_predict.errors import InvalidValue, NoProphetInterval, UnknownPair
from crypto_predict.web.http.response import PROVENANCE, Rendered
from crypto_predict.web.model import bitcoin as bitcoins
from crypto_predict.web.model import card, pairs, scorecard, version
from crypto_predict.web.model import forecast as forecasts
from crypto_predict.web.model.answers import OutsideModel
from crypto_predict.web.model.snapshots import Snapshot
from tests.support.applications import snapshot_of
from tests.support.models import BTC, ETH, TRAINED_AT, make_forecast, make_model

MODEL = make_model(BTC, ETH, simulated={ETH})
SNAPSHOT = snapshot_of(MODEL)
DAYS = st.dates(make_forecast().first, make_forecast().end)
CLOSE, ANCHOR = "2024-05-18T00:00:00Z", "2024-05-18T12:00:00Z"  # of the last daily candle, and the newest price


def rows(pair: str, query: str, snapshot: Snapshot = SNAPSHOT) -> list[dict[str, object]]:
    return list(json.loads(forecast(snapshot, query, pair).body))


def forecast(snapshot: Snapshot, query: str, pair: str) -> Rendered:
    return forecasts.answer(snapshot, TRAINED_AT, query, pair)


def bitcoin(snapshot: Snapshot, query: str) -> Rendered:
    return bitcoins.close(snapshot, query, date(2024, 5, 20))


def test_bitcoin_is_answered_with_exactly_the_four_keys_its_callers_expect() -> None:
    """One key has a space, the others do not; existing callers read them by name, and some by order."""
    answer = bitcoin(SNAPSHOT, "date=2024-06-01")
    assert answer.body == (
        b'{"date": "Sat, 01 Jun 2024 00:00:00 GMT", "prediction": 68812.22, "prediction low": 61263.97, '
        b'"prediction_high": 77290.49}\n'
    )
    assert answer.headers == [
        ("Content-Type", "application/json"),
        ("Content-Length", "123"),
        ("Crypto-Predict-Kind", "forecast"),
        ("Crypto-Predict-As-Of", ANCHOR),
        ("Crypto-Predict-Pair", "BTC/USD"),
        ("Crypto-Predict-Model", "combined"),
    ]


@given(st.datetimes(datetime.fromisoformat("2023-01-01"), datetime.fromisoformat("2025-05-17")))
def test_the_answer_repeats_the_instant_to_the_second(instant: datetime) -> None:
    answer = json.loads(bitcoin(SNAPSHOT, f"date={instant:%Y-%m-%dT%H:%M:%S.%fZ}").body)
    assert answer["date"] == f"{instant:%a, %d %b %Y %H:%M:%S} GMT"


def test_the_same_instant_in_two_time_zones_has_one_answer() -> None:
    assert bitcoin(SNAPSHOT, "date=2024-06-01T12:00%2B02:00") == bitcoin(SNAPSHOT, "date=2024-06-01T10:00Z")


@pytest.mark.parametrize("query", ["0001-01-01T00:00%2B14:00", "9999-12-31T23:59-12:00", "2022-12-31T23:59:59Z"])
def test_an_instant_that_utc_cannot_express_is_outside_the_model(query: str) -> None:
    """Year 1 and year 9999 have hours that UTC dates cannot express."""
    with pytest.raises(OutsideModel, match=r"date: .* lies outside the range of this model, 2023-01-01 to 2025-05-17"):
        bitcoin(SNAPSHOT, f"date={query}")


@given(DAYS, st.sampled_from([COMBINED, PROPHET]))
def test_a_row_has_the_values_and_headers_of_bitcoin_on_that_day(day: date, model: str) -> None:
    """Two ways to one fact must not differ."""
    (row,) = rows("BTC-USD", f"start={day}&end={day}&model={model}")
    answer = bitcoin(SNAPSHOT, f"date={day}&model={model}")
    keys, headers = json.loads(answer.body), dict(answer.headers)
    named = [headers[name] for name in PROVENANCE if name in headers]
    assert [row[name] for name in ("kind", "as_of", "pair", "model")] == named
    assert [row[name] for name in ("prediction", "low", "high")] == [
        keys[name] for name in ("prediction", "prediction low", "prediction_high")
    ]
    assert row["simulated"] is False


def test_a_forecast_across_the_last_candle_has_rows_of_both_kinds() -> None:
    result = rows("ETH-USD", "start=2024-05-15&end=2024-05-20")
    assert [row["kind"] for row in result] == ["fitted"] * 3 + ["forecast"] * 3
    assert [row["as_of"] for row in result] == [CLOSE] * 3 + [ANCHOR] * 3
    assert list(result[0]) == ["date", "prediction", "low", "high", "kind", "as_of", "pair", "model", "simulated"]
    assert {(row["pair"], row["model"], row["simulated"]) for row in result} == {("ETH/USD", "combined", True)}


@given(DAYS, DAYS)
def test_each_day_of_a_forecast_is_rendered_once_in_order(one: date, other: date) -> None:
    """Also next to the day on which the kind of the rows changes."""
    start, end = min(one, other), max(one, other)
    result = rows("BTC-USD", f"start={start}&end={end}")
    days = [date.fromordinal(n).isoformat() for n in range(start.toordinal(), end.toordinal() + 1)]
    assert [row["date"] for row in result] == days
    assert [row["kind"] for row in result] == ["fitted" if day < "2024-05-18" else "forecast" for day in days]


@pytest.mark.parametrize("text", ["BTC-USD", "BTC/USD", "btc-usd", "btc/usd", "Btc_Usd"])
def test_a_pair_may_be_written_in_several_ways(text: str) -> None:
    assert forecast(SNAPSHOT, "", text) == forecast(SNAPSHOT, "", "BTC-USD")


@pytest.mark.parametrize("text", ["", "BTC", "BTC-USD-EUR", "B-U", "\x00", "BTC//USD", "x" * 10_000])
def test_a_malformed_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="two currencies such as BTC/USD"):
        forecast(SNAPSHOT, "", text)


def test_the_error_of_an_unknown_pair_names_those_of_the_model() -> None:
    with pytest.raises(UnknownPair, match="'DOGE/USD' is not in this model, which holds BTC/USD, ETH/USD"):
        forecast(SNAPSHOT, "", "DOGE-USD")


def test_the_default_is_the_combined_model() -> None:
    assert bitcoin(SNAPSHOT, "date=2024-06-01") == bitcoin(SNAPSHOT, "date=2024-06-01&model=combined")
    assert forecast(SNAPSHOT, "", "BTC-USD") == forecast(SNAPSHOT, "model=combined", "BTC-USD")
    assert bitcoin(SNAPSHOT, "date=2024-06-01") != bitcoin(SNAPSHOT, "date=2024-06-01&model=prophet")


@pytest.mark.parametrize("text", ["", "Prophet", "lstm", "combined ", "\x00", "x" * 10_000])
def test_the_error_of_an_unknown_model_names_the_known_ones(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not one of combined, prophet") as caught:
        bitcoin(SNAPSHOT, f"date=2024-06-01&model={text}")
    assert caught.value.name == "model"
    with pytest.raises(InvalidValue, match="is not one of combined, prophet"):
        forecast(SNAPSHOT, f"model={text}", "BTC-USD")


def test_the_card_is_rendered_whole() -> None:
    """A reader who doubts an answer finds everything about its origin in one place."""
    assert json.loads(card.rendered(SNAPSHOT).body) == plain.encode(MODEL.card)


def test_the_same_question_has_the_same_bytes_in_another_process() -> None:
    """Answers do not depend on earlier questions."""
    fresh = snapshot_of(MODEL)
    assert forecast(fresh, "", "BTC-USD") == forecast(SNAPSHOT, "", "BTC-USD")
    assert bitcoin(fresh, "date=2024-07-01T01:02:03") == bitcoin(SNAPSHOT, "date=2024-07-01T01:02:03")


def test_preparing_does_not_change_an_answer() -> None:
    prepared = snapshot_of(MODEL)
    forecasts.prepare(prepared)
    query = "start=2023-01-01&end=2025-05-17"
    assert forecast(prepared, query, "BTC-USD") == forecast(snapshot_of(MODEL), query, "BTC-USD")


def test_a_model_without_a_backtest_is_prepared_and_refuses_prophet_alone() -> None:
    short = snapshot_of(replace(make_model(), forecasts={BTC: make_forecast(prophet_bands=())}))
    forecasts.prepare(short)
    with pytest.raises(NoProphetInterval):
        forecast(short, "model=prophet", "BTC-USD")


def test_only_whole_days_of_the_range_are_cached() -> None:
    """A question can be written in countless ways, so a cache of all would grow with the requests."""
    snapshot = snapshot_of(MODEL)
    for query in ("date=2024-06-01", "date=2024-06-01&", "date=2024-06-01T12:00Z", "date=2024%2D06-01"):
        bitcoin(snapshot, query)
    bitcoin(snapshot, "date=2024-06-01 12:00:00+00:00")
    with pytest.raises(OutsideModel):
        bitcoin(snapshot, "date=2030-06-01")
    assert list(snapshot.closes) == ["date=2024-06-01"]


@pytest.mark.parametrize(
    ("simulated", "of_bitcoin", "of_all"),
    [(False, False, False), (True, True, True), ({ETH}, False, True), ({BTC}, True, True)],
)
def test_answers_about_invented_prices_are_marked(simulated: bool, of_bitcoin: bool, of_all: bool) -> None:
    """An answer about one pair if that pair is invented, an answer about all of them if any is."""
    snapshot = snapshot_of(make_model(BTC, ETH, simulated=simulated))

    def is_marked(answer: Rendered) -> bool:
        return ("Crypto-Predict-Simulated", "true") in answer.headers

    assert is_marked(bitcoin(snapshot, "date=2024-06-01")) is of_bitcoin
    assert is_marked(forecast(snapshot, "", "BTC-USD")) is of_bitcoin
    assert {row["simulated"] for row in rows("BTC-USD", "", snapshot)} == {of_bitcoin}
    for module in (pairs, card, scorecard, version):
        assert is_marked(module.rendered(snapshot)) is of_all
    for module in (card, version):
        assert json.loads(module.rendered(snapshot).body)["simulated"] is of_all
    by_pair = {row["pair"]: row["simulated"] for row in json.loads(pairs.rendered(snapshot).body)}
    assert by_pair["BTC/USD"] is of_bitcoin
