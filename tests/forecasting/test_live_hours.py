"""The record of hours: what was released 1, 6 and 24 hours ahead, at the hourly closes that followed."""

import copy
import math
import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from crypto_predict.baked.ledger import HOURS, Content, HourOutcome, Ledger, Release
from crypto_predict.baked.schema import LiveHourScore, LiveRecord
from crypto_predict.forecasting import live_hours
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.live_hours import LiveHours
from crypto_predict.forecasting.record import Record
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import history_of, make_candle
from tests.support.ledgers import START, contents, data_of, make_hour, make_outcome, make_quantiles, make_release
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


def record_of(folder: Path, *entries: Content, after: Record | None = None) -> Record:
    """The record of a ledger with these entries, after those of another."""
    ledger = Ledger() if after is None else after.ledger
    for entry in entries:
        ledger.append(entry)
    path = folder / f"{len(list(folder.iterdir()))}.jsonl"
    path.write_bytes(data_of(ledger))
    return Record.read(path)


def live(record: Record) -> LiveRecord:
    return record.scorecard().pairs[BTC]


def settle(record: Record, closes: dict[datetime, float], *, simulated: bool = False) -> Record:
    """Settle the hours that end with these closes, as a training from another source does."""
    history = history_of([make_candle(CLOSE, 1.0)], BTC, "binance", simulated=simulated)
    record.settle_hours(history, [make_candle(at - HOUR, close) for at, close in closes.items()])
    return record


def due(record: Record) -> dict[int, int]:
    return {score.horizon_hours: score.due for score in live(record).hours}


def closes_of(count: int, seed: int = 7) -> dict[datetime, float]:
    """Closes of so many hours, 3 % a day around 100."""
    moves = np.random.default_rng(seed).normal(0, 0.006, count)
    return {CLOSE + (hour + 1) * HOUR: 100 * math.exp(move) for hour, move in enumerate(moves.tolist())}


def test_the_figures_are_those_computed_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thirty releases a quarter of a day apart, once beside each close; the sums of old ones are the same."""
    closes, releases = closes_of(30 * 6 + 24), [release(6 * number) for number in range(30)]
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
    monkeypatch.setattr(live_hours, "BATCH", 7)
    for score, again in zip(scores, live(settle(record_of(tmp_path, *releases), closes)).hours, strict=True):
        assert [*map(float, values(again))] == pytest.approx(values(score))


def values(score: LiveHourScore) -> Sequence[float]:
    return [getattr(score, name) for name in LiveHourScore.__dataclass_fields__]


def test_an_hour_has_one_outcome_which_is_recorded_when_a_candle_has_it(tmp_path: Path) -> None:
    """A missing candle is never made up, and a second history changes nothing."""
    record = record_of(tmp_path, release(0))
    settle(record, {CLOSE + hours * HOUR: 100.0 + hours for hours in (0, 1, 2, 5, 23)})
    assert due(record) == {1: 1}
    settle(record, {CLOSE + hours * HOUR: 200.0 for hours in (1, 25)})
    outcomes = [entry for entry in contents(data_of(record.ledger)) if isinstance(entry, HourOutcome)]
    assert outcomes == [HourOutcome(BTC, False, CLOSE + HOUR, 101.0, "binance")]
    before = due(record)
    record = record_of(tmp_path, make_hour(CLOSE + HOUR, 300.0), after=record)
    assert due(record) == before, "of several outcomes of an hour the first one counts"
    settle(record, {CLOSE + 24 * HOUR: 100.0})
    assert due(record) == {1: 1, 24: 1}
    assert live(record).pending == 30, "the days wait on their own"


def test_an_hour_that_had_closed_when_the_model_was_made_is_not_a_forecast(tmp_path: Path) -> None:
    """As with a history that is cut off: its outcome was known to whoever trained."""
    record = record_of(tmp_path, release(0, late=timedelta(hours=6)))
    settle(record, {CLOSE + hours * HOUR: 100.0 for hours in HOURS})
    assert due(record) == {24: 1}


def test_releases_from_the_same_price_count_once(tmp_path: Path) -> None:
    """Three trainings within an hour make one forecast. One that comes after the outcome does not count either."""
    record = record_of(tmp_path, *[release(0, late=timedelta(minutes=minutes)) for minutes in (3, 10, 50)])
    settle(record, closes_of(6))
    assert due(record) == {1: 1, 6: 1}
    again = release(0, late=timedelta(minutes=55))
    assert due(settle(record_of(tmp_path, again, after=record), closes_of(24))) == {1: 1, 6: 1, 24: 1}


def test_only_hours_of_the_same_kind_and_pair_are_compared(tmp_path: Path) -> None:
    record = record_of(tmp_path, release(0), replace(release(0), pair=ETH))
    settle(record, closes_of(24), simulated=True)
    assert [score.hours for score in record.scorecard().pairs.values()] == [(), ()]
    settle(record, closes_of(24))
    assert [len(score.hours) for score in record.scorecard().pairs.values()] == [3, 0]


def test_what_has_no_hours_has_no_scores_of_them(tmp_path: Path) -> None:
    record = record_of(tmp_path, replace(release(0), hours=()), make_outcome(START + DAY))
    assert live(settle(record, closes_of(24))).hours == ()
    assert record.ledger.entries == 2


def test_memory_does_not_grow_with_the_years() -> None:
    """Five years of four releases a day, of which every other hour of a target has no candle."""
    hours = LiveHours()
    for number in range(5 * 365 * 4):
        hours.add(release(6 * number))
        if number % 2:
            hours.settle(CLOSE + (6 * number + 1) * HOUR, 101.0)
            hours.settle(CLOSE + (6 * number + 6) * HOUR, 101.0)
    assert 366 * 6 < hours.count_pending() < 368 * 8
    assert len(pickle.dumps(hours)) < 500_000
    assert [score.due for score in hours.scores()] == [3650, 3650, 3649]


def test_a_ledger_that_is_read_has_the_record_of_the_one_that_was_written(tmp_path: Path) -> None:
    """Read whole, or half of it and continued."""
    record = record_of(tmp_path, *[release(6 * number) for number in range(8)])
    settle(record, closes_of(20))
    again = record_of(tmp_path, after=copy.deepcopy(record))
    assert again.scorecard() == record.scorecard()
    assert live(settle(again, closes_of(80))) == live(settle(record, closes_of(80)))
