"""Coverage by month and its test: by target days, in blocks, so that forecasts that err together count once."""

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import LiveMonth
from crypto_predict.forecasting.live_days import LATELY, MONTHS, SUMS, LiveDays
from crypto_predict.history.columns import BoolArray
from crypto_predict.market import DAY
from tests.support.ledgers import START


def days_of(hits: BoolArray, horizon: int = 1, releases: int = 1, start: date = START) -> LiveDays:
    """The days whose forecasts, as many as releases a day, were inside (n,) or not."""
    days, inside = LiveDays(horizon), hits.repeat(releases)
    rows = np.zeros((len(inside), len(SUMS)))
    rows[:, 0], rows[:, 1] = 1.0, inside
    days.add([start + n // releases * DAY for n in range(len(inside))], rows)
    return days


def add(days: LiveDays, target: date, *inside: bool) -> None:
    days.add([target] * len(inside), np.array([[1.0, one, 0.0, 0.0, 0.0] for one in inside]))


def moves_inside(horizon: int, count: int, walks: int) -> BoolArray:
    """Whether moves of random walks, of consecutive targets, are in their true interval of 80 %, (walks, count)."""
    steps = np.random.default_rng(horizon).standard_normal((walks, count + horizon))
    price = np.cumsum(steps, axis=1)
    moves = (price[:, horizon:] - price[:, :-horizon]) / math.sqrt(horizon)
    inside: BoolArray = np.abs(moves) <= 1.2816
    return inside


TARGETS = st.lists(
    st.tuples(st.dates(date(2020, 1, 1), date(2026, 12, 31)), st.lists(st.booleans(), min_size=1, max_size=5)),
    max_size=8,
)


@given(TARGETS.filter(bool))
def test_a_month_has_the_forecasts_of_its_target_days_in_any_order(targets: list[tuple[date, list[bool]]]) -> None:
    """Counted by hand; the newest two years are shown, newest first, and a month without a target is left out."""
    days, counted = LiveDays(1), dict[date, list[tuple[date, bool]]]()
    for target, inside in targets:
        add(days, target, *inside)
        counted.setdefault(target.replace(day=1), []).extend((target, one) for one in inside)
    shown = [(row.month, row.due, row.days, round(row.coverage.value, 5)) for row in days.months()]
    expected = [
        (month, len(rows), len({target for target, _ in rows}), round(float(np.mean([one for _, one in rows])), 5))
        for month, rows in sorted(counted.items(), reverse=True)
    ]
    assert shown == expected[:MONTHS]
    assert len(days) == len({target for target, _ in targets})


def test_a_month_has_an_interval_where_its_days_are_three_blocks_or_more() -> None:
    """Tomorrow's forecasts have; those a week ahead overlap too much, and what never missed has no known error."""
    hits = np.arange(60) % 5 != 0
    (may, *_), (far, *_) = (list(days_of(hits, horizon, start=date(2026, 5, 1)).months())[::-1] for horizon in (1, 7))
    assert may == LiveMonth(date(2026, 5, 1), 1, None, 31, 31, Estimate(0.774194, may.coverage.low, may.coverage.high))
    assert may.coverage.low is not None
    assert may.coverage.high is not None
    assert 0.5 < may.coverage.low < 0.75
    assert 0.8 < may.coverage.high <= 1
    assert far.coverage == Estimate(0.774194, None, None)
    (always,) = days_of(np.ones(30, dtype=bool), start=date(2026, 6, 1)).months()
    assert always.coverage == Estimate(1.0, None, None)


def test_four_releases_a_day_are_no_more_evidence_than_one() -> None:
    """They forecast the same close, so the interval is the same; as independent forecasts its width would be half."""
    hits = moves_inside(1, 365, 1)[0]
    once, often = days_of(hits), days_of(hits, releases=4)
    assert once.coverage_confidence() == often.coverage_confidence()
    assert once.test().coverage == often.test().coverage
    assert (once.test().due, often.test().due) == (365, 1460)
    assert once.test().p_value == often.test().p_value


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_interval_of_a_month_holds_the_truth_nearly_as_often_as_it_says(horizon: int) -> None:
    """In 1,000 months of forecasts that are right, with what never missed taken as an interval up to 100 %."""
    held = []
    for hits in moves_inside(horizon, 30, 1_000):
        (month,) = days_of(hits, horizon, start=date(2026, 6, 1)).months()
        held.append((month.coverage.low or 0) <= 0.8 <= (month.coverage.high or 1))
    assert 0.85 < np.mean(held) < 0.99


def test_the_newest_year_is_tested_however_old_the_record_is() -> None:
    """Three good years would hide for a long time that the interval holds no more."""
    days = days_of(np.concatenate([np.arange(1_100) % 5 != 0, np.arange(LATELY) % 5 > 1]))
    test = days.test()
    assert (test.since, test.days, test.coverage.value) == (START + 1_100 * DAY, LATELY, 0.6)
    assert test.p_value is not None
    assert test.p_value < 1e-6


@pytest.mark.parametrize("horizon", [1, 3, 7, 14])
def test_chance_alone_is_rarely_taken_for_a_fault(horizon: int) -> None:
    """Of 300 years of a right interval about 5 % or fewer are below a p value of 0.05, and hardly one below 0.001."""
    p_values = [days_of(hits, horizon).test().p_value for hits in moves_inside(horizon, 365, 300)]
    assert None not in p_values
    known = np.array(p_values, dtype=np.float64)
    assert np.mean(known < 0.05) < 0.07
    assert np.mean(known < 0.001) < 0.005


def test_a_fault_is_found_within_a_year() -> None:
    """An interval that holds 60 instead of 80 % is beyond chance after half a year, at one day ahead."""
    random = np.random.default_rng(3)
    found = [days_of(random.random(182) < 0.6).test().p_value for _ in range(50)]
    assert sum(p_value is not None and p_value < 0.001 for p_value in found) > 35


def test_a_run_of_hits_is_not_taken_for_certain_and_too_few_days_are_not_tested() -> None:
    """The standard error of hits that never varied would be 0. A month at 30 days ahead says nothing."""
    certain = days_of(np.ones(100, dtype=bool)).test()
    assert certain.p_value is not None
    assert 1e-5 < certain.p_value < 0.01
    assert days_of(np.ones(100, dtype=bool), 30).test().p_value is None
