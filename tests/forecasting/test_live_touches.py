"""The record of touches: what was released, beside the highs and lows of hours and days that followed."""

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.extremes import Extremes
from crypto_predict.baked.ledger import HourlyOutcome, Release
from crypto_predict.baked.schema import LiveRecord
from crypto_predict.baked.touches import DAY_MOVES, HOUR_MOVES, TouchScore
from crypto_predict.forecasting.live_touches import LiveTouches
from crypto_predict.forecasting.record import Record
from crypto_predict.history import History
from crypto_predict.market import DAY, Candle, Interval
from tests.support.histories import history_of
from tests.support.ledgers import TOUCHED, contents, data_of, make_hours, make_outcome, make_release, record_of
from tests.support.models import BTC, make_forecast, make_model
from tests.support.models import quantiles as around

HOUR = timedelta(hours=1)
CLOSE = make_release().anchor.at  # of the last candle of the first release


def release(hours: int = 0, *, late: timedelta = timedelta(minutes=10)) -> Release:
    """The release at a price of 100 so many hours after the first one, made `late` after its anchor."""
    at = CLOSE + hours * HOUR
    first = make_release((at - DAY).date())
    return replace(first, anchor=replace(first.anchor, at=at), made_at=at + late, models={})


def hourly(spikes: Mapping[int, float], hours: int, missing: Iterable[int] = ()) -> History:
    """Hours after `CLOSE` at 100, which reach up or down to a spike in those with these numbers."""
    candles = [
        Candle(CLOSE + n * HOUR, 100.0, max(spikes.get(n, 100.0), 100.0), min(spikes.get(n, 100.0), 100.0), 100.0, 1.0)
        for n in range(hours)
        if n not in {*missing}
    ]
    return history_of(candles, interval=Interval.HOUR_1)


def daily(spikes: Mapping[int, float], days: int) -> History:
    """The same of days."""
    candles = hourly(spikes, days).candles
    return history_of([candle._replace(open_time=CLOSE + n * DAY) for n, candle in enumerate(candles)])


def live(record: Record) -> LiveRecord:
    return record.scorecard().pairs[BTC]


def horizons(record: Record) -> dict[tuple[int, str], int]:
    return {score.horizon: score.cutoffs for score in live(record).touches}


def score_of(record: Record, ahead: int, unit: str) -> TouchScore:
    return next(score for score in live(record).touches if score.horizon == (ahead, unit))


def test_a_span_is_scored_by_the_hours_before_and_after_its_whole_days(tmp_path: Path) -> None:
    """From 18:00 on, with a spike of 2.5 % at 17:00, which was before, and of 0.6 % at 19:00.

    Up is touched what is at most 0.5 % away within six hours, and the same until the close of the day, an hour later.
    """
    record = record_of(tmp_path, release(18))
    record.settle_hours(hourly({17: 102.5, 19: 100.6}, 48))
    assert horizons(record) == {(1, "hour"): 1, (6, "hour"): 1, (24, "hour"): 1, (1, "day"): 1}
    hour, six = score_of(record, 1, "hour"), score_of(record, 6, "hour")
    assert (hour.came, six.came) == (0.0, 0.2)
    assert six.said == pytest.approx(np.mean(TOUCHED))
    came = np.isin(HOUR_MOVES, [0.002, 0.005])
    assert six.brier == pytest.approx(np.mean((np.array(TOUCHED) - came) ** 2), rel=1e-5)
    assert score_of(record, 1, "day").came == 0.0
    assert six.tenths[8].questions == 2
    assert six.tenths[8].came == 0.5


def test_the_rule_of_reflection_is_twice_the_close_beyond_by_the_released_quantiles(tmp_path: Path) -> None:
    """Which are those of a Gaussian around the newest price, of 3 % a day."""
    record = record_of(tmp_path, release())
    record.settle_hours(hourly({}, 24))
    score = score_of(record, 24, "hour")
    distance = np.abs(np.log1p(HOUR_MOVES)) / 0.03
    # Beyond the outer quantiles, of 5 and 95 %, a tail of a Gaussian is thinner than the one that is assumed.
    near = distance < 1.6
    twice = 2 * stats.norm.sf(distance)
    assert near.sum() == 8
    assert score.brier_reflection == pytest.approx(np.mean(twice**2), abs=0.002)
    assert score.came == 0


def test_days_are_enough_for_a_release_at_their_close(tmp_path: Path) -> None:
    """As of a source without hours: of a release in the midst of a day it is not known what had been touched before."""
    noon = replace(release(12), hours=(), touched=(TOUCHED,) * 3)
    record = record_of(tmp_path, replace(release(), hours=(), touched=(TOUCHED,) * 3), noon)
    record.settle([daily({0: 103.0, 3: 93.0}, 8)])
    assert horizons(record) == {(1, "day"): 1, (7, "day"): 1}
    assert score_of(record, 1, "day").came == 0.1
    assert score_of(record, 7, "day").came == pytest.approx(0.3)
    record.settle_hours(hourly({13: 97.0}, 7 * 24))
    assert horizons(record) == {(1, "day"): 2, (7, "day"): 2}
    assert score_of(record, 1, "day").came == pytest.approx((0.1 + 0.1) / 2)


def test_a_span_with_an_hour_without_a_candle_is_not_scored_unless_its_day_is_known(tmp_path: Path) -> None:
    """What was touched in it would be guessed."""
    record = record_of(tmp_path, release(), release(6))
    record.settle_hours(hourly({}, 48, missing=[3]))
    assert horizons(record) == {(1, "hour"): 2, (6, "hour"): 1, (24, "hour"): 1, (1, "day"): 1}
    record = record_of(tmp_path, release(), release(6))
    record.settle([daily({}, 2)])
    record.settle_hours(hourly({}, 48, missing=[3]))
    assert horizons(record) == {(1, "hour"): 2, (6, "hour"): 1, (24, "hour"): 2, (1, "day"): 2}


def test_each_newest_price_counts_once_and_never_in_hindsight(tmp_path: Path) -> None:
    """Three trainings within an hour make one forecast; what was known to the training is none."""
    record = record_of(tmp_path, *[release(late=timedelta(minutes=minutes)) for minutes in (3, 10, 50)])
    record.settle_hours(hourly({}, 24))
    assert {*horizons(record).values()} == {1}
    late = record_of(tmp_path, release(late=timedelta(hours=7)))
    late.settle_hours(hourly({}, 24))
    assert horizons(late) == {(24, "hour"): 1, (1, "day"): 1}
    record = record_of(tmp_path, release(late=timedelta(minutes=55)), after=record)
    record.settle_hours(hourly({}, 48))
    assert {*horizons(record).values()} == {1}, "its spans are on record"


def test_the_hours_of_a_day_are_recorded_once_and_only_if_a_forecast_waits(tmp_path: Path) -> None:
    record = record_of(tmp_path, release(24))
    record.settle_hours(hourly({}, 72))
    record.settle_hours(hourly({}, 80))
    days = [entry.day for entry in contents(data_of(record.ledger)) if isinstance(entry, HourlyOutcome)]
    assert days == [CLOSE.date() + DAY, CLOSE.date() + 2 * DAY], "not the day before the release, nor one that lasts"


def test_what_is_recorded_of_a_release_is_what_its_server_answers() -> None:
    forecast = make_forecast(hours=(around(-0.01, 0.01),) * 24)
    model = make_model(BTC)
    record = Record()
    record.release(model.card, {BTC: forecast})
    (entry,) = record.ledger.newest
    extremes = Extremes(Evaluator(forecast), "combined")
    ends: list[date | datetime] = [forecast.anchor.at + ahead * HOUR for ahead in (1, 6, 24)]
    ends += [forecast.last + ahead * DAY for ahead in (1, 7, 30)]
    expected: list[Any] = [
        [extremes.touched(end, forecast.anchor.price * (1 + move)) for move in moves]
        for end, moves in zip(ends, [HOUR_MOVES] * 3 + [DAY_MOVES] * 3, strict=True)
    ]
    assert np.array(entry.touched) == pytest.approx(np.array(expected), abs=0.00051)


def test_memory_does_not_grow_with_the_years() -> None:
    """A year of four releases a day; of every tenth day no hours are known."""
    touches = LiveTouches()
    for number in range(365):
        for hours in (0, 6, 12, 18):
            touches.add(release(24 * number + hours))
        day = CLOSE.date() + number * DAY
        touches.add_day(make_outcome(day, 100.0))
        if number % 10:
            touches.add_hours(make_hours(day, dict.fromkeys(range(24), 100.0)))
    assert touches.count_pending() < 4 * (30 + 7 + 1 + 4 + 2)
    assert len(pickle.dumps(touches)) < 100_000
    assert [score.cutoffs for score in touches.scores()][-1] > 1_100
