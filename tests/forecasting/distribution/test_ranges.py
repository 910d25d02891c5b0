"""How far a market moves within candles, and means of it that forget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.distribution.ranges import Averages, garman_klass, parkinson
from crypto_predict.history.columns import FloatArray

HALF_LIVES = (1.0, 5.0, 500.0)


def candles(seed: int, count: int, steps: int = 500) -> tuple[FloatArray, ...]:
    """Log open, high, low, close and previous close of a random walk whose variance is 1 a candle."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.standard_normal(count * steps)) / steps**0.5
    rows = path.reshape(count, steps)
    closes, previous = rows[:, -1], np.concatenate([[0.0], rows[:-1, -1]])
    return previous, np.maximum(rows.max(axis=1), previous), np.minimum(rows.min(axis=1), previous), closes, previous


def test_both_estimates_are_the_variance_of_a_random_walk() -> None:
    opens, highs, lows, closes, previous = candles(1, 3000)
    # A range that is seen at 500 instants only is a little too small.
    assert garman_klass(opens, highs, lows, closes, previous).mean() == pytest.approx(1, abs=0.1)
    assert parkinson(highs, lows, previous).mean() == pytest.approx(1, abs=0.1)


def test_both_are_more_precise_than_squared_returns() -> None:
    opens, highs, lows, closes, previous = candles(2, 3000)
    returns = (closes - previous) ** 2
    assert garman_klass(opens, highs, lows, closes, previous).var() < returns.var() / 5
    assert parkinson(highs, lows, previous).var() < returns.var() / 3


def test_the_gap_between_two_candles_counts() -> None:
    """A price that jumps while nothing trades has moved."""
    one = np.array([1.0])
    assert garman_klass(one, one, one, one, np.array([0.5])) == pytest.approx(0.25)
    assert parkinson(one, one, np.array([0.5])) == pytest.approx(0.25 / (4 * np.log(2)))


def test_a_frozen_price_has_no_variance() -> None:
    one = np.array([1.0, 1.0])
    assert garman_klass(one, one, one, one, one).tolist() == [0, 0]
    assert parkinson(one, one, one).tolist() == [0, 0]


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


def test_later_values_change_no_mean_before_them() -> None:
    values = np.random.default_rng(3).random(100)
    whole, cut = (Averages(HALF_LIVES).add_all(values[:end]) for end in (100, 60))
    assert whole[:60].tobytes() == cut.tobytes()


def test_a_next_value_can_be_tried_without_taking_it_in() -> None:
    """The price of this hour belongs to a candle that has not closed."""
    averages = Averages(HALF_LIVES)
    averages.add_all(np.array([1.0, 2.0, 3.0]))
    before = averages.means
    tried = averages.exceeded(9.0 - before)
    assert averages.exceeded(0.0).tolist() == before.tolist() == averages.means.tolist()
    assert averages.add(9.0) == pytest.approx(tried)
