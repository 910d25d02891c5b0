"""Minute forecasts of a collector: made when a candle is stored, scored once, whatever fails in between."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.live.events import Stored
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.market import Candle
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteModel
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.clocks import MovedClock
from tests.support.databases import KINDS, new_database, new_postgresql, stopped_server
from tests.support.forecasting import (
    BTC,
    ETH,
    SPEED,
    cutoffs,
    eventually_scored,
    forecasting,
    forecasts_of,
    keep,
    outcomes,
    scored,
)
from tests.support.live import until
from tests.support.minute_markets import DAY, MINUTE, START, market

PAST = 100 + DAY  # minutes
MARKET = market(0, PAST + 200)


@contextmanager
def filled(database: str, candles: list[Candle] = MARKET[:PAST]) -> Iterator[WritableDatabase]:
    """Open a database in which the past of one pair is stored."""
    with open_writer(database) as writer:
        keep(writer, candles)
        yield writer


@pytest.fixture
def past(tmp_path: Path) -> Iterator[WritableDatabase]:
    """A database of SQLite in which the past of one pair is stored."""
    with filled(new_database("sqlite", tmp_path)) as database:
        yield database


def expected(database: WritableDatabase) -> dict[int, int]:
    """Return how many outcomes of stored forecasts are stored, by horizon."""
    return {horizon: len(errors) for horizon, errors in outcomes(database).items()}


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    """Return the fields of all events of a name."""
    return [getattr(record, "crypto_predict_fields", {}) for record in caplog.records if record.getMessage() == name]


@pytest.mark.parametrize("kind", KINDS)
def test_every_stored_candle_gets_a_forecast_and_is_the_outcome_of_fifteen(kind: str, tmp_path: Path) -> None:
    """The newest candle of the past gets the first one. The sums are those of the outcomes, one by one."""
    with filled(new_database(kind, tmp_path)) as database, forecasting(database) as collected:
        collected.forecast(MARKET[PAST - 1])
        collected.store_each(MARKET[PAST : PAST + 20])
        assert cutoffs(database) == [candle.open_time + MINUTE for candle in MARKET[PAST - 1 : PAST + 20]]
        record = database.minute_records().get(BTC)
        assert record is not None
        assert (record.since, record.until) == (START + (PAST + 1) * MINUTE, START + (PAST + 20) * MINUTE)
        assert scored(record) == {horizon: 21 - horizon for horizon in range(1, MINUTES_AHEAD + 1)}
        assert len({forecast.quantiles for forecast in forecasts_of(database)}) == 21, "they move with the candles"
        errors = outcomes(database)
        for score in record.scores:
            assert score.error == pytest.approx(sum(errors[score.horizon_minutes]), rel=1e-3)


@pytest.mark.parametrize("unseen", [1, 3, 40])
def test_what_came_while_it_was_killed_is_scored_once(unseen: int, past: WritableDatabase) -> None:
    """Candles were stored, the process ended before their forecasts were. The next one scores those, and no others."""
    with forecasting(past) as collected:
        collected.forecast(MARKET[PAST - 1])
        collected.store_each(MARKET[PAST : PAST + 5])
    keep(past, MARKET[PAST + 5 : PAST + 5 + unseen])
    with forecasting(past) as collected:
        collected.forecast(MARKET[PAST + 5 + unseen - 1])
        collected.store_each(MARKET[PAST + 5 + unseen : PAST + 8 + unseen])
        eventually_scored(past, lambda: expected(past))
        counted = scored(past.minute_records().get(BTC))
    with forecasting(past) as collected:  # it knows what is scored
        collected.store_each(MARKET[PAST + 8 + unseen : PAST + 9 + unseen])
        assert scored(past.minute_records().get(BTC)) == expected(past) != counted


def test_a_database_that_is_away_gets_every_score_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """They wait, and so does the newest forecast."""
    with filled(new_postgresql()) as database, forecasting(database) as collected:
        collected.forecast(MARKET[PAST - 1])
        collected.store_each(MARKET[PAST : PAST + 3])
        keep(database, MARKET[PAST + 3 : PAST + 6])
        with stopped_server():
            for candle in MARKET[PAST + 3 : PAST + 6]:
                collected.forecasts.stored(Stored(BTC, [candle], 1, by_stream=True))
            until(lambda: "the database is away; minute forecasts are kept" in caplog.text)
        collected.forecast(MARKET[PAST + 5])
        eventually_scored(database, lambda: expected(database))
    assert caplog.text.count("the database is away; minute forecasts are kept") == 1


def test_a_candle_that_came_late_is_in_the_next_state_and_not_in_the_record(tmp_path: Path) -> None:
    """Its forecasts are those of a collector that has missed nothing; the record does not go back."""
    late, rest = MARKET[PAST + 1], [MARKET[PAST], *MARKET[PAST + 2 : PAST + 6]]
    with filled(new_database("sqlite", tmp_path)) as database:
        with forecasting(database) as collected:
            collected.forecast(MARKET[PAST - 1])
            collected.store_each(rest)
            counted = scored(database.minute_records().get(BTC))
            collected.store([late])
            until(lambda: collected.forecasts.figures()[BTC]["forecast_rebuilds_total"], "its state was computed anew")
            assert scored(database.minute_records().get(BTC)) == counted
            collected.store([MARKET[PAST + 6]])
            repaired = collected.forecast(MARKET[PAST + 6])
            record = database.minute_records().get(BTC)
        assert record is not None
        assert record.until == MARKET[PAST + 6].open_time + MINUTE
        model = database.minute_models()[BTC]
    with filled(str(tmp_path / "other.db"), MARKET[: PAST + 7]) as database:
        database.write_minute_model(BTC, model)
        with forecasting(database) as collected:
            assert collected.forecast(MARKET[PAST + 6]) == repaired


def test_a_gap_withholds_forecasts_until_enough_has_followed(
    past: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the reason once, and once that they begin again."""
    caplog.set_level(logging.INFO)
    with forecasting(past) as collected:
        last = collected.forecast(MARKET[PAST - 1])
        caplog.clear()
        collected.store(MARKET[PAST + 100 : PAST + 110])
        until(lambda: "no minute forecasts" in caplog.text)
        collected.store(MARKET[PAST + 110 : PAST + 129])
        collected.store_each(MARKET[PAST + 129 : PAST + 131])
        assert cutoffs(past) == [
            last.cutoff,
            *(candle.open_time + MINUTE for candle in MARKET[PAST + 129 : PAST + 131]),
        ]
        assert scored(past.minute_records().get(BTC)) == {1: 1}, "the outcomes of the last one before it are not known"
    assert [record.getMessage() for record in caplog.records] == ["no minute forecasts", "minute forecasts begin"]
    (fields,) = logged(caplog, "no minute forecasts")
    assert fields["reason"] == "10 minutes since a gap of 100 minutes, 30 are needed"


def test_a_pair_with_ten_minutes_of_history_has_no_forecast_and_the_others_do(
    past: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the reason once. Its forecasts begin when its history is long enough."""
    caplog.set_level(logging.INFO)
    young = market(1, DAY + 30)
    keep(past, young[:10], ETH)
    with forecasting(past, BTC, ETH) as collected:
        collected.forecast(MARKET[PAST - 1])
        collected.store_each(MARKET[PAST : PAST + 3])
        assert cutoffs(past, ETH) == []
        (fields,) = [fields for fields in logged(caplog, "no minute forecasts") if fields["pair"] == ETH.pair]
        assert fields["reason"] == "10 minutes of history, 1,440 are needed"
        collected.store(young[10:-1], ETH)
        collected.follow(BTC, ETH)  # it looks at the database
        collected.forecast(young[-2], ETH)
        collected.store_each(young[-1:], ETH)


def moved_clock() -> MovedClock:
    """Return a clock that stands still, though waiting is short."""
    clock = MovedClock(START + timedelta(days=2))
    clock.speed = SPEED
    return clock


def test_a_price_that_never_moved_is_not_fitted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    still = [Candle(START + number * MINUTE, 9.0, 9.0, 9.0, 9.0, 1.0) for number in range(DAY + 10)]
    with filled(new_database("sqlite", tmp_path), still) as database, forecasting(database):
        until(lambda: "coefficients of minute forecasts cannot be fitted" in caplog.text)
        assert cutoffs(database) == []


def test_coefficients_are_fitted_daily_and_survive_the_process(
    past: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that cannot be read are fitted again: another version may have written them."""
    clock = moved_clock()
    past.write_minute_model(BTC, MinuteModel(START, "{}"))
    with forecasting(past, clock=clock) as collected:
        collected.forecast(MARKET[PAST - 1])
    assert "coefficients of minute forecasts are fitted again" in caplog.text
    first = past.minute_models()[BTC]
    assert first.fitted_at == clock.now()
    clock.move_to(clock.now() + timedelta(hours=23))
    with forecasting(past, clock=clock) as collected:
        collected.store_each(MARKET[PAST : PAST + 1])
        assert past.minute_models()[BTC] == first
        clock.move_to(clock.now() + timedelta(hours=1))
        until(lambda: past.minute_models()[BTC].fitted_at == clock.now(), "it is fitted again")
        assert collected.forecasts.figures()[BTC]["forecast_fits_total"] == 1


def test_a_short_history_that_doubles_is_fitted_again(tmp_path: Path) -> None:
    """A new pair has its first coefficients after a day; those of its second day are much better."""
    long = market(0, 2 * DAY + 10)
    with filled(new_database("sqlite", tmp_path), long[:DAY]) as database:
        clock = moved_clock()
        with forecasting(database, clock=clock) as collected:
            collected.forecast(long[DAY - 1])
            collected.store(long[DAY:])
            clock.move_to(clock.now() + timedelta(minutes=10))
            collected.follow(BTC)
            until(lambda: collected.forecasts.figures()[BTC]["forecast_fits_total"] == 2, "it is fitted again")
            model = Coefficients.from_json(database.minute_models()[BTC].content)
            assert model.minutes == len(long)


def test_a_defect_in_one_pair_does_not_harm_the_others(
    past: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Its forecasts begin again later, from what is stored."""
    keep(past, MARKET[:PAST], ETH)
    clock = moved_clock()
    with forecasting(past, BTC, ETH, clock=clock) as collected:
        for series in (BTC, ETH):
            collected.forecast(MARKET[PAST - 1], series)
        impossible = MARKET[PAST]._replace(open=-1.0)
        collected.forecasts.stored(Stored(ETH, [impossible], 1, by_stream=True))
        collected.store_each(MARKET[PAST : PAST + 2])
        until(lambda: "its forecasts have failed, and begin again" in caplog.text)
        clock.move_to(clock.now() + timedelta(minutes=6))
        keep(past, MARKET[PAST : PAST + 2], ETH)
        collected.store_each(MARKET[PAST + 2 : PAST + 3], ETH)
        assert scored(past.minute_records().get(ETH))[3] == 1, "from the one before the defect"


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_score_that_cannot_be_stored_does_not_harm_the_others(
    past: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """They are stored in one transaction."""
    keep(past, MARKET[:PAST], ETH)
    with forecasting(past, BTC, ETH) as collected:
        for series in (BTC, ETH):
            collected.forecast(MARKET[PAST - 1], series)
        collected.forecasts.stored(Stored(ETH, [MARKET[PAST]._replace(close=math.inf)], 1, by_stream=True))
        collected.store_each(MARKET[PAST : PAST + 2])
        until(lambda: "ETH/USDT from binance: its minute forecasts cannot be stored" in caplog.text)
        assert scored(past.minute_records().get(BTC)) == {1: 2, 2: 1}


def test_a_pair_that_is_not_followed_any_more_is_left_alone(past: WritableDatabase) -> None:
    keep(past, MARKET[:PAST], ETH)
    with forecasting(past, BTC, ETH) as collected:
        for series in (BTC, ETH):
            collected.forecast(MARKET[PAST - 1], series)
        collected.follow(BTC)
        collected.store([MARKET[PAST]], ETH)
        collected.store_each([MARKET[PAST]])
        assert len(cutoffs(past, ETH)) == 1
        assert list(collected.forecasts.figures()) == [BTC]
