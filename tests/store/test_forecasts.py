"""Minute forecasts, the sums of their scores, and their models."""

import dataclasses
import itertools
import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto_predict.errors import UnknownSeries
from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import STOPPED, ForecastStep, MinuteRecord
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast, MinuteModel, MinuteScores
from crypto_predict.store import Database, WritableDatabase
from tests.support.databases import ON_BOTH, execute
from tests.support.minutes import EVER, KEEP, MANY, MINUTE, MINUTES, START, candles, forecast, scores, span, step

OTHER = dataclasses.replace(MINUTES, pair=Pair("ETH", "USDT"))


def numbers(minute_forecast: MinuteForecast) -> list[float]:
    return [minute_forecast.price, *minute_forecast.points, *itertools.chain.from_iterable(minute_forecast.quantiles)]


def cutoffs(reader: Database, series: SeriesKey = MINUTES) -> list[int]:
    """Return the minutes after `START` at which the stored forecasts were made."""
    return [(stored.cutoff - START) // MINUTE for stored in reader.minute_forecasts(series, EVER, MANY)]


def record(first: int, last: int, *horizons: MinuteScores) -> MinuteRecord:
    return MinuteRecord(START + first * MINUTE, START + last * MINUTE, horizons)


@ON_BOTH
def test_forecasts_are_read_back(writer: WritableDatabase, reader: Database) -> None:
    """The oldest of a span, or the newest; prices to 1 in 10 million."""
    writer.follow(OTHER, simulated=False)
    writer.write_forecasts({MINUTES: [step(minute) for minute in range(5)], OTHER: [step(2)]}, KEEP)
    writer.write_forecasts({}, KEEP)
    rows = reader.minute_forecasts(MINUTES, EVER, MANY)
    assert [stored.cutoff for stored in rows] == [START + minute * MINUTE for minute in range(5)]
    for minute, minute_forecast in enumerate(rows):
        assert numbers(minute_forecast) == pytest.approx(numbers(forecast(minute)), rel=1e-7)
        assert minute_forecast.price == forecast(minute).price
    assert reader.minute_forecasts(MINUTES, span(1, 4), 2) == rows[1:3]
    assert reader.minute_forecasts(MINUTES, span(1, 4), 2, newest=True) == rows[2:4]
    assert reader.minute_forecasts(MINUTES, span(1, 1), 9) == reader.minute_forecasts(MINUTES, EVER, 0) == []
    second = timedelta(seconds=1)  # what lies between two minutes is in the later one, whatever the database rounds
    for start, end, expected in ((0, 1, rows[:1]), (1, 60, []), (1, 61, rows[1:2])):
        between = Span(START + start * second / 2, START + end * second - second / 2)
        assert reader.minute_forecasts(MINUTES, between, MANY) == expected
    assert cutoffs(reader, OTHER) == [2]
    assert cutoffs(reader, dataclasses.replace(MINUTES, source="alpaca")) == []


PRICES = st.floats(1e-8, 1e8)
MOVES = st.floats(-1, 1)


def exactly(count: int, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=count, max_size=count)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    price=PRICES,
    points=exactly(MINUTES_AHEAD, MOVES),
    spreads=exactly(MINUTES_AHEAD, exactly(len(LEVELS), MOVES).map(sorted)),
)
def test_any_forecast_is_read_back(
    shared: WritableDatabase,
    new_series: Callable[[], SeriesKey],
    price: float,
    points: list[float],
    spreads: list[list[float]],
) -> None:
    """Of coins that cost almost nothing too. Quantiles that are close together do not cross by the rounding."""
    series = new_series()
    quantiles = tuple(tuple(price * math.exp(move) for move in row) for row in spreads)
    written = MinuteForecast(START, price, tuple(price * math.exp(move) for move in points), quantiles)
    shared.write_forecasts({series: [ForecastStep(written, START, ())]}, KEEP)
    (minute_forecast,) = shared.minute_forecasts(series, EVER, MANY)
    assert numbers(minute_forecast) == pytest.approx(numbers(written), rel=1e-7)
    assert all(list(row) == sorted(row) for row in minute_forecast.quantiles)


@ON_BOTH
def test_the_record_is_the_sum_of_the_scores(writer: WritableDatabase, reader: Database) -> None:
    """It begins with the first outcome, of any horizon; horizons are ascending. Each series has its own."""
    for _ in range(2):  # a series that is not in the database is left out, the others of the same minute are stored
        writer.write_forecasts({OTHER: [step(0)], MINUTES: [step(0)]}, KEEP)
        assert (cutoffs(reader), cutoffs(reader, OTHER)) == ([0], [])
    writer.follow(OTHER, simulated=False)
    assert reader.minute_records() == reader.minute_records(MINUTES) == {}
    writer.write_forecasts({MINUTES: [step(1, 1), step(2, 2, 1)], OTHER: [step(1)]}, KEEP)
    assert reader.minute_records() == {MINUTES: record(1, 2, scores(1, 2), scores(2))}
    writer.write_forecasts({MINUTES: [step(3, 3, 1)], OTHER: [step(3, 1)]}, KEEP)
    records = {MINUTES: record(1, 3, scores(1, 3), scores(2), scores(3)), OTHER: record(3, 3, scores(1))}
    assert reader.minute_records() == records
    assert [reader.minute_records(series) for series in records] == [{key: records[key]} for key in records]
    assert reader.minute_records(dataclasses.replace(MINUTES, source="alpaca")) == {}


def test_no_outcome_counts_twice(writer: WritableDatabase, reader: Database) -> None:
    """A collector that was killed does not know whether its last step was stored, and repeats it."""
    steps = [step(0), step(1, 1), step(2, 1, 2)]
    writer.write_forecasts({MINUTES: steps}, KEEP)
    before = reader.minute_records(), reader.minute_forecasts(MINUTES, EVER, MANY)
    for repeated in (steps, steps[1:], [step(-1, 1)], [*reversed(steps)]):
        writer.write_forecasts({MINUTES: repeated}, KEEP)
        assert (reader.minute_records(), reader.minute_forecasts(MINUTES, EVER, MANY)) == before
    writer.write_forecasts({MINUTES: [*steps, step(3, 1), step(3, 1), step(2, 1)]}, KEEP)
    assert reader.minute_records() == {MINUTES: record(1, 3, scores(1, 3), scores(2))}
    assert cutoffs(reader) == [0, 1, 2, 3]


def test_a_step_without_a_forecast_moves_the_record_on(writer: WritableDatabase, reader: Database) -> None:
    """Its close was scored, whatever the candles of that minute could carry. The forecasts before it stay."""
    writer.write_forecasts({MINUTES: [step(0, 1)]}, KEEP)
    for later in (ForecastStep(None, START + 5000 * MINUTE, ()), step(4999, 1)):
        writer.write_forecasts({MINUTES: [later]}, KEEP)
        assert (reader.minute_records(), cutoffs(reader)) == ({MINUTES: record(0, 5000, scores(1))}, [0])


@ON_BOTH
def test_threads_that_write_the_same_steps_count_them_once(writer: WritableDatabase, reader: Database) -> None:
    """The first writes of a series too, when there is not any row that could be locked."""
    steps = [step(minute, *range(1, 16)) for minute in range(20)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda each: writer.write_forecasts({MINUTES: [each]}, KEEP), [steps[0]] * 3))
        list(threads.map(lambda some: writer.write_forecasts({MINUTES: some}, KEEP), [steps, steps[:10], steps]))
    assert reader.minute_records()[MINUTES].scores == tuple(scores(horizon, 20) for horizon in range(1, 16))
    assert cutoffs(reader) == list(range(20))


@ON_BOTH
def test_old_forecasts_are_deleted(writer: WritableDatabase, reader: Database) -> None:
    """Of each series those that lie more than `keep` before its own newest one. The record stays."""
    writer.follow(OTHER, simulated=False)
    ten = timedelta(minutes=10)
    writer.write_forecasts({MINUTES: [step(minute, 1) for minute in range(15)], OTHER: [step(0)]}, ten)
    assert (cutoffs(reader), cutoffs(reader, OTHER)) == (list(range(4, 15)), [0])
    writer.write_forecasts({MINUTES: [step(20, 1)], OTHER: [step(1)]}, ten)
    assert (cutoffs(reader), cutoffs(reader, OTHER)) == ([*range(10, 15), 20], [0, 1])
    assert reader.minute_records()[MINUTES].scores == (scores(1, 16),)


@ON_BOTH
def test_forecasts_of_a_stopped_pair_go_with_its_minutes(writer: WritableDatabase, reader: Database) -> None:
    """Nothing newer replaces them. A series without candles has some too; the record and the model stay."""
    writer.follow(OTHER, simulated=False)
    writer.write(MINUTES, candles(0, 5), span(0, 5))
    for series in (MINUTES, OTHER):
        writer.write_forecasts({series: [step(minute, 1) for minute in range(5)]}, KEEP)
    writer.write_minute_model(MINUTES, MinuteModel(START, "{}"))
    writer.set_state(MINUTES, STOPPED)
    before = START + 3 * MINUTE
    assert [writer.purge(Interval.MINUTE_1, before, 4) for _ in range(3)] == [4, 4, 1], "3 candles, 6 forecasts"
    assert cutoffs(reader) == cutoffs(reader, OTHER) == [3, 4]
    assert writer.purge(Interval.MINUTE_5, START + 9 * MINUTE, 4) == 0
    assert reader.minute_records() == dict.fromkeys((MINUTES, OTHER), record(0, 4, scores(1, 5)))
    assert list(reader.minute_models()) == [MINUTES]


def altered(step: ForecastStep, **values: Any) -> ForecastStep:
    assert step.forecast is not None
    return dataclasses.replace(step, forecast=dataclasses.replace(step.forecast, **values))


def scored(**values: Any) -> ForecastStep:
    return dataclasses.replace(step(1), scores=(dataclasses.replace(scores(1), **values),))


INVALID = {
    "nan point": (altered(step(1), points=(math.nan,) * MINUTES_AHEAD), "not a positive number"),
    "infinite price": (altered(step(1), price=math.inf), "not a positive number"),
    "price of zero": (altered(step(1), price=0.0), "not a positive number"),
    "too few points": (altered(step(1), points=forecast(1).points[1:]), "15 points"),
    "too few quantiles": (altered(step(1), quantiles=(*forecast(1).quantiles[1:], (1.0,) * 6)), "7 quantiles"),
    "another cutoff": (altered(step(1), cutoff=START), "has the cutoff"),
    "nan score": (scored(crps=math.nan), "not a score that can be added"),
    "infinite score": (scored(winkler=math.inf), "not a score that can be added"),
    "unknown horizon": (scored(horizon_minutes=16), "not a score that can be added"),
}


@pytest.mark.parametrize(("bad", "message"), INVALID.values(), ids=INVALID)
def test_what_cannot_be_a_forecast_or_would_spoil_the_sums_is_refused(
    bad: ForecastStep, message: str, writer: WritableDatabase, reader: Database
) -> None:
    """Nothing of the call is stored."""
    with pytest.raises(ValueError, match=message):
        writer.write_forecasts({MINUTES: [step(0, 1), bad]}, KEEP)
    assert (cutoffs(reader), reader.minute_records()) == ([], {})


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "480 bytes"),
        (b"\0" * 479, "480 bytes"),
        (b"\xff" * 480, "not a positive number"),  # NaN
        (b"\xff\xff\x7f\x7f" * 120, "bytes of numbers"),
        (bytes(range(240)) * 2, "not ascending|bytes of numbers|not a positive number"),
        (None, "a price is not a positive number"),
    ],
    ids=["empty", "too short", "NaN", "enormous", "other bytes", "a negative price"],
)
def test_a_damaged_forecast_is_left_out(
    blob: bytes | None, reason: str, url: str, writer: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The others can be read. It is counted each time and logged once."""
    writer.write_forecasts({MINUTES: [step(0), step(1)]}, KEEP)
    column, value = ("price", -1.0) if blob is None else ("distances", blob)
    execute(url, f"UPDATE forecasts SET {column} = :value WHERE cutoff = :at", value=value, at=int(START.timestamp()))
    for limit in (MANY, MANY, 1):  # also for a full page
        (stored,) = writer.minute_forecasts(MINUTES, EVER, limit)
        assert stored.cutoff == START + MINUTE
    assert writer.damaged == 3
    (record,) = (log_record for log_record in caplog.records if log_record.message == "damaged row left out")
    assert re.search(reason, str(record.__dict__))


@ON_BOTH
def test_the_newest_model_of_each_series_is_kept(writer: WritableDatabase, reader: Database) -> None:
    """Its content is stored as it is."""
    assert reader.minute_models() == {}
    writer.follow(OTHER, simulated=True)
    fitted = datetime(2024, 5, 18, 3, 4, 5, 678901, tzinfo=UTC)
    models = {
        MINUTES: MinuteModel(fitted, '{"scale": [0.1, 1e-9, "\u00e9\\n"]}'),
        OTHER: MinuteModel(fitted, "x" * 50_000),
    }
    with pytest.raises(UnknownSeries, match=r"does not contain BTC/USDT 1m from alpaca; `follow` adds a series"):
        writer.write_minute_model(dataclasses.replace(MINUTES, source="alpaca"), MinuteModel(START, "{}"))
    writer.write_minute_model(MINUTES, MinuteModel(START, "old"))
    for series, model in models.items():
        writer.write_minute_model(series, model)
    assert reader.minute_models() == models
