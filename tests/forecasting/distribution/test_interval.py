"""The multiplier of a central interval."""

import pytest

from crypto_predict.forecasting.distribution.interval import GAUSSIAN, conformal_multiplier

SCORES = [0.1 * place for place in range(1, 100)]  # 0.1 to 9.9


def test_four_fifths_of_a_standard_gaussian_are_inside() -> None:
    assert pytest.approx(1.2816, abs=1e-4) == GAUSSIAN


def test_without_a_score_the_multiplier_is_the_prior() -> None:
    assert conformal_multiplier([], 0.8, 0.0, 1.5, 4) == 1.5


def test_the_multiplier_is_the_score_that_the_share_stays_below() -> None:
    """One more score is still to come: 80 of 100, not of 99."""
    assert conformal_multiplier(SCORES, 0.8, 99.0, 1.5, 0) == pytest.approx(8.0)
    assert conformal_multiplier(SCORES, 1.0, 99.0, 1.5, 0) == pytest.approx(9.9)


def test_the_prior_weighs_as_much_as_so_many_independent_scores() -> None:
    assert conformal_multiplier(SCORES, 0.8, 4.0, 2.0, 4) == pytest.approx((8.0 + 2.0) / 2)
