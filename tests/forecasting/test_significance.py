import math
from itertools import accumulate
from random import Random
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crypto_predict.forecasting.significance import diebold_mariano
from crypto_predict.history.columns import FloatArray

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))  # whose squares are finite
TWO = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20).map(lambda rows: np.array(rows).T)


def compared(differences: Any, overlap: int) -> tuple[float, float]:
    """The test of losses that differ by these from a reference's."""
    test = diebold_mariano(np.array(differences, dtype=np.float64), np.zeros(len(differences)), overlap)
    assert test is not None
    return test


def test_diebold_marianos_statistic_is_the_one_computed_by_hand() -> None:
    """Mean 5/2, autocovariances 5/4 and 5/16, factor sqrt(3/8): the square root of 5, and t with 3 degrees."""
    test = diebold_mariano(np.array([2.0, 4, 6, 8]), np.array([1.0, 2, 3, 4]), 2)
    angle = math.atan(math.sqrt(5 / 3))
    p_value = 1 - 2 / math.pi * (angle + math.sqrt(15) / 8)
    assert test == pytest.approx((math.sqrt(5), p_value))


def test_bartletts_weights_apply_where_the_plain_variance_is_negative() -> None:
    """Autocovariances 1 and -3/4: plainly -1/2, weighted 1/4; so 4 standard deviations, times the factor."""
    assert compared((2, 0, 2, 0), 2)[0] == pytest.approx(4 * math.sqrt(3 / 8))


SERIES = [(8, 1), (8, 5), (60, 1), (60, 7), (60, 45), (61, 30), (61, 56), (400, 13), (401, 90), (401, 380)]


@pytest.mark.parametrize(("count", "overlap"), SERIES)
@pytest.mark.parametrize("persistence", [0.7, -0.95])
def test_diebold_mariano_is_the_robust_regression_of_statsmodels(count: int, overlap: int, persistence: float) -> None:
    """On a constant alone, with either kernel; the factor and the distribution are Harvey's."""
    random = Random(count * overlap)
    noise = [random.gauss(0.2, 1) for _ in range(count)]
    differences = list(accumulate(noise, lambda before, step: persistence * before + step))

    def regressed(kernel: str) -> Any:
        options = {"maxlags": overlap - 1, "kernel": kernel}
        return sm.OLS(differences, np.ones(count)).fit(cov_type="HAC", cov_kwds=options)

    plain = regressed("uniform")
    fitted = plain if plain.cov_params()[0, 0] > 0 else regressed("bartlett")
    factor = math.sqrt((count + 1 - 2 * overlap + overlap * (overlap - 1) / count) / count)
    statistic = float(fitted.params[0] / math.sqrt(fitted.cov_params()[0, 0])) * factor
    test = compared(differences, overlap)
    assert test[0] == pytest.approx(statistic, rel=1e-6)
    assert test[1] == pytest.approx(2 * stats.t.sf(abs(statistic), count - 1), abs=1e-9)


@given(TWO, st.integers(1, 10))
def test_exchanging_the_forecasters_changes_the_sign_and_nothing_else(two: FloatArray, overlap: int) -> None:
    losses, other = two
    test, exchanged = diebold_mariano(losses, other, overlap), diebold_mariano(other, losses, overlap)
    if test is None or exchanged is None:
        assert test is exchanged
        assert len(losses) <= overlap
    else:
        assert 0 <= test[1] <= 1
        assert exchanged == (-test[0], test[1])


def test_a_difference_that_never_varies_is_certain() -> None:
    assert compared([0.0] * 10, 3) == (0.0, 1.0)
    assert compared([0.5] * 10, 3) == (math.inf, 0.0)
    assert compared([-0.5] * 10, 3) == (-math.inf, 0.0)


@pytest.mark.parametrize(("count", "overlap"), [(1, 1), (6, 7), (7, 7)])
def test_too_few_losses_for_their_overlap_are_not_compared(count: int, overlap: int) -> None:
    assert diebold_mariano(np.arange(float(count)), np.full(count, 9.5), overlap) is None


def test_overlapping_forecasts_do_not_count_as_independent() -> None:
    """Weekly forecasts of every day: two equal forecasters seem to differ by chance, unless the overlap is known.

    1000 series of 200 sums of seven independent numbers; at the level of 5 % some 50 should seem to differ.
    """
    noise = np.random.default_rng(7).standard_normal((1000, 206))
    sums = np.lib.stride_tricks.sliding_window_view(noise, 7, axis=1).sum(axis=2)  # (1000, 200)

    def rejected(overlap: int) -> int:
        return sum(compared(differences, overlap)[1] < 0.05 for differences in sums)

    assert rejected(overlap=7) < 100
    assert rejected(overlap=1) > 300
