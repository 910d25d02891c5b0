"""A daily history as arrays, and functions on arrays."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.series import DailySeries, at_horizons, rolling_median, spacing
from tests.support.histories import START, make_history, wandering

DAYS = 40
# The first and the last day have a candle: a history begins and ends with one.
GAPS = st.frozensets(st.integers(1, DAYS - 2))


@given(missing=GAPS)
def test_every_day_occurs_once_and_repeats_the_close_before_it_without_a_candle(missing: frozenset[int]) -> None:
    """The close of a later day would be a look into the future."""
    series = DailySeries.of(make_history(DAYS, missing=missing))
    assert [series.day(index) for index in range(len(series))] == [
        START.date() + timedelta(days=day) for day in range(DAYS)
    ]
    assert np.flatnonzero(~series.known).tolist() == sorted(missing)
    for day in range(DAYS):
        latest = max(earlier for earlier in range(day + 1) if earlier not in missing)
        assert series.log_close[day] == np.log(wandering(latest))


@given(missing=GAPS, index=st.integers(0, DAYS - 1), longest=st.integers(1, DAYS + 5))
def test_known_at_a_close_is_the_history_that_ends_there(missing: frozenset[int], index: int, longest: int) -> None:
    gaps = missing - {index}
    ended = DailySeries.of(make_history(index + 1, missing=gaps))
    until = DailySeries.of(make_history(DAYS, missing=gaps)).until(index, longest)
    for ours, theirs in zip(vars(until).values(), vars(ended).values(), strict=True):
        assert ours.tolist() == theirs.tolist()[-longest:]


@pytest.mark.parametrize(
    ("targets", "expected"), [([1], [3.0]), ([10], [5.0]), ([100], [7.0]), ([1000], [7.0]), ([1, 100], [3.0, 7.0])]
)
def test_between_horizons_values_lie_on_a_line_in_the_logarithm(targets: Sequence[int], expected: list[float]) -> None:
    assert at_horizons(np.array([3.0, 7.0]), [1, 100], targets).tolist() == pytest.approx(expected)


def test_a_rolling_median_has_one_value_for_each_whole_window_and_spacing_is_the_median_distance() -> None:
    assert spacing(np.array([10, 17, 24, 27])) == 7
    assert spacing(np.array([10])) == 1
    assert rolling_median(np.array([5.0, 1.0, 3.0, 9.0]), 3).tolist() == [3.0, 3.0]
    assert rolling_median(np.array([5.0, 1.0]), 3).tolist() == []
