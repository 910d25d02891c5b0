"""The record of hours: what was released 1, 6 and 24 hours ahead, at the hourly closes that followed."""

import copy
import math
import pickle
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from crypto_predict.baked.ledger import HOURS, HourlyOutcome, Release
from crypto_predict.baked.schema import LiveRecord
from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.live_hours import LiveHours
from crypto_predict.forecasting.record import Record
from crypto_predict.market import DAY, Interval
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import history_of, make_candle
from tests.support.ledgers import (
    START,
    contents,
    data_of,
    make_hours,
    make_outcome,
    make_quantiles,
    make_release,
    record_of,
)
from tests.support.models import BTC, ETH

pytestmark = pytest.mark.repeats

HOUR = timedelta(hours=1)
CLOSE = make_release().anchor.at  # of the first release
SHARP = make_quantiles(0.6, 0.002, [hours / 24 for hours in HOURS])  # around 100.2


def release(hours: int, *, late: timedelta = timedelta(minutes=10)) -> Release:
    """The release of `SHARP` so many hours after the first one, made `late` after its anchor, at a price of 100."""
    at = CLOSE + hours * HOUR
    first = make_release((at - DAY).date())
    return replace(first, anchor=replace(first.anchor, at=at), made_at=at + late, models={}, hours=SHARP)


def live(record: Record) -> LiveRecord:
    return record.scorecard().pairs[BTC]


def settle(record: Record, closes: dict[datetime, float], *, simulated: bool = False) -> Record:
    """Settle the hours that end with these closes, as a training from another source does."""
    candles = [make_candle(at - HOUR, close) for at, close in closes.items()]
    record.settle_hours(history_of(candles, BTC, "binance", Interval.HOUR_1, simulated=simulated))
    return record


def due(record: Record) -> dict[int, int]:
    return {score.horizon_hours: score.due for score in live(record).hours}


def closes_of(count: int, seed: int = 7) -> dict[datetime, float]:
    """Closes of so many hours, 3 % a day around 100."""
    moves = np.random.default_rng(seed).normal(0, 0.006, count)
    return {CLOSE + (hour + 1) * HOUR: 100 * math.exp(move) for hour, move in enumerate(moves.tolist())}


def test_the_figures_are_those_computed_by_hand(tmp_path: Path) -> None:
    """Of thirty releases a quarter of a day apart, once beside each close, of which 24 a day have come due."""
    closes, releases = closes_of(240), [release(6 * number) for number in range(30)]
    scores = live(settle(record_of(tmp_path, *releases), closes)).hours
    assert [score.horizon_hours for score in scores] == list(HOURS)
    for score, ahead, row in zip(scores, HOURS, SHARP, strict=True):
        moves = np.log([closes[release.anchor.at + ahead * HOUR] / 100 for release in releases])
        quantiles, sigma = np.log(np.array([row] * 30) / 100), np.full(30, 0.03 * math.sqrt(ahead / 24))
        crps = metrics.crps_quantiles(moves, quantiles, np.array(LEVELS)).mean()
        winkler = interval_score(moves, quantiles[:, 1], quantiles[:, 5], 0.8).mean()
        gaussian = interval_score(moves, -GAUSSIAN * sigma, GAUSSIAN * sigma, 0.8).mean()
        assert score.due == 30
        assert score.mae == pytest.approx(np.abs(moves - quantiles[:, 3]).mean())
        assert score.relative_mae == pytest.approx(score.mae / np.abs(moves).mean())
        assert score.crps == pytest.approx(crps)
        assert score.relative_crps == pytest.approx(crps / metrics.crps_gaussian(moves, 0 * moves, sigma).mean())
        assert score.winkler == pytest.approx(winkler)
        assert score.relative_winkler == pytest.approx(winkler / gaussian)
        inside = [
            np.mean((row[low] <= 100 * np.exp(moves)) & (100 * np.exp(moves) <= row[-1 - low])) for low in (0, 1, 2)
        ]
        assert [score.coverage_90, score.coverage, score.coverage_50] == pytest.approx(inside)


def test_the_hours_of_a_day_have_one_outcome_which_is_recorded_when_the_day_has_ended(tmp_path: Path) -> None:
    """A missing candle is never made up, and a second history changes nothing."""
    record = record_of(tmp_path, release(0))
    settle(record, closes_of(23))
    assert due(record) == {}, "the day has not ended"
    gap = {CLOSE + hours * HOUR: 100.0 + hours for hours in (1, 2, 5, 24)}
    settle(record, gap)
    settle(record, {CLOSE + hours * HOUR: 200.0 for hours in (1, 6, 24)})
    (outcome,) = (entry for entry in contents(data_of(record.ledger)) if isinstance(entry, HourlyOutcome))
    closes = tuple({CLOSE + hour * HOUR: close for hour, close in enumerate(outcome.closes, start=1)}.items())
    assert (outcome.day, outcome.source, {at: close for at, close in closes if close}) == (CLOSE.date(), "binance", gap)
    assert due(record) == {1: 1, 24: 1}
    before = live(record).hours
    record = record_of(tmp_path, make_hours(CLOSE.date(), dict.fromkeys(range(24), 300.0)), after=record)
    assert live(record).hours == before, "of several outcomes of a day the first one counts"
    assert live(record).pending == 30, "the days wait on their own"


def test_hours_have_months_and_probabilities_at_round_prices(tmp_path: Path) -> None:
    """Of forty days of four releases each, by the day of the target, as those of days are."""
    releases = [release(6 * number) for number in range(160)]
    closes = closes_of(41 * 24)
    record = live(settle(record_of(tmp_path, *releases), closes))
    for score in record.hours:
        months = [month for month in record.months if month.horizon_hours == score.horizon_hours]
        assert [month.month.month for month in months] == [6, 5]
        assert sum(month.due for month in months) == score.due == 160
        assert sum(month.days for month in months) == score.days
        assert sum(month.due * month.coverage.value for month in months) == pytest.approx(160 * score.coverage, abs=0.1)
        assert (score.coverage_confidence is None) == (score.coverage == 1)
        assert score.probabilities is not None
        assert score.probabilities.days == score.days
        assert 160 * 5 <= score.probabilities.questions <= 160 * 9


def test_a_daily_history_has_no_hours() -> None:
    with pytest.raises(InvalidValue, match="is not that of hourly candles"):
        Record().settle_hours(history_of([make_candle(CLOSE, 1.0)], BTC))


def test_an_hour_that_had_closed_when_the_model_was_made_is_not_a_forecast(tmp_path: Path) -> None:
    """As with a history that is cut off: its outcome was known to whoever trained."""
    record = record_of(tmp_path, release(0, late=timedelta(hours=6)))
    settle(record, closes_of(24))
    assert due(record) == {24: 1}


def test_releases_from_the_same_price_count_once(tmp_path: Path) -> None:
    """Three trainings within an hour make one forecast. One that comes after the outcome does not count either."""
    record = record_of(tmp_path, *[release(0, late=timedelta(minutes=minutes)) for minutes in (3, 10, 50)])
    settle(record, closes_of(24))
    assert due(record) == {1: 1, 6: 1, 24: 1}
    again = release(0, late=timedelta(minutes=55))
    assert due(settle(record_of(tmp_path, again, after=record), closes_of(48))) == {1: 1, 6: 1, 24: 1}


def test_only_hours_of_the_same_kind_and_pair_are_compared(tmp_path: Path) -> None:
    record = record_of(tmp_path, release(0), replace(release(0), pair=ETH))
    settle(record, closes_of(24), simulated=True)
    assert [score.hours for score in record.scorecard().pairs.values()] == [(), ()]
    settle(record, closes_of(24))
    assert [len(score.hours) for score in record.scorecard().pairs.values()] == [3, 0]


def test_what_has_no_hours_has_no_scores_of_them(tmp_path: Path) -> None:
    record = record_of(tmp_path, replace(release(0), hours=(), touched=()), make_outcome(START + DAY))
    assert live(settle(record, closes_of(24))).hours == ()


def test_memory_does_not_grow_with_the_years() -> None:
    """Five years of four releases a day, of which every other hour of a target has no candle."""
    hours = LiveHours()
    for number in range(5 * 365 * 4):
        hours.add(release(6 * number))
        if number % 8 == 7:  # of every other day the hours are known
            day = (CLOSE + 6 * number * HOUR).date()
            hours.settle(make_hours(day, dict.fromkeys(range(24), 101.0)))
    assert 366 * 6 < hours.count_pending() < 368 * 7
    assert len(pickle.dumps(hours)) < 900_000
    assert [score.due for score in hours.scores()] == [3648, 3648, 3648]


def test_a_ledger_that_is_read_has_the_record_of_the_one_that_was_written(tmp_path: Path) -> None:
    """Read whole, or half of it and continued."""
    record = record_of(tmp_path, *[release(6 * number) for number in range(8)])
    settle(record, closes_of(30))
    again = record_of(tmp_path, after=copy.deepcopy(record))
    assert again.scorecard() == record.scorecard()
    assert live(settle(again, closes_of(80))) == live(settle(record, closes_of(80)))
