"""Volatility: two memories, in which a single shock is not a regime."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.distribution.volatility import DECAY, LEAST_STEPS, SHOCK, memories, variance
from crypto_predict.history.columns import FloatArray
from tests.support.markets import DAILY, random_walk, shocked

HORIZONS = (1, 2, 7, 30, 90, 365)
STILL = {
    "flat": np.full(200, 5.5),
    "flat at a price of one": np.zeros(200),
    "a single tick": 5 + 0.1 * (np.arange(200.0) == 100),
    "a leap by 1e20": 46.0 * (np.arange(200.0) >= 100),
    "between 1 and 1e20 by turns": 46.0 * (np.arange(200.0) % 2),
    "constant growth": 5 + 0.01 * np.arange(200.0),
    "two days": np.array([5.0, 5.1]),
    "two days alike": np.array([5.0, 5.0]),
}


def gaussian(seed: int, days: int) -> FloatArray:
    """A market whose volatility never changes."""
    return np.cumsum(DAILY * np.random.default_rng(seed).standard_normal(days))


def newest_variance(log_close: FloatArray) -> float:
    """The variance of the step after the last close."""
    return float(variance(*memories(log_close), 1)[-1])


@pytest.mark.parametrize("name", list(STILL))
@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_variance_is_a_positive_number_in_any_market(name: str, horizon: float) -> None:
    """Moves are divided by it, and a market that stood still may move."""
    variances = variance(*memories(STILL[name]), horizon)
    assert np.all(np.isfinite(variances))
    assert min(variances) > 0


def test_constant_volatility_gives_the_variance_of_returns_at_every_horizon() -> None:
    volatility = memories(gaussian(0, 3000))
    for horizon in (1, 7, 90):
        per_day = variance(*volatility, horizon)[365:] / horizon
        assert per_day.mean() == pytest.approx(DAILY**2, rel=0.05)


@given(seed=st.integers(0, 1000), days=st.integers(2, 400))
def test_more_days_ahead_have_more_variance_and_later_prices_change_none(seed: int, days: int) -> None:
    """However far the short memory is above or below the long one."""
    log_close = random_walk(seed, 400 + LEAST_STEPS)
    otherwise = np.concatenate([log_close[: days + LEAST_STEPS], 3 * random_walk(seed + 1, 400 - days)])
    before, after = memories(log_close), memories(otherwise)
    short = memories(log_close[:days])
    assert np.all(np.diff([variance(*short, horizon) for horizon in HORIZONS], axis=0) > 0)
    for horizon in HORIZONS:
        known_then = slice(None, days + LEAST_STEPS)
        assert variance(*before, horizon)[known_then].tobytes() == variance(*after, horizon)[known_then].tobytes()


def test_wild_days_raise_the_variance_of_tomorrow_more_than_of_the_far_future() -> None:
    quiet, wild = memories(shocked(1, 1000, 1000)), memories(shocked(1, 1000, 980))
    ratios = [float(np.sqrt(variance(*wild, h)[-1] / variance(*quiet, h)[-1])) for h in (1, 7, 30, 365)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 1.7
    assert ratios[-1] < 1.3


def test_a_new_regime_is_learned_within_weeks() -> None:
    ratios = [
        newest_variance(shocked(seed, 1000, 950)) / newest_variance(shocked(seed, 1000, 1000)) for seed in range(20)
    ]
    assert np.median(np.sqrt(ratios)) == pytest.approx(3, rel=0.25)


def after_one_move(calm: FloatArray, size: float) -> float:
    """The variance after one more day whose move has `size` standard deviations."""
    return newest_variance(np.append(calm, calm[-1] + size * DAILY))


def test_one_shock_counts_for_no_more_than_three_standard_deviations() -> None:
    """A day such as that of March 2020 is news, and not yet a regime."""
    ratios = []
    for seed in range(20):
        calm = gaussian(seed, 1000)
        before, large, huge = newest_variance(calm), after_one_move(calm, 30.0), after_one_move(calm, 1000.0)
        assert large == pytest.approx(huge, rel=1e-9)
        ratios.append(huge / before)
    assert np.median(ratios) == pytest.approx(DECAY + (1 - DECAY) * SHOCK**2, rel=0.25)
    assert max(ratios) < 4, "no single day doubles the standard deviation"


def test_large_moves_on_most_days_of_a_week_are_a_regime() -> None:
    """By then they are not single shocks."""
    calm = gaussian(2, 1000)
    awake = np.append(calm, calm[-1] + np.cumsum(DAILY * np.array([10, -12, 9, 11, -10, 8, -11])))
    assert np.sqrt(newest_variance(awake) / newest_variance(calm)) > 4


@pytest.mark.parametrize("horizon", [1, 30, 365])
def test_volatility_more_than_three_years_ago_does_not_matter(horizon: float) -> None:
    returns = np.diff(random_walk(7, 2200), prepend=10.0)
    wild = np.where(np.arange(2200) < 1100, 5 * returns, returns)
    ours, other = (variance(*memories(np.cumsum(moves)), horizon)[-1] for moves in (returns, wild))
    assert ours == pytest.approx(other, rel=1e-6)
