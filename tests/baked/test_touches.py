"""The rule of reflection, the curve of a market beside it, and a corridor."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.touches import REFLECTED, TOUCHED, TouchCurve, curve_faults, reflected, stay
from tests.support.strategies import touch_curves

SHARES = st.floats(0, 1)
ASKED = (0.99, 0.9, 0.6, 0.3, 0.1, 0.01, 1e-6)


@given(SHARES, SHARES)
def test_a_corridor_is_left_as_often_as_one_border_is_touched_at_least_and_both_at_most(
    one: float, other: float
) -> None:
    """Whatever a market does: at most it touches either border on separate days."""
    assert max(0.0, 1 - one - other) <= stay(one, other) <= 1 - max(one, other)
    assert stay(one, other) == pytest.approx(stay(other, one), abs=1e-12)


@given(SHARES, SHARES, SHARES)
def test_a_wider_corridor_is_left_more_rarely(one: float, other: float, third: float) -> None:
    near, far = max(other, third), min(other, third)
    assert stay(one, far) >= stay(one, near) - 1e-12


@pytest.mark.parametrize("touched", [0.001, 0.1, 0.5, 0.99])
def test_a_border_that_is_out_of_reach_changes_nothing(touched: float) -> None:
    assert stay(touched, 0.0) == stay(0.0, touched) == 1 - touched
    assert stay(touched, 1e-12) == pytest.approx(1 - touched, abs=1e-9)
    assert stay(touched, 1.0) == 0


def test_the_two_series_are_one_function() -> None:
    """One sums reflections, the other waves; where the one takes over from the other there is no step."""
    normal = NormalDist()
    for share in (0.1, 0.3, 0.5):
        narrow, wide = (
            stay(*(2 * normal.cdf(-part * width) for part in (share, 1 - share))) for width in (1.4999999, 1.5000001)
        )
        assert narrow == pytest.approx(wide, abs=1e-6)


@pytest.mark.parametrize(("up", "down"), [(0.6, 0.5), (1.0, 1.0), (2.0, 0.7), (1.5, 2.5)])
def test_a_corridor_holds_as_often_as_a_random_walk_stays_in_it(up: float, down: float) -> None:
    """Walks of many small steps, with borders that are nearer by what a walk of steps jumps over them on average."""
    steps = 500
    walks = np.random.default_rng(1).standard_normal((16_000, steps)).cumsum(axis=1) / steps**0.5
    over = 0.5826 / steps**0.5  # Siegmund's correction, "Sequential Analysis", 1985
    stayed = (walks.max(axis=1) < up - over) & (walks.min(axis=1) > over - down)
    touched, other = (2 * NormalDist().cdf(-border) for border in (up, down))
    assert stay(touched, other) == pytest.approx(stayed.mean(), abs=0.015)


def test_without_a_curve_and_with_that_of_a_random_walk_the_rule_holds() -> None:
    assert reflected((), 3.0, ASKED) == ASKED
    assert reflected((TouchCurve(1.0, REFLECTED),), 3.0, ASKED) == pytest.approx(ASKED)


def test_a_market_that_gets_farther_is_given_more_than_the_rule() -> None:
    """What the rule calls probable to 0.1 is touched more often, if scores are a tenth larger."""
    curve = TouchCurve(1.0, tuple(1.1 * score for score in REFLECTED))
    by_rule = reflected((curve,), 1.0, TOUCHED)
    assert by_rule == pytest.approx([2 * NormalDist().cdf(-1.1 * score) for score in REFLECTED])
    assert all(rule < touched for rule, touched in zip(by_rule, TOUCHED, strict=True))


@pytest.mark.parametrize(
    ("horizon", "size"), [(0.2, 1.0), (1.0, 1.0), (7**0.5, 0.9), (7.0, 0.8), (365.0, 0.8)], ids=str
)
def test_between_two_curves_is_one_between_and_beyond_them_the_nearest(horizon: float, size: float) -> None:
    curves = tuple(TouchCurve(days, tuple(part * z for z in REFLECTED)) for days, part in ((1.0, 1.0), (7.0, 0.8)))
    expected = [2 * NormalDist().cdf(-size * score) for score in REFLECTED]
    assert reflected(curves, horizon, TOUCHED) == pytest.approx(expected)


@given(touch_curves, st.floats(1e-3, 400))
def test_what_is_touched_less_often_is_less_probable_by_the_rule(
    curves: tuple[TouchCurve, ...], horizon: float
) -> None:
    by_rule = reflected(curves, horizon, ASKED)
    assert sorted(by_rule, reverse=True) == list(by_rule)
    assert all(0 <= share <= 1 for share in by_rule)


def test_a_curve_that_no_distribution_has_is_a_fault() -> None:
    sound = TouchCurve(1.0, REFLECTED)
    assert not list(sound.faults())
    assert not list(curve_faults([sound, TouchCurve(7.0, REFLECTED)]))
    for scores in (REFLECTED[:-1], REFLECTED[::-1], (0.0, *REFLECTED[1:]), (*REFLECTED[:-1], 1e9), (1.0,) * 6):
        assert any("scores" in fault for fault in TouchCurve(1.0, scores).faults())
    assert any("horizon_days" in fault for fault in TouchCurve(-1.0, REFLECTED).faults())
    assert any("ascending" in fault for fault in curve_faults([sound, sound]))
    assert any("more than" in fault for fault in curve_faults([TouchCurve(1.0 + day, REFLECTED) for day in range(17)]))
