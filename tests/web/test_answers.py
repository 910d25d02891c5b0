"""The prices that the endpoints of the model answer with, their provenance, bytes and headers."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.errors import NoProphetInterval, OutOfRange
from crypto_predict.market import Pair
from crypto_predict.web.http.problems import BadParameter, Problem
from crypto_predict.web.http.response import PROVENANCE, Rendered
from crypto_predict.web.model import bitcoin as bitcoins
from crypto_predict.web.model import card, pairs, scorecard, version
from crypto_predict.web.model import forecast as forecasts
from crypto_predict.web.model.answers import Answers, Series
from crypto_predict.web.model.pairs import PairRange, ranges
from crypto_predict.web.model.snapshots import Snapshot
from tests.support.applications import snapshot_of
from tests.support.models import BTC, ETH, TRAINED_AT, make_forecast, make_model
from tests.support.serving import ANSWER

MODEL = make_model(BTC, ETH, simulated={ETH})
SNAPSHOT = snapshot_of(MODEL)
ANSWERS = SNAPSHOT.answers
FORECAST = make_forecast()
DAYS = st.dates(FORECAST.first, FORECAST.end)
MODELS = st.sampled_from([COMBINED, PROPHET])
INSTANTS = st.datetimes(
    datetime.combine(FORECAST.first, datetime.min.time()),
    datetime.combine(FORECAST.end, datetime.max.time()),
    timezones=st.just(UTC),
)
CLOSE = datetime(2024, 5, 18, tzinfo=UTC)  # of the last daily candle
ANCHOR = datetime(2024, 5, 18, 12, tzinfo=UTC)  # the newest price


def forecast(snapshot: Snapshot, query: str, pair: str = "BTC-USD") -> Rendered:
    return forecasts.answer(snapshot, TRAINED_AT, query, pair)


def rows(query: str, pair: str = "BTC-USD", snapshot: Snapshot = SNAPSHOT) -> list[dict[str, object]]:
    return list(json.loads(forecast(snapshot, query, pair).body))


def bitcoin(snapshot: Snapshot, query: str) -> Rendered:
    return bitcoins.close(snapshot, query, date(2024, 5, 20))


@given(DAYS, INSTANTS, MODELS)
def test_a_day_is_answered_with_its_close_and_an_instant_with_its_price(
    day: date, instant: datetime, model: str
) -> None:
    row = bitcoins.row(ANSWERS, day, model)
    assert (row.moment, row.price) == (day, Evaluator(FORECAST).at(day, model))
    row = bitcoins.row(ANSWERS, instant, model)
    assert (row.moment, row.price) == (instant, Evaluator(FORECAST).at(instant, model))


def test_both_ends_of_the_range_are_answered() -> None:
    """The last close is the instant at which the day after it begins."""
    last_close = datetime(2025, 5, 18, tzinfo=UTC)
    for moment in (FORECAST.first, datetime(2023, 1, 1, tzinfo=UTC), FORECAST.end, last_close):
        assert bitcoins.row(ANSWERS, moment).price.price > 0


def test_bitcoin_is_answered_in_any_quote_currency() -> None:
    """A model trained on BTC/USDT still answers for Bitcoin; the error of one without Bitcoin names its pairs."""
    day = date(2024, 6, 1)
    row = bitcoins.row(Answers(make_model(ETH, Pair("BTC", "USDT"))), day)
    assert row.price == bitcoins.row(ANSWERS, day).price
    assert row.provenance.pair == Pair("BTC", "USDT")
    with pytest.raises(Problem, match="'BTC/USD' is not in this model, which holds ETH/USD") as caught:
        bitcoins.row(Answers(make_model(ETH)), day)
    assert (caught.value.status, caught.value.members) == (404, {})


def test_bitcoin_is_answered_with_exactly_the_four_keys_its_callers_expect() -> None:
    """One key has a space, the others do not; existing callers read them by name, and some by order."""
    answer = bitcoin(SNAPSHOT, "date=2024-06-01")
    assert answer.body == ANSWER
    assert answer.headers == [
        ("Content-Type", "application/json"),
        ("Content-Length", "123"),
        ("Crypto-Predict-Kind", "forecast"),
        ("Crypto-Predict-As-Of", "2024-05-18T12:00:00Z"),
        ("Crypto-Predict-Pair", "BTC/USD"),
        ("Crypto-Predict-Model", "combined"),
    ]


@given(st.datetimes(datetime.fromisoformat("2023-01-01"), datetime.fromisoformat("2025-05-17")))
def test_the_answer_repeats_the_instant_to_the_second(instant: datetime) -> None:
    answer = json.loads(bitcoin(SNAPSHOT, f"date={instant:%Y-%m-%dT%H:%M:%S.%fZ}").body)
    assert answer["date"] == f"{instant:%a, %d %b %Y %H:%M:%S} GMT"


def test_the_same_instant_in_two_time_zones_has_one_answer() -> None:
    assert bitcoin(SNAPSHOT, "date=2024-06-01T12:00%2B02:00") == bitcoin(SNAPSHOT, "date=2024-06-01T10:00Z")


@given(DAYS, MODELS)
def test_a_row_has_the_values_and_headers_of_bitcoin_on_that_day(day: date, model: str) -> None:
    """Two ways to one fact must not differ."""
    (row,) = rows(f"start={day}&end={day}&model={model}")
    answer = bitcoin(SNAPSHOT, f"date={day}&model={model}")
    keys, headers = json.loads(answer.body), dict(answer.headers)
    provenance = [headers[name] for name in PROVENANCE if name in headers]
    assert [row[name] for name in ("kind", "as_of", "pair", "model")] == provenance
    assert [row[name] for name in ("prediction", "low", "high")] == [
        keys[name] for name in ("prediction", "prediction low", "prediction_high")
    ]
    assert row["simulated"] is False


def test_a_forecast_across_the_last_candle_has_rows_of_both_kinds() -> None:
    result = rows("start=2024-05-15&end=2024-05-20", "ETH-USD")
    assert [row["kind"] for row in result] == ["fitted"] * 3 + ["forecast"] * 3
    assert [row["as_of"] for row in result] == ["2024-05-18T00:00:00Z"] * 3 + ["2024-05-18T12:00:00Z"] * 3
    assert list(result[0]) == ["date", "prediction", "low", "high", "kind", "as_of", "pair", "model", "simulated"]
    assert {(row["pair"], row["model"], row["simulated"]) for row in result} == {("ETH/USD", "combined", True)}


@given(DAYS, DAYS)
def test_each_day_of_a_forecast_is_rendered_once_in_order_both_ends_included(first: date, second: date) -> None:
    """Also next to the day on which the kind of the rows changes."""
    start, end = min(first, second), max(first, second)
    result = rows(f"start={start}&end={end}")
    days = [date.fromordinal(n).isoformat() for n in range(start.toordinal(), end.toordinal() + 1)]
    assert [row["date"] for row in result] == days
    assert [row["kind"] for row in result] == ["fitted" if day < "2024-05-18" else "forecast" for day in days]


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
def test_a_forecast_covers_thirty_days_after_the_last_candle_by_default(query: str, first: str, last: str) -> None:
    """It never goes beyond the range."""
    result = rows(query, "ETH-USD")
    assert (result[0]["date"], result[-1]["date"]) == (first, last)


def test_a_forecast_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(BadParameter, match="end 2024-06-01 lies before start 2024-06-02"):
        forecast(SNAPSHOT, "start=2024-06-02&end=2024-06-01")


@pytest.mark.parametrize(
    ("moment", "model", "kind", "as_of"),
    [
        (date(2023, 1, 1), COMBINED, "fitted", CLOSE),
        (date(2024, 5, 17), COMBINED, "fitted", CLOSE),
        (date(2024, 5, 18), COMBINED, "forecast", ANCHOR),
        (date(2025, 5, 17), COMBINED, "forecast", ANCHOR),
        (CLOSE, COMBINED, "fitted", CLOSE),  # the close of the day before
        (CLOSE + timedelta(seconds=1), COMBINED, "fitted", ANCHOR),  # between two known prices
        (ANCHOR, COMBINED, "fitted", ANCHOR),
        (ANCHOR + timedelta(seconds=1), COMBINED, "forecast", ANCHOR),
        (date(2024, 5, 17), PROPHET, "fitted", CLOSE),
        (date(2024, 5, 18), PROPHET, "forecast", CLOSE),
        (CLOSE + timedelta(seconds=1), PROPHET, "forecast", CLOSE),  # Prophet does not start from the newest price
    ],
)
def test_a_price_has_its_provenance(moment: date | datetime, model: str, kind: str, as_of: datetime) -> None:
    provenance = bitcoins.row(ANSWERS, moment, model).provenance
    assert (provenance.kind, provenance.as_of, provenance.pair, provenance.model) == (kind, as_of, BTC, model)


def test_the_newest_price_is_the_daily_close_if_there_are_no_hourly_ones() -> None:
    """Then a forecast and the fitted curve start from the same price."""
    anchor = replace(FORECAST.anchor, at=FORECAST.last_close_time)
    series = Series(BTC, COMBINED, Evaluator(make_forecast(anchor=anchor)), simulated=False)
    assert series.row(CLOSE).provenance.as_of == series.row(CLOSE + timedelta(seconds=1)).provenance.as_of == CLOSE
    assert series.row(CLOSE + timedelta(seconds=1)).provenance.kind == "forecast"


def test_without_a_backtest_prophet_alone_answers_only_for_the_past() -> None:
    """An unknown interval is an error, never invented. The model is prepared all the same."""
    short = snapshot_of(replace(make_model(), forecasts={BTC: make_forecast(prophet_bands=())}))
    forecasts.prepare(short)
    past = "model=prophet&start=2024-05-10"
    assert len(rows(f"{past}&end=2024-05-17", snapshot=short)) == 8
    for query in ("model=prophet", f"{past}&end=2024-05-18"):
        with pytest.raises(NoProphetInterval, match="2024-05-17"):
            forecast(short, query)
    with pytest.raises(NoProphetInterval):
        bitcoin(short, "date=2024-05-18&model=prophet")


def test_the_default_is_the_combined_model() -> None:
    assert bitcoin(SNAPSHOT, "date=2024-06-01") == bitcoin(SNAPSHOT, "date=2024-06-01&model=combined")
    assert forecast(SNAPSHOT, "") == forecast(SNAPSHOT, "model=combined")
    assert bitcoin(SNAPSHOT, "date=2024-06-01") != bitcoin(SNAPSHOT, "date=2024-06-01&model=prophet")


def test_the_card_is_rendered_whole() -> None:
    """A reader who doubts an answer finds everything about its origin in one place."""
    assert json.loads(card.rendered(SNAPSHOT).body) == plain.encode(MODEL.card)


def test_the_pairs_are_listed_with_their_ranges() -> None:
    pair_range, other = ranges(ANSWERS)
    assert (pair_range.pair, pair_range.simulated) == (BTC, False)
    days = (date(2023, 1, 1), date(2024, 5, 17), date(2025, 5, 17))
    assert other == PairRange(ETH, *days, "/forecast/ETH-USD", ANCHOR, simulated=True)


def test_the_version_identifies_the_release() -> None:
    release = version.Version("0.3.1", "0.3.1-20240518121047", MODEL.card.git_revision, TRAINED_AT, simulated=True)
    assert json.loads(version.rendered(SNAPSHOT).body) == plain.encode(release)


def test_the_same_question_has_the_same_bytes_in_another_process() -> None:
    """Answers do not depend on earlier questions, nor on what was rendered in advance."""
    fresh, prepared, whole = snapshot_of(MODEL), snapshot_of(MODEL), "start=2023-01-01&end=2025-05-17"
    forecasts.prepare(prepared)
    assert forecast(fresh, "") == forecast(SNAPSHOT, "")
    assert forecast(prepared, whole) == forecast(fresh, whole)
    assert bitcoin(fresh, "date=2024-07-01T01:02:03") == bitcoin(SNAPSHOT, "date=2024-07-01T01:02:03")


def test_only_whole_days_of_the_range_are_cached() -> None:
    """A question can be written in countless ways, so a cache of all would grow with the requests."""
    snapshot = snapshot_of(MODEL)
    for query in ("date=2024-06-01", "date=2024-06-01&", "date=2024-06-01T12:00Z", "date=2024%2D06-01"):
        bitcoin(snapshot, query)
    bitcoin(snapshot, "date=2024-06-01 12:00:00+00:00")
    with pytest.raises(OutOfRange):
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
    assert is_marked(forecast(snapshot, "")) is of_bitcoin
    assert {row["simulated"] for row in rows("", snapshot=snapshot)} == {of_bitcoin}
    for module in (pairs, card, scorecard, version):
        assert is_marked(module.rendered(snapshot)) is of_all
    for module in (card, version):
        assert json.loads(module.rendered(snapshot).body)["simulated"] is of_all
    by_pair = {row["pair"]: row["simulated"] for row in json.loads(pairs.rendered(snapshot).body)}
    assert by_pair["BTC/USD"] is of_bitcoin
