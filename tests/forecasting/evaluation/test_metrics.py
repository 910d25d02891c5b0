import math
from itertools import accumulate
from random import Random
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import integrate, stats
from statsmodels.stats.proportion import proportion_confint

from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.metrics import DieboldMariano, diebold_mariano, direction
from crypto_predict.forecasting.series import FloatArray

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
    """Of the squared distance between the forecast's distribution and the step at the outcome."""
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


def compared(differences: Any, overlap: int) -> DieboldMariano:
    """The test of losses that differ by these from a reference's."""
    test = diebold_mariano(np.array(differences, dtype=np.float64), np.zeros(len(differences)), overlap)
    assert test is not None
    return test


def test_diebold_marianos_statistic_is_the_one_computed_by_hand() -> None:
    """Mean 5/2, autocovariances 5/4 and 5/16, factor sqrt(3/8): the square root of 5, and t with 3 degrees."""
    test = diebold_mariano(of(2, 4, 6, 8), of(1, 2, 3, 4), 2)
    angle = math.atan(math.sqrt(5 / 3))
    p_value = 1 - 2 / math.pi * (angle + math.sqrt(15) / 8)
    assert test is not None
    assert (test.statistic, test.p_value) == pytest.approx((math.sqrt(5), p_value))


def test_bartletts_weights_apply_where_the_plain_variance_is_negative() -> None:
    """Autocovariances 1 and -3/4: plainly -1/2, weighted 1/4; so 4 standard deviations, times the factor."""
    assert compared((2, 0, 2, 0), 2).statistic == pytest.approx(4 * math.sqrt(3 / 8))


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
    assert test.statistic == pytest.approx(statistic, rel=1e-6)
    assert test.p_value == pytest.approx(2 * stats.t.sf(abs(statistic), count - 1), abs=1e-9)


@given(st.lists(st.floats(-10, 10).map(lambda value: round(value, 3)), min_size=2, max_size=40))
def test_without_overlap_diebold_mariano_is_the_paired_t_test(differences: list[float]) -> None:
    assume(np.std(differences) > 1e-6)
    expected = stats.ttest_1samp(differences, 0.0)
    test = compared(differences, 1)
    assert test.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert test.p_value == pytest.approx(expected.pvalue, abs=1e-11)


@given(TWO, st.integers(1, 10))
def test_exchanging_the_forecasters_changes_the_sign_and_nothing_else(two: FloatArray, overlap: int) -> None:
    one, other = two
    test, exchanged = diebold_mariano(one, other, overlap), diebold_mariano(other, one, overlap)
    if test is None or exchanged is None:
        assert test is exchanged
        assert len(one) <= overlap
    else:
        assert 0 <= test.p_value <= 1
        assert (exchanged.statistic, exchanged.p_value) == (-test.statistic, test.p_value)


@given(st.lists(NUMBERS, min_size=3, max_size=20).map(np.array), st.integers(1, 2))
def test_a_forecaster_is_as_good_as_itself(losses: FloatArray, overlap: int) -> None:
    assert diebold_mariano(losses, losses, overlap) == DieboldMariano(0.0, 1.0)


def test_a_difference_that_never_varies_is_certain() -> None:
    assert compared([0.5] * 10, 3) == DieboldMariano(math.inf, 0.0)
    assert compared([-0.5] * 10, 3) == DieboldMariano(-math.inf, 0.0)


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
        return sum(compared(one, overlap).p_value < 0.05 for one in sums)

    assert rejected(overlap=7) < 100
    assert rejected(overlap=1) > 300
