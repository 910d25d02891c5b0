import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from statsmodels.stats.proportion import proportion_confint

from crypto_predict.baked.distribution import Distribution
from crypto_predict.forecasting.distribution.quantiles import interval_score, quantile_loss
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.metrics import direction
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))  # whose squares are finite
SHARES = st.floats(0.01, 0.99)
SOME = st.lists(NUMBERS, min_size=1, max_size=20).map(np.array)
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
        (quantile_loss(of(10, 10, 10), of(8, 12, 10), 0.9), [0.9 * 2, 0.1 * 2, 0.0]),
        (interval_score(of(5, 3, 9), of(4, 4, 4), of(7, 7, 7), 0.8), [3, 3 + 10 * 1, 3 + 10 * 2]),
        (metrics.crps_gaussian(of(0), of(0), of(1)), [(math.sqrt(2) - 1) / math.sqrt(math.pi)]),
        (metrics.crps_gaussian(of(5, 7), of(3, 8), of(0, 0)), [2, 1]),
    ],
)
def test_each_formula_gives_the_value_computed_by_hand(figure: Any, by_hand: Any) -> None:
    assert figure == pytest.approx(by_hand, rel=1e-14, abs=1e-15)


@given(SOME, SHARES, NUMBERS)
def test_the_pinball_loss_is_least_at_the_quantile(values: FloatArray, level: float, other: float) -> None:
    """Koenker and Bassett: this makes it the measure of a quantile forecast."""
    quantile = sorted(values)[math.ceil(len(values) * level) - 1]

    def loss(candidate: float) -> float:
        return float(quantile_loss(values, np.full(len(values), candidate), level).mean())

    assert loss(quantile) <= loss(other) + 1e-9 * (1 + abs(loss(other)))


@given(INTERVALS, SHARES)
def test_the_winkler_score_is_the_sum_of_the_pinball_losses_of_both_ends(rows: FloatArray, coverage: float) -> None:
    """Gneiting and Raftery, section 6.2: an interval is two quantiles."""
    (actual, low, high), tail = rows, (1 - coverage) / 2
    pinballs = quantile_loss(actual, low, tail) + quantile_loss(actual, high, 1 - tail)
    score = interval_score(actual, low, high, coverage)
    assert score == pytest.approx(pinballs / tail, rel=1e-6, abs=1e-6)


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


SEVEN = np.array(LEVELS)
ROWS = st.lists(st.floats(-100, 100).map(lambda value: round(value, 3)), min_size=7, max_size=7).map(sorted)


def gaussian(levels: FloatArray, mean: float = 0.0, sigma: float = 1.0, rows: int = 1) -> FloatArray:
    """Quantiles of a Gaussian at these levels, (rows, k)."""
    return np.tile(mean + sigma * special.ndtri(levels), (rows, 1))


def crps(actual: float, quantiles: Any, levels: FloatArray = SEVEN) -> float:
    """The score of one outcome."""
    return float(metrics.crps_quantiles(of(actual), np.array([quantiles]), levels)[0])


def pit(actual: float, quantiles: Any) -> float:
    """The probability that the distribution gives to this outcome and those below."""
    return float(metrics.pit(of(actual), np.array([quantiles]), SEVEN)[0])


def test_the_mean_crps_of_our_levels_compares_with_the_closed_one_to_a_ten_thousandth() -> None:
    """So a ratio of the two says something about the forecasts, not about the formulas."""
    actual = special.ndtri((np.arange(4000) + 0.5) / 4000)  # outcomes of a calibrated Gaussian
    result = metrics.crps_quantiles(actual, gaussian(SEVEN, rows=4000), SEVEN).mean()
    closed = metrics.crps_gaussian(actual, np.zeros(4000), np.ones(4000)).mean()
    assert result == pytest.approx(closed, rel=1e-4)


@settings(max_examples=20)
@given(ROWS, st.floats(-130, 130))
@example([0.0] * 7, 3.0)
@example([-1.0, -1.0, 0.0, 0.0, 0.0, 2.0, 2.0], 0.0)
def test_the_crps_of_quantiles_is_twice_the_integral_of_the_pinball_loss(row: list[float], actual: float) -> None:
    """Of all levels of the distribution that the served model evaluates."""
    served = Distribution(LEVELS, tuple(row))

    def loss(level: float) -> float:
        return float(quantile_loss(of(actual), of(math.log(served.quantile(level))), level)[0])

    corners = [0.0, *sorted({*LEVELS, served.below(math.exp(actual))}), 1.0]
    integral = 2 * sum(integrate.quad(loss, *ends)[0] for ends in pairwise(corners))
    assert crps(actual, row) == pytest.approx(integral, rel=1e-5, abs=1e-6)


@given(ROWS, st.floats(-130, 130))
@example([0.0] * 7, 0.0)
def test_pit_values_are_the_probabilities_that_are_served(row: list[float], actual: float) -> None:
    """By the same interpolation; where quantiles are equal the value lies inside the jump."""
    served, step = Distribution(LEVELS, tuple(row)), 1e-9
    before, after = served.below(math.exp(actual - step)), served.below(math.exp(actual + step))
    assert before - 1e-6 <= pit(actual, row) <= after + 1e-6


@given(NUMBERS, NUMBERS)
def test_a_distribution_without_width_has_the_absolute_error_as_crps(actual: float, price: float) -> None:
    """A stablecoin's quantiles are all the same."""
    assert crps(actual, [price] * 7) == pytest.approx(abs(actual - price), rel=1e-12)
    assert pit(actual, [price] * 7) == pytest.approx(0.5 if actual == price else float(actual > price))


def test_a_calibrated_distribution_has_a_flat_histogram_and_a_narrow_one_is_found_out() -> None:
    """An interval that is a third too narrow leaves too many outcomes in the outer tenths."""
    actual = np.random.default_rng(0).standard_normal(1000)
    values = metrics.pit(actual, gaussian(SEVEN, rows=1000), SEVEN)
    assert metrics.pit_histogram(values) == pytest.approx([0.1] * 10, abs=0.03)
    assert sum(metrics.pit_histogram(values)) == pytest.approx(1)
    assert (metrics.uniformity(values) or 0) > 0.05
    narrow = metrics.pit(actual, gaussian(SEVEN, sigma=2 / 3, rows=1000), SEVEN)
    assert metrics.pit_histogram(narrow)[[0, -1]] == pytest.approx([0.2] * 2, abs=0.04)
    assert (metrics.uniformity(narrow) or 1) < 1e-6


def test_the_test_of_uniformity_is_the_textbook_one_and_rejects_one_in_twenty() -> None:
    """At its 5 % level, of samples as small as those of a horizon of a quarter."""
    counts = np.array([12, 8, 10, 9, 11, 10, 14, 6, 10, 10])
    values = np.repeat(np.arange(10) / 10 + 0.05, counts)
    assert metrics.uniformity(values) == pytest.approx(stats.chi2.sf(np.sum((counts - 10) ** 2) / 10, 9))
    random = np.random.default_rng(0)
    p_values = [metrics.uniformity(random.random(20)) or 0.0 for _ in range(1000)]
    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07
    assert metrics.uniformity(random.random(9)) is None


COUNTS = st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@given(COUNTS)
@example((0, 3))
@example((3, 3))
def test_the_interval_of_a_share_encloses_it_between_0_and_1(counts: tuple[int, int]) -> None:
    right, trials = counts
    interval = direction(np.ones(trials), np.where(np.arange(trials) < right, 0.1, -0.1))
    assert interval is not None
    share, low, high = interval
    assert 0 <= low <= share <= high <= 1
    assert share == right / trials
    assert (low, high) == pytest.approx(proportion_confint(right, trials, method="wilson"), abs=1e-12)


def test_direction_is_judged_where_both_moved() -> None:
    """Persistence forecasts no move, and a price that stood still has no direction."""
    judged = direction(of(1, -1, 0, 2, -3, 1), of(0.1, 0.2, 0.3, 0.0, -9.0, 0.001))
    assert judged is not None
    assert judged[0] == 0.75
    assert direction(of(1, 0), of(0, 1)) is None
