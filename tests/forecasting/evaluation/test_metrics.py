import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import integrate, stats
from statsmodels.stats.proportion import proportion_confint

from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.metrics import direction
from crypto_predict.history.columns import FloatArray

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))  # whose squares are finite
LEVELS = st.floats(0.01, 0.99)
SOME = st.lists(NUMBERS, min_size=1, max_size=20).map(np.array)
TWO = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20).map(lambda rows: np.array(rows).T)
INTERVALS = st.lists(
    st.tuples(NUMBERS, NUMBERS, NUMBERS).map(lambda row: (row[0], min(row[1:]), max(row[1:]))), min_size=1, max_size=20
).map(lambda rows: np.array(rows).T)

ACTUAL, PREDICTED = np.array([100.0, 200.0, 400.0]), np.array([110.0, 190.0, 400.0])


def of(*values: float) -> FloatArray:
    return np.array(values)


@pytest.mark.parametrize(
    ("figure", "by_hand"),
    [
        (metrics.mae(ACTUAL, PREDICTED), 20 / 3),
        (metrics.rmse(ACTUAL, PREDICTED), math.sqrt(200 / 3)),
        (metrics.mape(ACTUAL, PREDICTED), (0.1 + 0.05) / 3),
        (metrics.mape(of(-2.0), of(-1.0)), 0.5),
        (metrics.quantile_loss(of(10, 10, 10), of(8, 12, 10), 0.9), [0.9 * 2, 0.1 * 2, 0.0]),
        (metrics.interval_score(of(5, 3, 9), of(4, 4, 4), of(7, 7, 7), 0.8), [3, 3 + 10 * 1, 3 + 10 * 2]),
        (metrics.crps_gaussian(of(0), of(0), of(1)), [(math.sqrt(2) - 1) / math.sqrt(math.pi)]),
        (metrics.crps_gaussian(of(5, 7), of(3, 8), of(0, 0)), [2, 1]),
    ],
)
def test_each_formula_gives_the_value_computed_by_hand(figure: Any, by_hand: Any) -> None:
    assert figure == pytest.approx(by_hand, rel=1e-14, abs=1e-15)


@given(TWO)
def test_the_root_of_mean_squares_is_never_smaller_than_the_mean_error(two: FloatArray) -> None:
    actual, predicted = two
    assert metrics.rmse(actual, predicted) >= metrics.mae(actual, predicted) * (1 - 1e-12)
    assert metrics.mae(predicted, actual) == metrics.mae(actual, predicted)


@given(SOME, LEVELS, NUMBERS)
def test_the_pinball_loss_is_least_at_the_quantile(values: FloatArray, level: float, other: float) -> None:
    """Koenker and Bassett: this makes it the measure of a quantile forecast."""
    quantile = sorted(values)[math.ceil(len(values) * level) - 1]

    def loss(candidate: float) -> float:
        return float(metrics.quantile_loss(values, np.full(len(values), candidate), level).mean())

    assert loss(quantile) <= loss(other) + 1e-9 * (1 + abs(loss(other)))


@given(INTERVALS, LEVELS)
def test_the_winkler_score_is_the_sum_of_the_pinball_losses_of_both_ends(rows: FloatArray, coverage: float) -> None:
    """Gneiting and Raftery, section 6.2: an interval is two quantiles."""
    (actual, low, high), tail = rows, (1 - coverage) / 2
    pinballs = metrics.quantile_loss(actual, low, tail) + metrics.quantile_loss(actual, high, 1 - tail)
    score = metrics.interval_score(actual, low, high, coverage)
    assert score == pytest.approx(pinballs / tail, rel=1e-6, abs=1e-6)


@given(INTERVALS, LEVELS)
def test_the_winkler_score_is_the_width_of_an_interval_that_holds_its_outcome_and_more_otherwise(
    rows: FloatArray, coverage: float
) -> None:
    actual, low, high = rows
    score, inside = metrics.interval_score(actual, low, high, coverage), (low <= actual) & (actual <= high)
    assert np.array_equal(score[inside], (high - low)[inside])
    assert np.all(score >= high - low)


@given(SOME, st.floats(-3, 3), st.floats(0.1, 10))
def test_the_crps_shifts_and_scales_with_the_values(values: FloatArray, shift: float, factor: float) -> None:
    zero, two = np.zeros(len(values)), np.full(len(values), 2.0)
    plain = metrics.crps_gaussian(values, zero, two)
    moved = metrics.crps_gaussian(values * factor + shift, zero + shift, two * factor)
    assert moved == pytest.approx(factor * plain, rel=1e-6)


@pytest.mark.parametrize(("actual", "mean", "sigma"), [(0.3, 0.0, 1.0), (-2.0, 1.0, 0.5), (7.0, 1.0, 3.0)])
def test_the_crps_is_the_integral_that_defines_it(actual: float, mean: float, sigma: float) -> None:
    """It integrates the squared distance between the forecast's distribution and the step at the outcome."""
    normal = stats.norm(mean, sigma)
    below, _ = integrate.quad(lambda x: normal.cdf(x) ** 2, mean - 15 * sigma, actual)
    above, _ = integrate.quad(lambda x: normal.sf(x) ** 2, actual, mean + 15 * sigma)
    assert metrics.crps_gaussian(of(actual), of(mean), of(sigma)) == pytest.approx(below + above, rel=1e-7)


@given(NUMBERS, NUMBERS, st.floats(0, 1e6))
@example(1.0, 0.0, 5e-324)
def test_the_crps_is_the_absolute_error_up_to_the_spread(actual: float, mean: float, sigma: float) -> None:
    """Its scores compare with absolute errors, which they are where the spread is zero."""
    score, error = metrics.crps_gaussian(of(actual), of(mean), of(sigma))[0], abs(actual - mean)
    assert max(0, error - sigma) - 1e-9 <= score <= error + sigma / 4 + 1e-9
    assert metrics.crps_gaussian(of(actual), of(mean), of(0.0)) == error


@pytest.mark.parametrize(
    ("right", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_the_published_one(right: int, trials: int, low: float, high: float) -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998."""
    share = direction(np.ones(trials), np.where(np.arange(trials) < right, 0.1, -0.1))
    assert share is not None
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


COUNTS = st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@given(COUNTS)
@example((0, 3))
@example((3, 3))
def test_the_interval_of_a_share_encloses_it_between_0_and_1(counts: tuple[int, int]) -> None:
    right, trials = counts
    share = direction(np.ones(trials), np.where(np.arange(trials) < right, 0.1, -0.1))
    assert share is not None
    assert 0 <= share.low <= share.share <= share.high <= 1
    assert share.share == right / trials
    assert (share.low, share.high) == pytest.approx(proportion_confint(right, trials, method="wilson"), abs=1e-12)


def test_direction_is_judged_where_both_moved() -> None:
    """Persistence forecasts no move, and a price that stood still has no direction."""
    judged = direction(of(1, -1, 0, 2, -3, 1), of(0.1, 0.2, 0.3, 0.0, -9.0, 0.001))
    assert judged is not None
    assert judged.share == 0.75
    assert direction(of(1, 0), of(0, 1)) is None
