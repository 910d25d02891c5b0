"""The combination: no weight where nothing can be forecast, and nothing is learned from the future."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.forecasting.candidates.combination import SIGNIFICANCE, learn_weights, shrunk
from crypto_predict.history.columns import FloatArray, IntArray
from tests.support.markets import random_walk, series_of, trending

SEEDS = range(40)
DAYS, FIRST = 1500, 365


def rules(log_close: FloatArray, cutoffs: IntArray, horizon: int) -> FloatArray:
    """(m, 5) forecasts of simple rules: the drift of a year, that of a month, an AR(1) and two reversions to a mean."""
    returns = np.diff(log_close, prepend=log_close[0])
    return np.array([_rules_at(log_close[: at + 1], returns[max(1, at - 364) : at + 1], horizon) for at in cutoffs])


def _rules_at(past: FloatArray, returns: FloatArray, horizon: int) -> list[float]:
    share = float(returns[1:] @ returns[:-1] / (returns @ returns))
    repeated = sum(share**day for day in range(1, horizon + 1))
    means = past[-10:].mean() - past[-1], past[-200:].mean() - past[-1]
    return [returns.mean() * horizon, returns[-30:].mean() * horizon, returns[-1] * repeated, *means]


def combined(log_close: FloatArray, every: int, horizon: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The rules combined over one market: weights, combined increments and actual increments."""
    cutoffs = np.arange(FIRST, len(log_close), every)
    outcome = series_of(log_close).increments(cutoffs, horizon)
    predicted = rules(log_close, cutoffs, horizon)
    weights = learn_weights(cutoffs, predicted, outcome, horizon)
    return weights, np.sum(predicted * weights, axis=1), outcome


def relative_error(increments: FloatArray, outcome: FloatArray) -> float:
    """Mean absolute error relative to persistence's."""
    due = np.isfinite(outcome)
    return float(np.abs(outcome - increments)[due].mean() / np.abs(outcome)[due].mean())


@pytest.mark.parametrize(("every", "horizon"), [(1, 1), (3, 1), (3, 7), (7, 7), (7, 30)])
def test_where_nothing_can_be_forecast_the_combination_is_persistence(every: int, horizon: int) -> None:
    """At any cutoff, weights are there by chance in at most 1 % of the markets, which is the level of the test.

    It is made again every week for three years, in which a few markets more have a lucky time; none loses by it.
    """
    trusted, errors = [], []
    for seed in SEEDS:
        weights, increments, outcome = combined(random_walk(seed, DAYS), every, horizon)
        trusted.append(weights.any(axis=1))
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
        weights, increments, outcome = combined(trending(seed, DAYS, share), 1, 1)
        assert weights[-1].sum() > 0.5
        assert relative_error(increments, outcome) < 0.95


def test_the_candidate_that_is_right_has_the_weight() -> None:
    """Equal candidates share it; one that is always wrong has none, and without a known outcome none has."""
    rng = np.random.default_rng(0)
    outcome = rng.standard_normal(600)
    predicted = rng.standard_normal((600, 5))
    predicted[:, 3], predicted[:, 2] = outcome, -outcome
    alike = np.repeat(outcome[:, None], 5, axis=1)
    right, shared, wrong, unknown = (
        learn_weights(np.arange(600), forecasts, outcomes, 1)
        for forecasts, outcomes in (
            (predicted, outcome),
            (alike, outcome),
            (-alike, outcome),
            (alike, np.full(600, np.nan)),
        )
    )
    assert right[-1, 3] > 0.95
    assert np.delete(right[-1], 3).sum() < 0.05
    assert shared[-1].sum() == pytest.approx(1, abs=0.05)
    assert not wrong.any()
    assert not unknown.any()


def test_weights_grow_with_the_number_of_known_outcomes() -> None:
    """A candidate that was right 42 times out of 42 counts as if it had been wrong 16 times before."""
    outcome = np.random.default_rng(0).choice([-1.0, 1.0], 600)
    predicted = np.zeros((600, 5))
    predicted[:, 3] = outcome
    weights = learn_weights(np.arange(600), predicted, outcome, 1)[:, 3]
    assert not weights[:42].any()
    assert weights[42] == pytest.approx(42 / (42 + 16), abs=0.02)
    assert np.all(np.diff(weights) >= -1e-3)


@st.composite
def forecasts(draw: st.DrawFn) -> tuple[IntArray, FloatArray, FloatArray, int]:
    """Cutoffs, forecasts of any use and size, outcomes some of which are unknown, and a horizon."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    count, every = draw(st.integers(1, 250)), draw(st.integers(1, 10))
    outcome = rng.standard_normal(count) * 10.0 ** draw(st.integers(-6, 3))
    use = rng.choice([0.0, 0.5, 1.0, -1.0], size=5) * 10.0 ** rng.integers(-3, 4, 5)
    noise = rng.standard_normal((count, 5)) * 10.0 ** draw(st.integers(-9, 1))
    predicted = use * (outcome[:, None] + noise * np.abs(outcome).max())
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
    other_forecasts = np.where((cutoffs > cutoffs[at])[:, None], 5.0, predicted)
    before, after = learn_weights(*market), learn_weights(cutoffs, other_forecasts, otherwise, horizon)
    assert before[: at + 1].tobytes() == after[: at + 1].tobytes()
    assert np.all(before >= 0)
    assert np.all(before.sum(axis=1) <= 1 + 1e-12)


def test_forecasts_with_unknown_outcome_do_not_matter() -> None:
    """The weights are those of the other forecasts."""
    rng = np.random.default_rng(0)
    outcome = rng.standard_normal(500)
    predicted = outcome[:, None] + rng.standard_normal((500, 5))
    unknown = rng.random(500) < 0.2
    wild = np.where(unknown[:, None], -1e6 * predicted, predicted)
    missing = np.where(unknown, np.nan, outcome)
    plain, other = (
        learn_weights(np.arange(500), forecasts_of_all, missing, 1) for forecasts_of_all in (predicted, wild)
    )
    assert plain[-1].any()
    assert plain.tobytes() == other.tobytes()


def test_trust_is_zero_up_to_the_critical_value_and_always_below_1() -> None:
    """The positive part of James and Stein, at the one-sided 1 % of the normal distribution."""
    assert [shrunk(statistic) for statistic in (-5.0, 0.0, 2.326)] == [0.0, 0.0, 0.0]
    shares = [shrunk(statistic) for statistic in (2.327, 3.0, 5.0, 50.0)]
    assert 0 < shares[0] < 0.001
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(1 - (2.32635 / 3) ** 2, abs=1e-5)
    assert shares[-1] < 1 == shrunk(float("inf"))
