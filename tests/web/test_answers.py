import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.errors import NoProphetInterval, UnknownPair
from crypto_predict.market import Pair
from crypto_predict.web.http.errors import BadParameter
from crypto_predict.web.model import bitcoin, forecast, version
from crypto_predict.web.model.answers import Answers, OutsideModel, Row, Series
from crypto_predict.web.model.pairs import PairRange, ranges
from tests.support.applications import snapshot_of
from tests.support.models import BTC, ETH, TRAINED_AT, make_forecast, make_model

MODEL = make_model(BTC, ETH, simulated={ETH})
ANSWERS = Answers(MODEL)
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


def days(pair: Pair, start: date | None = None, end: date | None = None, model: str = COMBINED) -> list[Row]:
    return rows_of(ANSWERS, forecast.Question(pair, start, end, model))


def rows_of(answers: Answers, question: forecast.Question) -> list[Row]:
    series, start, end, _ = forecast.days(answers, question)
    return [series.row(start + timedelta(days=n)) for n in range((end - start).days + 1)]


@given(DAYS, MODELS)
def test_a_day_is_answered_with_its_close(day: date, model: str) -> None:
    row = bitcoin.row(ANSWERS, bitcoin.Question(day, model))
    assert (row.moment, row.price) == (day, Evaluator(FORECAST).at(day, model))


@given(INSTANTS, MODELS)
def test_an_instant_is_answered_with_the_price_at_that_instant(instant: datetime, model: str) -> None:
    row = bitcoin.row(ANSWERS, bitcoin.Question(instant, model))
    assert (row.moment, row.price) == (instant, Evaluator(FORECAST).at(instant, model))


@pytest.mark.parametrize("moment", [date(2022, 12, 31), date(2025, 5, 18), datetime(2025, 5, 18, 0, 0, 1, tzinfo=UTC)])
def test_an_error_outside_the_model_names_the_range(moment: date | datetime) -> None:
    with pytest.raises(OutsideModel, match="2023-01-01 to 2025-05-17") as caught:
        bitcoin.row(ANSWERS, bitcoin.Question(moment))
    assert caught.value.parameter == "date"


def test_both_ends_of_the_range_are_answered() -> None:
    """The last close is the instant at which the day after it begins."""
    last_close = datetime(2025, 5, 18, tzinfo=UTC)
    for moment in (FORECAST.first, datetime(2023, 1, 1, tzinfo=UTC), FORECAST.end, last_close):
        assert bitcoin.row(ANSWERS, bitcoin.Question(moment)).price.price > 0


def test_bitcoin_is_answered_in_any_quote_currency() -> None:
    """A model trained on BTC/USDT still answers for Bitcoin."""
    question = bitcoin.Question(date(2024, 6, 1))
    row = bitcoin.row(Answers(make_model(ETH, Pair("BTC", "USDT"))), question)
    assert row.price == bitcoin.row(ANSWERS, question).price
    assert row.provenance.pair == Pair("BTC", "USDT")


def test_the_error_of_a_model_without_bitcoin_names_its_pairs() -> None:
    with pytest.raises(UnknownPair, match="'BTC/USD' is not in this model, which holds ETH/USD"):
        bitcoin.row(Answers(make_model(ETH)), bitcoin.Question(date(2024, 6, 1)))


@given(DAYS, DAYS, MODELS)
def test_a_forecast_has_a_row_for_each_day_both_ends_included(one: date, other: date, model: str) -> None:
    """Each row equals the answer of ``/bitcoin`` for that day."""
    start, end = min(one, other), max(one, other)
    rows = days(BTC, start, end, model)
    assert [row.moment for row in rows] == [start + timedelta(days=n) for n in range((end - start).days + 1)]
    assert rows[-1] == bitcoin.row(ANSWERS, bitcoin.Question(end, model))


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (None, None, "2024-05-18", "2024-06-16"),
        ("2024-01-01", None, "2024-01-01", "2024-01-30"),
        (None, "2024-05-20", "2024-05-18", "2024-05-20"),
        ("2025-05-10", None, "2025-05-10", "2025-05-17"),
        ("2023-01-01", "2025-05-17", "2023-01-01", "2025-05-17"),
    ],
)
def test_a_forecast_covers_thirty_days_after_the_last_candle_by_default(
    start: str | None, end: str | None, first: str, last: str
) -> None:
    """It never goes beyond the range."""
    edges = [None if text is None else date.fromisoformat(text) for text in (start, end)]
    rows = days(ETH, edges[0], edges[1])
    assert (str(rows[0].moment), str(rows[-1].moment)) == (first, last)


@pytest.mark.parametrize("name", ["start", "end"])
def test_a_day_of_a_forecast_outside_the_range_is_named(name: str) -> None:
    with pytest.raises(OutsideModel, match=f"{name}: 2030-01-01 lies outside .* 2023-01-01 to 2025-05-17") as caught:
        days(BTC, date(2030, 1, 1) if name == "start" else None, date(2030, 1, 1) if name == "end" else None)
    assert caught.value.parameter == name


def test_a_forecast_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(BadParameter, match="end 2024-06-01 lies before start 2024-06-02"):
        days(BTC, date(2024, 6, 2), date(2024, 6, 1))


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
    provenance = bitcoin.row(ANSWERS, bitcoin.Question(moment, model)).provenance
    assert (provenance.kind, provenance.as_of, provenance.pair, provenance.model) == (kind, as_of, BTC, model)


def test_invented_prices_are_marked_by_pair() -> None:
    assert {row.provenance.simulated for row in days(ETH)} == {True}
    assert {row.provenance.simulated for row in days(BTC)} == {False}


def test_the_newest_price_is_the_daily_close_if_there_are_no_hourly_ones() -> None:
    """Then a forecast and the fitted curve start from the same price."""
    anchor = replace(FORECAST.anchor, at=FORECAST.last_close_time)
    series = Series(BTC, COMBINED, Evaluator(make_forecast(anchor=anchor)), simulated=False)
    assert series.row(CLOSE).provenance.as_of == series.row(CLOSE + timedelta(seconds=1)).provenance.as_of == CLOSE
    assert series.row(CLOSE + timedelta(seconds=1)).provenance.kind == "forecast"


def test_without_a_backtest_prophet_alone_answers_only_for_the_past() -> None:
    """An unknown interval is an error, never invented."""
    answers = Answers(replace(make_model(), forecasts={BTC: make_forecast(prophet_bands=())}))
    past = forecast.Question(BTC, date(2024, 5, 10), date(2024, 5, 17), PROPHET)
    assert len(rows_of(answers, past)) == 8
    for question in (forecast.Question(BTC, model=PROPHET), past._replace(end=date(2024, 5, 18))):
        with pytest.raises(NoProphetInterval):
            rows_of(answers, question)
    with pytest.raises(NoProphetInterval):
        bitcoin.row(answers, bitcoin.Question(date(2024, 5, 18), PROPHET))


def test_the_pairs_are_listed_with_their_ranges() -> None:
    pair_range, other = ranges(ANSWERS)
    assert (pair_range.pair, pair_range.simulated) == (BTC, False)
    assert other == PairRange(
        pair=ETH,
        first_day=date(2023, 1, 1),
        last_candle=date(2024, 5, 17),
        last_day=date(2025, 5, 17),
        forecast="/forecast/ETH-USD",
        as_of=ANCHOR,
        simulated=True,
    )


def test_the_version_identifies_the_release() -> None:
    revision = MODEL.card.git_revision
    answer = json.loads(version.rendered(snapshot_of(MODEL)).body)
    assert answer == plain.encode(
        version.Version("0.3.1", "0.3.1-20240518121047", revision, TRAINED_AT, simulated=True)
    )
