"""The prices that the endpoints of the model answer with, their provenance, bytes and headers."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.errors import InvalidValue, NoProphetInterval, OutOfRange
from crypto_predict.market import Pair
from crypto_predict.web.http.problems import BadParameter, Problem
from crypto_predict.web.http.response import PROVENANCE, Rendered
from crypto_predict.web.model import bitcoin as bitcoins
from crypto_predict.web.model import card, version
from crypto_predict.web.model import forecast as forecasts
from crypto_predict.web.model import probability as probabilities
from crypto_predict.web.model.answers import Answers, Series
from crypto_predict.web.model.endpoint import read_levels
from crypto_predict.web.model.pairs import PairRange, ranges
from crypto_predict.web.model.snapshots import Snapshot
from tests.support.applications import client, problem, snapshot_of
from tests.support.models import BTC, ETH, TRAINED_AT, make_forecast, make_model, with_models
from tests.support.serving import ANSWER

NAMES = (COMBINED, PROPHET, "garch", "mine")  # of Bitcoin; Ether has the first two
MODEL = with_models(make_model(BTC, ETH, simulated={ETH}), *NAMES[2:], pairs=[BTC])
CLIENT = client(MODEL)
SNAPSHOT = snapshot_of(MODEL)
ANSWERS = SNAPSHOT.answers
FORECAST = MODEL.forecasts[BTC]
DAYS = st.dates(FORECAST.first, FORECAST.end)
MODELS = st.sampled_from(NAMES)
LEVELS = st.lists(st.integers(10, 990).map(lambda n: n / 1000), min_size=1, max_size=20, unique=True)
INSTANTS = st.datetimes(
    datetime.combine(FORECAST.first, datetime.min.time()),
    datetime.combine(FORECAST.end, datetime.max.time()),
    timezones=st.just(UTC),
)
PROBABILITY = "/probability/{}?date=2024-06-01&above=70000"
CLOSE = datetime(2024, 5, 18, tzinfo=UTC)  # of the last daily candle
ANCHOR = datetime(2024, 5, 18, 12, tzinfo=UTC)  # the newest price


def forecast(snapshot: Snapshot, query: str, pair: str = "BTC-USD") -> Rendered:
    return forecasts.answer(snapshot, TRAINED_AT, query, pair)


def rows(query: str, pair: str = "BTC-USD", snapshot: Snapshot = SNAPSHOT) -> list[dict[str, Any]]:
    return list(json.loads(forecast(snapshot, query, pair).body))


def bitcoin(snapshot: Snapshot, query: str) -> Rendered:
    return bitcoins.close(snapshot, query, date(2024, 5, 20))


@given(DAYS, INSTANTS, MODELS)
@example(FORECAST.first, datetime(2023, 1, 1, tzinfo=UTC), COMBINED)
@example(FORECAST.end, datetime(2025, 5, 18, tzinfo=UTC), COMBINED)  # the last close
def test_a_day_is_answered_with_its_close_and_an_instant_with_its_price(
    day: date, instant: datetime, model: str
) -> None:
    row = bitcoins.row(ANSWERS, day, model)
    assert (row.moment, row.price) == (day, Evaluator(FORECAST).at(day, model))
    row = bitcoins.row(ANSWERS, instant, model)
    assert (row.moment, row.price) == (instant, Evaluator(FORECAST).at(instant, model))


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
        *((date(2024, 5, 17 + n), "mine", kind, CLOSE) for n, kind in enumerate(("fitted", "forecast"))),
        *((CLOSE + timedelta(seconds=n), "mine", kind, CLOSE) for n, kind in enumerate(("fitted", "forecast"))),
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
    with pytest.raises(NoProphetInterval):
        probabilities.probability(short.answers, "BTC-USD", "date=2024-05-18&above=1&model=prophet")


def test_the_default_is_the_combined_model() -> None:
    assert bitcoin(SNAPSHOT, "date=2024-06-01") == bitcoin(SNAPSHOT, "date=2024-06-01&model=combined")
    assert forecast(SNAPSHOT, "") == forecast(SNAPSHOT, "model=combined")
    assert bitcoin(SNAPSHOT, "date=2024-06-01") != bitcoin(SNAPSHOT, "date=2024-06-01&model=prophet")


@pytest.mark.parametrize("model", NAMES)
def test_the_default_is_the_model_that_the_pair_serves(model: str) -> None:
    """The four keys stay as they are; the header says which model it was. Each pair has its own default."""
    served = snapshot_of(with_models(MODEL, *NAMES[2:], served=model, pairs=[BTC]))
    forecasts.prepare(served)
    for query in ("date=2024-06-01", "date=2024-05-18T06:00Z", "date=2023-06-01"):
        answer = bitcoin(served, query)
        assert answer == bitcoin(SNAPSHOT, f"{query}&model={model}")
        assert dict(answer.headers)["Crypto-Predict-Model"] == model
        assert list(json.loads(answer.body)) == ["date", "prediction", "prediction low", "prediction_high"]
        assert bitcoin(served, f"{query}&model=combined") == bitcoin(SNAPSHOT, query)
    span = "start=2024-05-01&end=2024-06-20"
    assert rows(span, snapshot=served) == rows(f"{span}&model={model}")
    assert rows(f"{span}&model=combined", snapshot=served) == rows(span)
    assert rows(span, "ETH-USD", snapshot=served) == rows(span, "ETH-USD")
    query = "date=2024-06-01&above=70000"
    assert probabilities.probability(served.answers, "BTC-USD", query) == probabilities.probability(
        ANSWERS, "BTC-USD", f"{query}&model={model}"
    )
    assert ranges(served.answers)[0].as_of == (ANCHOR if model == COMBINED else CLOSE)


@pytest.mark.parametrize(
    "path", ["/bitcoin?date=2024-06-01", "/forecast/BTC-USD?end=2024-06-01", PROBABILITY.format("BTC-USD")]
)
def test_a_model_that_the_pair_does_not_have_is_refused_with_those_that_it_has(path: str) -> None:
    """One that was left out, that was only scored, or that another pair has, answers nothing."""
    for name in ("broken", "published", "lstm", ""):
        body = problem(CLIENT.get(f"{path}&model={name}"), 400)
        assert body["parameter"] == "model"
        assert body["detail"] == f"model: {name!r} is not one of combined, prophet, garch, mine"
    elsewhere = problem(CLIENT.get(f"{PROBABILITY.format('ETH-USD')}&model=garch"), 400)
    assert elsewhere["detail"] == "model: 'garch' is not one of combined, prophet"


def test_rows_of_another_model_than_the_default_are_not_kept() -> None:
    """A pair may have twelve of them, and a model many pairs."""
    fresh = snapshot_of(MODEL)
    for model in NAMES[1:]:
        forecast(fresh, f"model={model}")
    assert [series.model for series in fresh.rows] == [COMBINED, COMBINED]
    assert not any(any(days) for days in fresh.rows.values())


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


@given(DAYS, LEVELS, MODELS)
def test_quantiles_of_a_day_ascend_with_their_levels(day: date, levels: list[float], model: str) -> None:
    (row,) = rows(f"start={day}&end={day}&model={model}&quantiles={','.join(map(str, levels))}")
    assert list(row["quantiles"]) == [str(level) for level in sorted(levels)]
    assert all(a <= b for a, b in pairwise(row["quantiles"].values()))
    assert all(price > 0 for price in row["quantiles"].values())


@given(DAYS, MODELS)
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


NOT_LEVELS = [
    *("", ",", "0.5,", ",0.5", "0", "1", "0.009", "0.991"),
    *("50", "5%", "-0.5", "nan", "inf", "median", "0.5;0.9", "\x00"),
]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        *((text, "is not a list of levels between 0.01 and 0.99") for text in NOT_LEVELS),
        ("0.5,0.50", "quantiles: the level 0.5 is given more than once"),
        (",".join(f"0.{n}" for n in range(10, 31)), "quantiles: 21 levels are more than the 20 of one request"),
        ("," * 5_000, "quantiles: 5001 levels are more than the 20 of one request"),
    ],
)
def test_levels_that_are_not_accepted_are_refused_with_those_that_are(text: str, fault: str) -> None:
    """Each level of each day is computed: a request must not cost more than it takes to ask."""
    body = problem(CLIENT.get("/forecast/BTC-USD", query_string={"quantiles": text}), 400)
    assert (body["parameter"], fault in body["detail"]) == ("quantiles", True)


@given(st.text())
def test_any_levels_are_parsed_or_refused(text: str) -> None:
    """Any other exception would be a fault of the server."""
    try:
        result = read_levels("quantiles", text)
    except (InvalidValue, BadParameter):
        return
    assert all(0.01 <= level <= 0.99 for level in result)


def test_rows_with_quantiles_are_not_kept() -> None:
    """There are more levels than memory."""
    fresh = snapshot_of(MODEL)
    forecast(fresh, "quantiles=0.123")
    assert b"quantiles" not in forecast(fresh, "").body
