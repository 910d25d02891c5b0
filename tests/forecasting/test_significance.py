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

from crypto_predict.baked.schema import Confidence
from crypto_predict.forecasting.significance import confidence, diebold_mariano, mean_block, resample
from crypto_predict.history.columns import FloatArray

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))  # whose squares are finite
TWO = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20).map(lambda rows: np.array(rows).T)


def compared(differences: Any, overlap: int) -> tuple[float, float]:
    """The test of losses that differ by these from a reference's."""
    test = diebold_mariano(np.array(differences, dtype=np.float64), np.zeros(len(differences)), overlap)
    assert test is not None
    return test


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


def losses_of_walks(horizon: int, count: int, walks: int) -> FloatArray:
    """Absolute moves of random walks over a horizon from consecutive cutoffs, (walks, count)."""
    steps = np.random.default_rng(horizon).standard_normal((walks, count + horizon))
    price = np.cumsum(steps, axis=1)
    return np.abs(price[:, horizon:] - price[:, :-horizon])


def holds(interval: Confidence | None, value: float) -> bool:
    return interval is not None and interval.low <= value <= interval.high


@pytest.mark.parametrize(
    ("horizon", "count", "least"), [(1, 400, 0.9), (7, 700, 0.88), (30, 1500, 0.85)], ids=["1", "7", "30"]
)
def test_the_interval_covers_the_expected_loss_of_overlapping_forecasts(horizon: int, count: int, least: float) -> None:
    """In nearly 95 % of the histories. An interval that ignores the overlap covers it far less often."""
    walks, expected = 200, math.sqrt(2 * horizon / math.pi)
    resamples, losses = resample(count, horizon), losses_of_walks(horizon, count, walks)
    covered = np.mean([holds(confidence(resamples, row), expected) for row in losses])
    assert least <= covered <= 0.99
    naive = 1.96 * losses.std(axis=1) / math.sqrt(count)
    ignorant = np.mean(np.abs(losses.mean(axis=1) - expected) <= naive)
    assert horizon == 1 or ignorant < covered - 0.15


def test_the_interval_of_a_ratio_covers_it_and_is_narrower_than_those_of_its_parts() -> None:
    """Both losses are large at the same cutoffs, which a joint resample keeps."""
    losses = losses_of_walks(7, 700, 200)
    # A half-width of 4 and one of 5 around persistence, by the Winkler score.
    ours, reference = (2 * half + 10 * np.maximum(0, losses - half) for half in (3.0, 4.0))
    normal = stats.norm(scale=math.sqrt(7))
    # Of 10 max(0, |x| - half), in closed form.
    expected = [2 * half + 20 * (7 * normal.pdf(half) - half * normal.sf(half)) for half in (3.0, 4.0)]
    resamples = resample(700, 7)
    result = [confidence(resamples, *pair) for pair in zip(ours, reference, strict=True)]
    assert None not in result
    assert 0.88 <= np.mean([holds(interval, expected[0] / expected[1]) for interval in result]) <= 0.99
    ratio, mean = confidence(resamples, ours[0], reference[0]), confidence(resamples, ours[0])
    assert ratio is not None
    assert mean is not None
    assert (ratio.high - ratio.low) < 0.5 * (mean.high - mean.low) / ours[0].mean()


def test_independent_losses_have_nearly_the_interval_of_the_textbook() -> None:
    losses = np.random.default_rng(1).standard_normal(1000)
    interval = confidence(resample(1000, 1), losses)
    assert interval is not None
    textbook = stats.norm.ppf(0.975) / math.sqrt(1000)
    assert (interval.high - interval.low) / 2 == pytest.approx(textbook, rel=0.15)
    assert (interval.low + interval.high) / 2 == pytest.approx(losses.mean())


def test_a_share_lies_between_0_and_1() -> None:
    """One miss of many is far from a Gaussian."""
    hits = np.arange(60) > 0
    interval = confidence(resample(60, 1), hits)
    assert interval is not None
    assert 0 < interval.low < 59 / 60 < interval.high == 1.0


def test_without_enough_blocks_or_any_variation_nothing_is_claimed() -> None:
    """One year of forecasts over a quarter holds fewer than three blocks; a share of 100 % has no known error."""
    losses, resamples = np.random.default_rng(4).random(365), resample(365, 7)
    assert resample(365, 90) is None
    assert confidence(None, losses) is confidence(None, losses, losses) is None
    for same in (losses >= 0, np.zeros(365)):
        assert confidence(resamples, same) is None
    for divisor in (np.zeros(365), np.full(365, np.nan)):
        assert confidence(resamples, losses, divisor) is None
    assert confidence(resamples, losses, losses) == Confidence(1.0, 1.0)


def test_blocks_are_twice_as_long_as_spans_overlap_or_the_root_of_the_number() -> None:
    assert mean_block(1000, 1) == pytest.approx(10)
    assert mean_block(1000, 30) == 60
