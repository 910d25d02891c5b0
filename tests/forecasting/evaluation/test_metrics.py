import math
from collections.abc import Callable
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
from crypto_predict.forecasting.evaluation.metrics import DieboldMariano, diebold_mariano, direction, wilson_interval

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))  # whose squares are numbers too
LEVELS = st.floats(0.01, 0.99)
SOME = st.lists(NUMBERS, min_size=1, max_size=20)
TWO = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20).map(lambda rows: list(zip(*rows, strict=True)))
INTERVALS = st.lists(
    st.tuples(NUMBERS, NUMBERS, NUMBERS).map(lambda row: (row[0], min(row[1:]), max(row[1:]))), min_size=1, max_size=20
).map(lambda rows: list(zip(*rows, strict=True)))

ACTUAL, PREDICTED = (100.0, 200.0, 400.0), (110.0, 190.0, 400.0)
HISTORY = (1.0, 3.0, 2.0, 6.0)  # steps of 2, -1 and 4


@pytest.mark.parametrize(
    ("figure", "by_hand"),
    [
        (metrics.mae(ACTUAL, PREDICTED), 20 / 3),
        (metrics.rmse(ACTUAL, PREDICTED), math.sqrt(200 / 3)),
        (metrics.mape(ACTUAL, PREDICTED), (0.1 + 0.05) / 3),
        (metrics.mape((-2.0,), (-1.0,)), 0.5),
        (metrics.naive_scale(HISTORY), 7 / 3),
        (metrics.naive_square_scale(HISTORY), 7.0),
        (metrics.mase(ACTUAL, PREDICTED, 7 / 3), 20 / 7),
        (metrics.rmsse(ACTUAL, PREDICTED, 7.0), math.sqrt(200 / 21)),
        (metrics.skill(0.8, 1.0), 0.2),
        (metrics.skill(3.0, 2.0), -0.5),
        (metrics.pinball((10.0, 10.0, 10.0), (8.0, 12.0, 10.0), 0.9), (0.9 * 2 + 0.1 * 2) / 3),
        (metrics.winkler((5.0, 3.0, 9.0), (4.0,) * 3, (7.0,) * 3, 0.8), (3 + (3 + 10 * 1) + (3 + 10 * 2)) / 3),
        (metrics.crps_gaussian((0.0,), (0.0,), (1.0,)), (math.sqrt(2) - 1) / math.sqrt(math.pi)),
        (metrics.crps_gaussian((5.0, 7.0), (3.0, 8.0), (0.0, 0.0)), 1.5),
    ],
)
def test_each_formula_gives_what_was_worked_out_by_hand(figure: float, by_hand: float) -> None:
    assert figure == pytest.approx(by_hand, rel=1e-14)


def test_an_outcome_at_either_end_is_inside_the_interval() -> None:
    assert metrics.coverage((4.0, 7.0, 3.9999, 7.0001), (4.0,) * 4, (7.0,) * 4) == 0.5


@given(TWO)
def test_errors_are_those_of_numpy_and_the_root_of_squares_is_never_the_smaller(two: list[tuple[float, ...]]) -> None:
    actual, predicted = two
    errors = np.subtract(actual, predicted)
    mae, rmse = metrics.mae(actual, predicted), metrics.rmse(actual, predicted)
    assert mae == pytest.approx(float(np.abs(errors).mean()), rel=1e-9)
    assert rmse == pytest.approx(float(np.sqrt((errors**2).mean())), rel=1e-9)
    assert rmse >= mae * (1 - 1e-12)
    assert metrics.mae(predicted, actual) == mae


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=20, unique=True))
def test_persistence_has_a_scaled_error_of_1_on_the_history_that_gave_the_scale(values: list[int]) -> None:
    """That is what the scale is for: below 1 beats "the next value equals this one"."""
    history = [float(value) for value in values]
    actual, predicted = history[1:], history[:-1]
    assert metrics.mase(actual, predicted, metrics.naive_scale(history)) == pytest.approx(1)
    assert metrics.rmsse(actual, predicted, metrics.naive_square_scale(history)) == pytest.approx(1)


@given(SOME, LEVELS, NUMBERS)
def test_the_pinball_loss_is_least_at_the_quantile(values: list[float], level: float, other: float) -> None:
    """Koenker and Bassett: this is what makes it the measure of a quantile forecast."""
    quantile = sorted(values)[math.ceil(len(values) * level) - 1]

    def loss(candidate: float) -> float:
        return metrics.pinball(values, [candidate] * len(values), level)

    assert loss(quantile) <= loss(other) + 1e-9 * (1 + abs(loss(other)))


@given(INTERVALS, LEVELS)
def test_the_winkler_score_is_the_two_pinball_losses_of_its_ends(
    rows: list[tuple[float, ...]], coverage: float
) -> None:
    """Gneiting and Raftery, section 6.2: an interval is two quantiles."""
    (actual, low, high), tail = rows, (1 - coverage) / 2
    pinballs = metrics.pinball(actual, low, tail) + metrics.pinball(actual, high, 1 - tail)
    assert metrics.winkler(actual, low, high, coverage) == pytest.approx(pinballs / tail, rel=1e-6, abs=1e-6)


@given(INTERVALS, LEVELS)
def test_the_winkler_score_is_the_width_where_nothing_missed_and_more_otherwise(
    rows: list[tuple[float, ...]], coverage: float
) -> None:
    actual, low, high = rows
    width = float(np.subtract(high, low).mean())
    score, inside = metrics.winkler(actual, low, high, coverage), metrics.coverage(actual, low, high)
    assert 0 <= inside <= 1
    assert score >= width or score == pytest.approx(width, rel=1e-12)
    if inside == 1:
        assert score == pytest.approx(width, rel=1e-9)


@given(SOME, st.floats(-3, 3), st.floats(0.1, 10))
def test_shifting_or_scaling_everything_does_the_same_to_the_crps(
    values: list[float], shift: float, factor: float
) -> None:
    count = len(values)
    plain = metrics.crps_gaussian(values, [0.0] * count, [2.0] * count)
    moved = metrics.crps_gaussian([value * factor + shift for value in values], [shift] * count, [2.0 * factor] * count)
    assert moved == pytest.approx(factor * plain, rel=1e-6)


@pytest.mark.parametrize(("actual", "mean", "sigma"), [(0.3, 0.0, 1.0), (-2.0, 1.0, 0.5), (7.0, 1.0, 3.0)])
def test_the_crps_is_the_integral_that_defines_it(actual: float, mean: float, sigma: float) -> None:
    """Of the squared distance between the forecast's distribution and the step at the outcome."""
    normal = stats.norm(mean, sigma)
    below, _ = integrate.quad(lambda x: normal.cdf(x) ** 2, mean - 15 * sigma, actual)
    above, _ = integrate.quad(lambda x: normal.sf(x) ** 2, actual, mean + 15 * sigma)
    assert metrics.gaussian_score(actual, mean, sigma) == pytest.approx(below + above, rel=1e-7)


@given(NUMBERS, NUMBERS, st.floats(0, 1e6))
@example(1.0, 0.0, 5e-324)
def test_a_density_scores_what_its_median_misses_by_up_to_its_spread(actual: float, mean: float, sigma: float) -> None:
    """So that its scores compare with absolute errors, which is what they are where there is no spread at all."""
    score, error = metrics.gaussian_score(actual, mean, sigma), abs(actual - mean)
    assert max(0, error - sigma) - 1e-9 <= score <= error + sigma / 4 + 1e-9
    assert metrics.gaussian_score(actual, mean, 0.0) == error


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998."""
    share = wilson_interval(successes, trials)
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


COUNTS = st.integers(1, 5000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@given(COUNTS, st.floats(0.5, 0.999))
@example((0, 3), 0.95)
@example((3, 3), 0.95)
def test_the_interval_of_a_share_encloses_it_between_0_and_1(counts: tuple[int, int], confidence: float) -> None:
    successes, trials = counts
    share = wilson_interval(successes, trials, confidence)
    assert 0 <= share.low <= share.share <= share.high <= 1
    assert (share.share, share.trials) == (successes / trials, trials)
    expected = proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
    assert (share.low, share.high) == pytest.approx(expected, abs=1e-12)


def test_direction_is_judged_where_both_moved() -> None:
    """Persistence forecasts no move at all, and a price that stood still went no way."""
    judged = direction((1.0, -1.0, 0.0, 2.0, -3.0, 1.0), (0.1, 0.2, 0.3, 0.0, -9.0, 0.001))
    assert judged == wilson_interval(3, 4)
    assert judged is not None
    assert (judged.share, judged.trials) == (0.75, 4)
    assert direction((1.0, 0.0), (0.0, 1.0)) is None


def compared(differences: Any, overlap: int) -> DieboldMariano:
    """The test of losses that differ by these from a reference's."""
    test = diebold_mariano(list(map(float, differences)), [0.0] * len(differences), overlap)
    assert test is not None
    return test


def test_diebold_marianos_statistic_is_what_was_worked_out_by_hand() -> None:
    """Mean 5/2, autocovariances 5/4 and 5/16, factor sqrt(3/8): the square root of 5, and t with 3 degrees."""
    test = diebold_mariano((2.0, 4.0, 6.0, 8.0), (1.0, 2.0, 3.0, 4.0), 2)
    angle = math.atan(math.sqrt(5 / 3))
    p_value = 1 - 2 / math.pi * (angle + math.sqrt(15) / 8)
    assert test is not None
    assert (test.statistic, test.p_value) == pytest.approx((math.sqrt(5), p_value))


def test_where_the_plain_variance_is_negative_bartletts_weights_take_over() -> None:
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
def test_exchanging_the_forecasters_turns_the_sign_and_nothing_else(two: list[tuple[float, ...]], overlap: int) -> None:
    one, other = two
    test, exchanged = diebold_mariano(one, other, overlap), diebold_mariano(other, one, overlap)
    if test is None or exchanged is None:
        assert test is exchanged
        assert len(one) <= overlap
    else:
        assert 0 <= test.p_value <= 1
        assert (exchanged.statistic, exchanged.p_value) == (-test.statistic, test.p_value)


@given(st.lists(NUMBERS, min_size=3, max_size=20), st.integers(1, 2))
def test_a_forecaster_is_as_good_as_itself(losses: list[float], overlap: int) -> None:
    assert diebold_mariano(losses, losses, overlap) == DieboldMariano(0.0, 1.0)


def test_a_difference_that_never_varies_is_no_accident() -> None:
    assert compared([0.5] * 10, 3) == DieboldMariano(math.inf, 0.0)
    assert compared([-0.5] * 10, 3) == DieboldMariano(-math.inf, 0.0)


def test_what_is_next_to_impossible_is_no_less_likely_than_0() -> None:
    """Where all of the distribution but 1e-30 lies within, rounding may say a little more than all of it."""
    for count in range(3, 300):
        differences = [1 + 0.3 * (number % 3) for number in range(count)]
        assert 0 <= compared(differences, 1).p_value < 0.1


@pytest.mark.parametrize(("count", "overlap"), [(1, 1), (6, 7), (7, 7)])
def test_too_few_losses_for_their_overlap_are_not_compared(count: int, overlap: int) -> None:
    losses = [float(number) for number in range(count)]
    assert diebold_mariano(losses, [9.5] * count, overlap) is None


def test_forecasts_that_share_their_days_are_not_taken_for_independent_ones() -> None:
    """Weekly forecasts of every day: two equal forecasters are told apart by chance, unless the overlap is allowed for.

    1000 series of 200 sums of seven independent numbers; at the level of 5 % some 50 should seem to differ.
    """
    random = Random(7)

    def rejected(overlap: int) -> int:
        count = 0
        for _ in range(1000):
            noise = [random.gauss(0, 1) for _ in range(206)]
            count += compared([sum(noise[day : day + 7]) for day in range(200)], overlap).p_value < 0.05
        return count

    assert rejected(overlap=7) < 100
    assert rejected(overlap=1) > 300


PAIR = {"actual": (1.0, 2.0), "predicted": (1.0, 2.0)}
BOUNDS = {"actual": (1.0, 2.0), "low": (0.0, 0.0), "high": (3.0, 3.0)}
LOSSES = {"losses": (1.0, 2.0), "reference_losses": (1.0, 2.0), "overlap": 1}
MOVES = {"actual_moves": (1.0, 2.0), "predicted_moves": (1.0, 2.0)}
PARALLEL: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    *((function, PAIR) for function in (metrics.mae, metrics.rmse, metrics.mape)),
    *((function, {**PAIR, "scale": 1.0}) for function in (metrics.mase, metrics.rmsse)),
    (metrics.pinball, {"actual": (1.0, 2.0), "quantile": (1.0, 2.0), "level": 0.5}),
    (metrics.coverage, BOUNDS),
    (metrics.winkler, {**BOUNDS, "coverage": 0.8}),
    (metrics.crps_gaussian, {"actual": (1.0, 2.0), "mean": (1.0, 2.0), "sigma": (1.0, 1.0)}),
    (direction, MOVES),
    (diebold_mariano, LOSSES),
]
HISTORIES: list[Callable[..., Any]] = [metrics.naive_scale, metrics.naive_square_scale]


@pytest.mark.parametrize(("function", "arguments"), PARALLEL)
def test_sequences_that_do_not_belong_together_are_refused_by_name(
    function: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    """A figure of misaligned forecasts would look like any other."""
    assert function(**arguments) is not None
    names = [name for name, value in arguments.items() if isinstance(value, tuple)]
    for name in names:
        with pytest.raises(ValueError, match=f"^sequences of different lengths: .*\\b3 {name}\\b"):
            function(**{**arguments, name: (1.0, 2.0, 3.0)})
        with pytest.raises(ValueError, match=f"^{name}\\[1\\] is nan, which is no finite number$"):
            function(**{**arguments, name: (1.0, math.nan)})
    with pytest.raises(ValueError, match=f"^nothing to measure: {' and '.join(names)} empty$"):
        function(**{**arguments, **dict.fromkeys(names, ())})


@pytest.mark.parametrize("function", HISTORIES)
def test_a_history_without_a_step_has_no_scale(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"^history holds a single value, and a step needs two$"):
        function((1.0,))
    with pytest.raises(ValueError, match=r"^nothing to measure: history empty$"):
        function(())
    with pytest.raises(ValueError, match=r"^history\[2\] is inf, which is no finite number$"):
        function((1.0, 2.0, math.inf))


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (metrics.mape, ((1.0, 0.0), (1.0, 1.0)), "actual holds 0, of which no error is a share"),
        (metrics.mase, ((1.0,), (1.0,), 0.0), "scale must be positive, not 0.0"),
        (metrics.rmsse, ((1.0,), (1.0,), math.nan), "scale must be positive, not nan"),
        (metrics.skill, (1.0, 0.0), "reference_error must be positive, not 0.0"),
        (metrics.quantile_loss, (1.0, 1.0, 1.0), "level must lie between 0 and 1, not 1.0"),
        (metrics.quantile_loss, (1.0, 2.0, -0.1), "level must lie between 0 and 1, not -0.1"),
        (metrics.interval_score, (1.0, 0.0, 2.0, 80), "coverage must lie between 0 and 1, not 80"),
        (metrics.interval_score, (1.0, 2.0, 0.0, 0.8), "low 2.0 lies above high 0.0"),
        (metrics.gaussian_score, (1.0, 2.0, -1.0), "sigma must be zero or positive, not -1.0"),
        (wilson_interval, (0, 0), "0 successes of 0 trials are no share"),
        (wilson_interval, (4, 3), "4 successes of 3 trials are no share"),
        (wilson_interval, (-1, 3), "-1 successes of 3 trials are no share"),
        (wilson_interval, (1, 3, 95), "confidence must lie between 0 and 1, not 95"),
        (diebold_mariano, ((1.0,), (1.0,), 0), "overlap must be at least 1, not 0"),
    ],
)
def test_what_a_formula_is_not_made_for_is_refused_in_words(
    function: Callable[..., Any], arguments: tuple[Any, ...], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"^{expected}$"):
        function(*arguments)
