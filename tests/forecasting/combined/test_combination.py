"""The combination: no weight where nothing can be forecast, and nothing is learned from the future."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from crypto_predict.forecasting.combined.combination import PRIOR_SCALE, SIGNIFICANCE, _weight, learn_weights, shrunk
from crypto_predict.history.columns import FloatArray, IntArray
from tests.support.markets import random_walk, series_of, trending

SEEDS = range(40)
DAYS, FIRST = 1500, 365


def drift(past: FloatArray, horizon: int) -> float:
    """The move of the past year goes on."""
    return float(np.diff(past[-365:]).mean() * horizon)


def repetition(past: FloatArray, horizon: int) -> float:
    """An autoregression: each move has as much to do with the one before as in the past year."""
    returns = np.diff(past[-365:])
    share = float(returns[1:] @ returns[:-1] / (returns @ returns))
    return float(returns[-1]) * sum(share**day for day in range(1, horizon + 1))


def reversion(past: FloatArray, _: int) -> float:
    """The price returns to the mean of its last ten days."""
    return float(past[-10:].mean() - past[-1])


Rule = Callable[[FloatArray, int], float]
RULES: list[Rule] = [drift, repetition, reversion]


def combined(rule: Rule, log_close: FloatArray, every: int, horizon: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A rule combined with persistence over one market: weights, combined increments and actual increments."""
    cutoffs = np.arange(FIRST, len(log_close), every)
    outcome = series_of(log_close).increments(cutoffs, horizon)
    predicted = np.array([rule(log_close[: at + 1], horizon) for at in cutoffs])
    weights = learn_weights(cutoffs, predicted, outcome, horizon)
    return weights, predicted * weights, outcome


def relative_error(increments: FloatArray, outcome: FloatArray) -> float:
    """Mean absolute error relative to persistence's."""
    due = np.isfinite(outcome)
    return float(np.abs(outcome - increments)[due].mean() / np.abs(outcome)[due].mean())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("every", "horizon"), [(1, 1), (3, 1), (3, 7), (7, 7), (7, 30)])
def test_where_nothing_can_be_forecast_the_combination_is_persistence(rule: Rule, every: int, horizon: int) -> None:
    """At any cutoff, weights are there by chance in at most 1 % of the markets, which is the level of the test.

    It is made again every week for three years, in which a few markets more have a lucky time; none loses by it.
    """
    trusted, errors = [], []
    for seed in SEEDS:
        weights, increments, outcome = combined(rule, random_walk(seed, DAYS), every, horizon)
        trusted.append(weights > 0)
        errors.append(relative_error(increments, outcome))
        if not trusted[-1].any():
            assert not increments.any()
            assert errors[-1] == 1.0
    assert np.mean(trusted) <= SIGNIFICANCE
    assert np.mean([seed.any() for seed in trusted]) <= 0.2
    assert max(errors) <= 1.002


@pytest.mark.parametrize("share", [0.5, -0.5])
def test_a_market_that_can_be_forecast_is_forecast_better(share: float) -> None:
    for seed in range(5):
        weights, increments, outcome = combined(repetition, trending(seed, DAYS, share), 1, 1)
        assert weights[-1] > 0.5
        assert relative_error(increments, outcome) < 0.95


def test_a_model_that_is_right_has_the_weight() -> None:
    """One that is always wrong has none, and without a known outcome none has."""
    outcome = np.random.default_rng(0).standard_normal(600)
    right, small, large, wrong, unknown = (
        learn_weights(np.arange(600), predicted, outcomes, 1)
        for predicted, outcomes in (
            (outcome, outcome),
            (0.5 * outcome, outcome),
            (2 * outcome, outcome),
            (-outcome, outcome),
            (outcome, np.full(600, np.nan)),
        )
    )
    assert right[-1] == pytest.approx(1, abs=0.05)
    assert small[-1] <= 1
    assert large[-1] == pytest.approx(0.5, abs=0.03)
    assert not wrong.any()
    assert not unknown.any()


def test_the_weight_is_that_of_a_regression_with_a_prior_around_zero() -> None:
    """SciPy finds the same minimum, between 0 and 1."""
    rng = np.random.default_rng(1)
    outcome = rng.standard_normal(60)
    for share in (-0.5, 0.2, 0.5, 2.0):
        predicted = share * outcome + 0.3 * rng.standard_normal(60)

        def loss(weight: float, predicted: FloatArray = predicted) -> float:
            errors = outcome - weight * predicted
            return float(errors @ errors / np.mean(outcome**2)) + (weight / PRIOR_SCALE) ** 2

        expected = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-9}).x
        assert _weight(predicted, outcome, 1.0) == pytest.approx(expected, abs=1e-5)


def test_weights_grow_with_the_number_of_known_outcomes() -> None:
    """A model that was right 42 times out of 42 counts as if it had been wrong 16 times before."""
    outcome = np.random.default_rng(0).choice([-1.0, 1.0], 600)
    weights = learn_weights(np.arange(600), outcome, outcome, 1)
    assert not weights[:42].any()
    assert weights[42] == pytest.approx(42 / (42 + 16), abs=0.02)
    assert np.all(np.diff(weights) >= -1e-3)


@st.composite
def forecasts(draw: st.DrawFn) -> tuple[IntArray, FloatArray, FloatArray, int]:
    """Cutoffs, forecasts of any use and size, outcomes some of which are unknown, and a horizon."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    count, every = draw(st.integers(1, 250)), draw(st.integers(1, 10))
    outcome = rng.standard_normal(count) * 10.0 ** draw(st.integers(-6, 3))
    use = rng.choice([0.0, 0.5, 1.0, -1.0]) * 10.0 ** rng.integers(-3, 4)
    noise = rng.standard_normal(count) * 10.0 ** draw(st.integers(-9, 1))
    predicted = use * (outcome + noise * np.abs(outcome).max())
    outcome[rng.random(count) < draw(st.sampled_from([0.0, 0.1, 1.0]))] = np.nan
    return np.arange(count) * every, predicted, outcome, draw(st.sampled_from([1, 2, 7, 30]))


@given(forecasts(), st.data())
@settings(max_examples=60)
def test_weights_are_shares_and_nothing_later_changes_them(
    market: tuple[IntArray, FloatArray, FloatArray, int], data: st.DataObject
) -> None:
    """Outcomes and forecasts after the cutoff may have any value."""
    cutoffs, predicted, outcome, horizon = market
    at = data.draw(st.integers(0, len(cutoffs) - 1), label="cutoff")
    later = cutoffs + horizon > cutoffs[at]
    otherwise = np.where(later, data.draw(st.sampled_from([np.nan, 0.0, -7.0, 1e3])), outcome)
    other_forecasts = np.where(cutoffs > cutoffs[at], 5.0, predicted)
    before, after = learn_weights(*market), learn_weights(cutoffs, other_forecasts, otherwise, horizon)
    assert before[: at + 1].tobytes() == after[: at + 1].tobytes()
    assert np.all((before >= 0) & (before <= 1))


def test_forecasts_with_unknown_outcome_do_not_matter() -> None:
    """The weights are those of the other forecasts."""
    rng = np.random.default_rng(0)
    outcome = rng.standard_normal(500)
    predicted = outcome + rng.standard_normal(500)
    unknown = rng.random(500) < 0.2
    wild = np.where(unknown, -1e6 * predicted, predicted)
    missing = np.where(unknown, np.nan, outcome)
    plain, other = (
        learn_weights(np.arange(500), forecasts_of_all, missing, 1) for forecasts_of_all in (predicted, wild)
    )
    assert plain[-1] > 0
    assert plain.tobytes() == other.tobytes()


def test_trust_is_zero_up_to_the_critical_value_and_always_below_1() -> None:
    """The positive part of James and Stein, at the one-sided 1 % of the normal distribution."""
    assert [shrunk(statistic) for statistic in (-5.0, 0.0, 2.326)] == [0.0, 0.0, 0.0]
    shares = [shrunk(statistic) for statistic in (2.327, 3.0, 5.0, 50.0)]
    assert 0 < shares[0] < 0.001
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(1 - (2.32635 / 3) ** 2, abs=1e-5)
    assert shares[-1] < 1 == shrunk(float("inf"))
