from collections.abc import Sequence

import numpy as np
import pytest

from crypto_predict.forecasting.arrays import at_horizons, rolling_median, spacing


@pytest.mark.parametrize(
    ("wanted", "expected"), [([1], [3.0]), ([10], [5.0]), ([100], [7.0]), ([1000], [7.0]), ([1, 100], [3.0, 7.0])]
)
def test_between_horizons_values_lie_on_a_line_in_the_logarithm(wanted: Sequence[int], expected: list[float]) -> None:
    assert at_horizons(np.array([3.0, 7.0]), [1, 100], wanted).tolist() == pytest.approx(expected)


def test_a_rolling_median_has_one_value_for_each_whole_window() -> None:
    assert rolling_median(np.array([5.0, 1.0, 3.0, 9.0]), 3).tolist() == [3.0, 3.0]
    assert rolling_median(np.array([5.0, 1.0]), 3).tolist() == []


def test_cutoffs_are_as_far_apart_as_most_of_them_are() -> None:
    assert spacing(np.array([10, 17, 24, 27])) == 7
    assert spacing(np.array([10])) == 1
