"""The scale of the next move, fitted to the moves of the past, and what it depends on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.distribution.scale import Averages, fit_scale, garman_klass, parkinson
from crypto_predict.history.columns import FloatArray

HALF_LIVES = (1.0, 5.0, 500.0)
COEFFICIENTS = np.array([-3.0, 0.7, -0.2])
WEAK, STRONG = np.full(3, 1e-6), np.full(3, 1e9)


def market(seed: int, count: int) -> tuple[FloatArray, FloatArray]:
    """Features with a constant, and moves whose expected size follows them with `COEFFICIENTS`."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([np.ones(count), rng.standard_normal((count, 2))])
    return features, np.exp(features @ COEFFICIENTS) * rng.laplace(size=count)


def test_the_coefficients_that_made_the_moves_are_found() -> None:
    features, moves = market(1, 20_000)
    assert fit_scale(features, moves, np.zeros(3), WEAK) == pytest.approx(COEFFICIENTS, abs=0.03)


def test_moves_of_another_distribution_give_their_expected_size() -> None:
    """Only the constant moves: the mean size of a Gaussian move is sqrt(2 / pi) standard deviations."""
    features, _ = market(2, 20_000)
    moves = np.exp(features @ COEFFICIENTS) * np.random.default_rng(3).standard_normal(20_000)
    expected = COEFFICIENTS + np.array([0.5 * np.log(2 / np.pi), 0, 0])
    assert fit_scale(features, moves, np.zeros(3), WEAK) == pytest.approx(expected, abs=0.03)


def test_only_the_size_of_a_move_counts() -> None:
    features, moves = market(4, 100)
    ours, theirs = (fit_scale(features, signed, COEFFICIENTS, WEAK) for signed in (moves, -moves))
    assert ours.tobytes() == theirs.tobytes()


def test_without_moves_or_with_a_strong_prior_the_prior_is_returned() -> None:
    features, moves = market(5, 100)
    prior = np.array([1.0, 2.0, 3.0])
    assert fit_scale(features[:0], moves[:0], prior, WEAK).tolist() == prior.tolist()
    assert fit_scale(features, moves, prior, STRONG) == pytest.approx(prior, abs=1e-4)


def test_the_prior_counts_as_that_many_moves() -> None:
    """With a constant alone, as many moves lead half of the way in log scale, if the way is short."""
    moves, prior = np.full(50, 1.02), np.zeros(1)
    result = fit_scale(np.ones((50, 1)), moves, prior, np.array([50.0]))
    assert result[0] == pytest.approx(0.5 * np.log(1.02), rel=0.02)


@given(seed=st.integers(0, 1000), away=st.floats(-20, 20), count=st.integers(1, 60))
def test_the_minimum_is_the_same_from_any_start(seed: int, away: float, count: int) -> None:
    """Few moves, and a start from which a plain Newton step would overflow."""
    features, moves = market(seed, count)
    prior, strength = np.array([-3.0, 0.5, 0.0]), np.ones(3)
    near = fit_scale(features, moves, prior, strength)
    far = fit_scale(features, moves, prior, strength, start=prior + away)
    assert far == pytest.approx(near, abs=1e-4)


@pytest.mark.parametrize("size", [1e-12, 1.0, 40.0])
def test_moves_of_any_one_size_give_numbers(size: float) -> None:
    """A frozen price with a floor, and a price that is broken by a factor of 1e17."""
    features, _ = market(6, 200)
    result = fit_scale(features, np.full(200, size), np.array([-3.0, 0.5, 0.0]), np.ones(3))
    assert np.isfinite(result).all()
    assert np.median(np.exp(features @ result)) == pytest.approx(size, rel=0.2)


def test_one_move_that_is_a_hundred_times_too_large_does_not_set_the_scale() -> None:
    features, moves = market(7, 2000)
    broken = moves.copy()
    broken[1000] *= 100
    before, after = (fit_scale(features, array, np.zeros(3), WEAK) for array in (moves, broken))
    assert np.exp(after[0] - before[0]) < 1.2


def candles(seed: int, count: int, steps: int = 500) -> tuple[FloatArray, ...]:
    """Log open, high, low, close and previous close of a random walk whose variance is 1 a candle."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.standard_normal(count * steps)) / steps**0.5
    rows = path.reshape(count, steps)
    closes, previous = rows[:, -1], np.concatenate([[0.0], rows[:-1, -1]])
    return previous, np.maximum(rows.max(axis=1), previous), np.minimum(rows.min(axis=1), previous), closes, previous


def test_both_ranges_are_the_variance_of_a_random_walk_and_more_precise_than_squared_returns() -> None:
    opens, highs, lows, closes, previous = candles(1, 3000)
    returns = (closes - previous) ** 2
    for variances, precision in (
        (garman_klass(opens, highs, lows, closes, previous), 5),
        (parkinson(highs, lows, previous), 3),
    ):
        assert variances.mean() == pytest.approx(1, abs=0.1)  # seen at 500 instants only, a range is a little too small
        assert variances.var() < returns.var() / precision


def test_the_gap_between_two_candles_counts_and_a_frozen_price_has_no_variance() -> None:
    """A price that jumps while nothing trades has moved."""
    price, before = np.array([1.0, 1.0]), np.array([0.5, 1.0])
    assert garman_klass(price, price, price, price, before) == pytest.approx([0.25, 0])
    assert parkinson(price, price, before) == pytest.approx([0.25 / (4 * np.log(2)), 0])


@given(st.lists(st.floats(0, 10), min_size=5, max_size=5))
def test_no_candle_has_a_negative_variance(prices: list[float]) -> None:
    low, opening, close, high = (np.array([price]) for price in (min(prices), prices[1], prices[2], max(prices)))
    previous = np.array([prices[4]])
    assert garman_klass(opening, high, low, close, previous)[0] >= 0
    assert parkinson(high, low, previous)[0] >= 0


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_a_mean_is_the_weighted_mean_of_all_values_so_far(values: list[float]) -> None:
    result = Averages(HALF_LIVES).add_all(np.array(values))
    for column, half_life in enumerate(HALF_LIVES):
        weights = 0.5 ** (np.arange(len(values))[::-1] / half_life)
        assert result[-1, column] == pytest.approx(np.average(values, weights=weights), rel=1e-9, abs=1e-9)


@given(values=st.lists(st.floats(0, 1e6), min_size=2, max_size=50), data=st.data())
def test_one_candle_at_a_time_is_all_candles_at_once(values: list[float], data: st.DataObject) -> None:
    """Bit by bit: what is computed live is what the backtest saw."""
    at = data.draw(st.integers(1, len(values) - 1))
    batch, live = Averages(HALF_LIVES), Averages(HALF_LIVES)
    result = batch.add_all(np.array(values))
    live.add_all(np.array(values[:at]))
    for index in range(at, len(values)):
        assert live.add(values[index]).tobytes() == result[index].tobytes()
    assert live.means.tobytes() == batch.means.tobytes()


def test_a_next_value_can_be_tried_without_taking_it_in() -> None:
    """The price of this hour belongs to a candle that has not closed."""
    averages = Averages(HALF_LIVES)
    averages.add_all(np.array([1.0, 2.0, 3.0]))
    before = averages.means
    tried = averages.exceeded(9.0 - before)
    assert averages.exceeded(0.0).tolist() == before.tolist() == averages.means.tolist()
    assert averages.add(9.0) == pytest.approx(tried)
