"""Quantiles of standardised moves, learned from the past."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.distribution.quantiles import calibrate, enclosing
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

MEAN_SIZE = (2 / np.pi) ** 0.5  # of a standard Gaussian: moves are standardised by their mean size
GAUSSIAN = np.array([NormalDist().inv_cdf(level) for level in LEVELS]) / MEAN_SIZE


def gaussian_moves(seed: int, count: int) -> FloatArray:
    return np.asarray(np.random.default_rng(seed).standard_normal(count) / MEAN_SIZE)


def shares_below(moves: FloatArray, horizon: int = 1, first: int = 0) -> FloatArray:
    """Return the share of moves below each quantile that was forecast for them, from the move `first` on."""
    issued, _ = calibrate(moves, horizon, 0)
    return np.asarray((moves[:, None] < issued)[first:].mean(axis=0))


def test_without_a_move_the_quantiles_are_gaussian() -> None:
    assert calibrate(np.array([]), 1, 0)[1] == pytest.approx(GAUSSIAN)


@pytest.mark.parametrize("seed", range(3))
def test_the_shares_below_are_the_levels(seed: int) -> None:
    assert shares_below(gaussian_moves(seed, 4000)) == pytest.approx(LEVELS, abs=0.02)


def test_the_quantiles_follow_the_distribution_of_moves() -> None:
    """If all moves have one size, the quantiles in the tails are that size."""
    moves = np.random.default_rng(0).choice([-1.0, 1.0], 4000)
    assert calibrate(moves, 1, 0)[1][[0, 1, -2, -1]] == pytest.approx([-1, -1, 1, 1], abs=0.05)


def test_a_long_tail_on_one_side_is_learned_by_half() -> None:
    moves = np.random.default_rng(1).exponential(size=4000) - 1.0
    low, high = calibrate(moves, 1, 0)[1][[1, -2]]
    own = np.quantile(moves, [0.1, 0.9])
    both = np.quantile(np.abs(moves), 0.8)
    assert high == pytest.approx((own[1] + both) / 2, rel=0.15)
    assert low == pytest.approx((own[0] - both) / 2, rel=0.15)


def test_few_moves_and_overlapping_moves_have_little_weight() -> None:
    """The Gaussian quantiles count for sixty moves that do not overlap."""
    moves = np.full(60, 5.0)
    alone, overlapping = (calibrate(moves, horizon, 0)[1] for horizon in (1, 30))
    assert alone[-2] == pytest.approx((GAUSSIAN[-2] + 5) / 2, rel=0.1)
    assert overlapping[-2] == pytest.approx((60 * GAUSSIAN[-2] + 5) / 61, rel=0.02)


def test_a_scale_that_is_wrong_for_years_is_corrected() -> None:
    """Coverage holds in the long run, whatever happens to the moves."""
    moves = gaussian_moves(2, 6000)
    moves[1000:] *= 3
    assert shares_below(moves, first=3000)[[1, -2]] == pytest.approx([0.1, 0.9], abs=0.03)


@given(st.lists(st.floats(-50, 50), max_size=80), st.integers(1, 40))
def test_the_quantiles_ascend_after_any_moves(moves: list[float], horizon: int) -> None:
    issued, latest = calibrate(np.array(moves), horizon, 0)
    for row in (*issued, latest):
        assert np.isfinite(row).all()
        assert np.all(np.diff(row) >= 0)


def test_moves_that_are_not_known_do_not_count() -> None:
    moves = gaussian_moves(3, 300)
    gapped = np.insert(moves, 100, np.full(50, np.nan))
    assert calibrate(gapped, 1, 0)[1].tolist() == calibrate(moves, 1, 0)[1].tolist()


def test_the_ends_of_an_interval_hold_the_forecast() -> None:
    row = np.array([[-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2]])
    assert enclosing(row, np.array([0.04])).tolist() == row.tolist()
    assert enclosing(row, np.array([0.15])).tolist() == [[-0.2, -0.1, -0.05, 0.0, 0.05, 0.15, 0.2]]
    assert enclosing(row, np.array([-0.3])).tolist() == [[-0.3, -0.3, -0.05, 0.0, 0.05, 0.1, 0.2]]
