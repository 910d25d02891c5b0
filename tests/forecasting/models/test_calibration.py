"""Ranges around points, of Prophet alone above all: they hold what they say, and use nothing from the future."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import PROPHET, Evaluator
from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN
from crypto_predict.forecasting.evaluation.replay import ProphetReplay
from crypto_predict.forecasting.models.calibration import (
    PRIOR_ERRORS,
    around,
    conformal_quantiles,
    half_widths,
    interpolated,
)
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS
from tests.support.markets import NOISE, prophet_replay, random_walk, series_of
from tests.support.models import make_forecast

FIRST_CUTOFF = 364
ASKED = sorted({*KNOTS, 10})  # days ahead; the interval at 10 lies between those of 7 and 14


def astray(log_close: FloatArray, cutoffs: IntArray, seed: int, bias: float = 0.0) -> FloatArray:
    """A flat curve (m, horizons) at each cutoff, `bias` and some 10 % off the market."""
    off = bias + NOISE * np.random.default_rng(seed).standard_normal(len(cutoffs))
    return np.repeat((log_close[cutoffs] + off)[:, None], len(ASKED), axis=1)


def replayed(log_close: FloatArray, seed: int = 0, every: int = 1, **how: Any) -> ProphetReplay:
    cutoffs = np.arange(FIRST_CUTOFF, len(log_close), every)
    return prophet_replay(series_of(log_close), cutoffs, ASKED, astray(log_close, cutoffs, seed, **how))


def inside(done: ProphetReplay, horizon: int) -> float:
    """The share of outcomes inside the interval."""
    column = done.horizons.index(horizon)
    errors, half_widths = done.errors[:, column], done.half_widths_80[:, column]
    due = np.isfinite(errors)
    return float(np.mean(np.abs(errors[due]) <= half_widths[due]))


@pytest.mark.parametrize("bias", [0.0, -0.3])
def test_four_fifths_of_outcomes_lie_inside_even_if_prophet_is_biased(bias: float) -> None:
    """Three years hold a dozen quarters: this is the mean over markets, each of which is off by more."""
    replays = [replayed(random_walk(seed, 1500), seed, bias=bias) for seed in range(20)]
    for horizon, least, most in (
        (1, 0.77, 0.83),
        (7, 0.77, 0.83),
        (10, 0.77, 0.84),
        (30, 0.75, 0.87),
        (90, 0.75, 0.87),
    ):
        assert least <= np.mean([inside(done, horizon) for done in replays]) <= most


@given(seed=st.integers(0, 1000), at=st.integers(FIRST_CUTOFF, 498), every=st.sampled_from([1, 7]))
@settings(max_examples=30, deadline=None)
def test_later_prices_change_no_interval_before_them(seed: int, at: int, every: int) -> None:
    log_close = random_walk(seed, 500)
    otherwise = log_close.copy()
    otherwise[at + 1 :] = random_walk(seed + 1, 499 - at) * 3
    cutoffs = np.arange(FIRST_CUTOFF, 500, every)
    before = cutoffs <= at
    curve = astray(log_close, cutoffs, seed)
    ours, theirs = (
        prophet_replay(series_of(closes), cutoffs, ASKED, curve).half_widths_80[before]
        for closes in (log_close, otherwise)
    )
    assert ours.tobytes() == theirs.tobytes()
    short = prophet_replay(series_of(log_close[: at + 1]), cutoffs[before], ASKED, curve[before])
    if before.sum() > 1:  # the spacing of a single cutoff is unknown
        assert ours.tobytes() == short.half_widths_80.tobytes()


def test_an_error_counts_from_the_day_it_is_due() -> None:
    """A crash three days after a cutoff is in the interval of three days from that day on, and not before."""
    log_close = random_walk(1, 500)
    crashed = log_close.copy()
    crashed[403] -= 20
    column = ASKED.index(3)
    ours, theirs = (replayed(closes).half_widths_80[:, column] for closes in (log_close, crashed))
    differs = np.flatnonzero(ours != theirs) + FIRST_CUTOFF
    assert differs[0] == 403


def test_without_a_known_error_the_interval_is_gaussian() -> None:
    """Its variance is that of the noise around the curve plus that of the market's moves."""
    log_close = np.cumsum(0.04 * np.random.default_rng(0).choice([-1.0, 1.0], 500))
    first = replayed(log_close).half_widths_80[0]
    assert first == pytest.approx(GAUSSIAN * np.sqrt(NOISE**2 + 0.04**2 * np.array(ASKED)), rel=0.01)


def test_an_interval_is_never_smaller_further_ahead() -> None:
    for seed in range(5):
        done = replayed(random_walk(seed, 800), seed)
        assert np.all(np.diff(done.half_widths_80, axis=1) >= -1e-12)  # rounding, where two knots are equal
        assert all(near.high <= far.high for near, far in pairwise(done.bands()))


def test_the_baked_interval_is_the_scored_one() -> None:
    """Also between two knots, where the file holds nothing and the server interpolates."""
    done = replayed(random_walk(3, 900), every=7)
    forecast = make_forecast(prophet_bands=done.bands())
    evaluator = Evaluator(forecast)
    for column, horizon in enumerate(ASKED):
        answer = evaluator.at(forecast.last + horizon * DAY, PROPHET)
        assert np.log(answer.high / answer.price) == pytest.approx(done.half_widths_80[-1, column], abs=1e-5)
        assert np.log(answer.low / answer.price) == pytest.approx(-done.half_widths_80[-1, column], abs=1e-5)


def test_a_cutoff_without_a_fit_has_no_forecast_and_affects_no_other() -> None:
    log_close = random_walk(4, 600)
    cutoffs = np.arange(FIRST_CUTOFF, 600)
    curve = astray(log_close, cutoffs, 4)
    curve[50:60] = np.nan
    done = prophet_replay(series_of(log_close), cutoffs, ASKED, curve)
    missing = np.isnan(done.half_widths_80).all(axis=1)
    assert np.flatnonzero(missing).tolist() == list(range(50, 60))
    assert np.isfinite(done.half_widths_80[~missing]).all()


@pytest.mark.parametrize(
    ("cutoffs", "fitted"), [([499], True), ([400, 499], False)], ids=["no outcome is known", "never fitted"]
)
def test_without_calibration_there_are_no_bands(cutoffs: list[int], *, fitted: bool) -> None:
    log_close, at = random_walk(5, 500), np.array(cutoffs)
    curve = astray(log_close, at, 5) if fitted else None
    assert prophet_replay(series_of(log_close), at, ASKED, curve).bands() == ()


def test_the_interval_of_a_market_that_never_moves_is_that_of_the_curve() -> None:
    flat, cutoffs = series_of(np.full(500, 5.5)), np.arange(FIRST_CUTOFF, 500)
    done = prophet_replay(flat, cutoffs, ASKED, np.full((len(cutoffs), len(ASKED)), 5.5))
    assert np.isfinite(done.half_widths_80).all()
    assert done.half_widths_80[-1, 0] < NOISE / 5


def test_the_multipliers_are_the_scores_that_as_many_stay_below() -> None:
    """One more score is still to come: 90, 80 and 50 of 100, not of 99."""
    scores = [0.1 * place for place in range(1, 100)]  # 0.1 to 9.9
    assert conformal_quantiles(scores) == pytest.approx([9.0, 8.0, 5.0])
    assert conformal_quantiles(scores[:3]) == pytest.approx([0.3, 0.3, 0.2])


def test_the_prior_weighs_as_much_as_four_errors() -> None:
    """That of the shortest horizon is Gaussian; errors of other sizes move it slowly."""
    market = np.cumsum(0.04 * np.random.default_rng(0).choice([-1.0, 1.0], 500))
    series, cutoffs = series_of(market), np.arange(400, 500)
    widths = half_widths(series, cutoffs, (1,), market[cutoffs][:, None])  # all errors are 1 deviation
    deviations = 0.04 * np.array([1.645, 1.282, 0.674])
    for known in (0, 4, 50):
        expected = (known * 0.04 + PRIOR_ERRORS * deviations) / (known + PRIOR_ERRORS)
        assert widths[known, 0] == pytest.approx(expected, rel=0.02)


@given(seed=st.integers(0, 1000), every=st.sampled_from([1, 7, 50]))
@settings(max_examples=20, deadline=None)
def test_wider_intervals_hold_narrower_ones_and_further_ones_nearer_ones(seed: int, every: int) -> None:
    market = random_walk(seed, 600)
    cutoffs = np.arange(FIRST_CUTOFF, 600, every)
    widths = half_widths(series_of(market), cutoffs, ASKED, astray(market, cutoffs, seed))
    assert (np.diff(widths, axis=2) <= 0).all()
    assert (np.diff(widths, axis=1) >= -1e-12).all()
    quantiles = around(market[cutoffs][:, None], widths[:, :1])
    assert quantiles.shape == (len(cutoffs), 1, len(LEVELS))
    assert (np.diff(quantiles, axis=2) >= 0).all()
    assert interpolated(widths, ASKED, ASKED) == pytest.approx(widths)
