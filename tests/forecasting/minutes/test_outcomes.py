"""The scores of minute forecasts whose outcome is known."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import NormalDist, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.distribution.quantiles import interval_score, quantile_loss
from crypto_predict.forecasting.evaluation.metrics import crps_gaussian
from crypto_predict.forecasting.minutes.features import DAY, MinuteState
from crypto_predict.forecasting.minutes.outcomes import is_usable, scores_of
from crypto_predict.market import Candle
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast

START = datetime(2024, 5, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PRICE = 100.0
MOVES = st.floats(-0.1, 0.1)


def forecast(moves: list[float], point: float = 0.0) -> MinuteForecast:
    """Return a forecast with these quantiles of the move at every horizon."""
    row = tuple(PRICE * math.exp(move) for move in sorted(moves))
    return MinuteForecast(START, PRICE, (PRICE * math.exp(point),) * MINUTES_AHEAD, (row,) * MINUTES_AHEAD)


def flat(minute: int, close: float) -> Candle:
    """Return a candle at one price."""
    return Candle(START + minute * MINUTE, close, close, close, close, 1.0)


@given(
    st.lists(MOVES, min_size=len(LEVELS), max_size=len(LEVELS)), MOVES, MOVES, st.floats(0, 0.05), st.integers(1, 15)
)
def test_every_score_is_that_of_the_formulas(
    moves: list[float], point: float, outcome: float, volatility: float, horizon: int
) -> None:
    """Of a backtest, which scores many forecasts at once."""
    (minute_scores,) = scores_of({horizon: (forecast(moves, point), volatility)}, PRICE * math.exp(outcome))
    actual, quantiles = np.array([outcome]), np.sort(moves)
    gaussian = volatility * math.sqrt(horizon) * np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    assert (minute_scores.horizon_minutes, minute_scores.forecasts) == (horizon, 1)
    assert minute_scores.error == pytest.approx(abs(outcome - point), abs=1e-12)
    assert minute_scores.persistence_error == pytest.approx(abs(outcome), abs=1e-12)
    for score, values in ((minute_scores.winkler, quantiles), (minute_scores.persistence_winkler, gaussian)):
        expected = interval_score(actual, values[[1]], values[[5]], 0.8)[0]
        assert score == pytest.approx(expected, abs=1e-9)
    weights = (0.075, 0.1, 0.2, 0.25, 0.2, 0.1, 0.075)
    for score, values in ((minute_scores.crps, quantiles), (minute_scores.persistence_crps, gaussian)):
        losses = [quantile_loss(actual, quantile, level)[0] for quantile, level in zip(values, LEVELS, strict=True)]
        expected = 2 * sum(weight * loss for weight, loss in zip(weights, losses, strict=True))
        assert score == pytest.approx(expected, abs=1e-9)


def test_the_score_of_a_gaussian_is_nearly_that_of_its_whole_distribution() -> None:
    """Seven quantiles stand for all: on average the difference is below 2 %."""
    outcomes = NormalDist(0, 0.01).samples(4_000, seed=0)
    level = [NormalDist(0, 0.01).inv_cdf(level) for level in LEVELS]
    result = [scores_of({1: (forecast(level), 0.01)}, PRICE * math.exp(outcome))[0].crps for outcome in outcomes]
    exact = crps_gaussian(np.array(outcomes), np.zeros(4_000), np.full(4_000, 0.01))
    assert sum(result) == pytest.approx(float(exact.sum()), rel=0.02)


@pytest.mark.parametrize(
    ("outcome", "inside"), [(0.0, (1, 1, 1)), (0.015, (0, 1, 1)), (0.025, (0, 0, 1)), (1, (0, 0, 0))]
)
def test_an_outcome_is_counted_in_the_intervals_that_hold_it(outcome: float, inside: tuple[int, int, int]) -> None:
    row = [-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03]
    (minute_scores,) = scores_of({3: (forecast(row), 0.01)}, PRICE * math.exp(outcome))
    assert (minute_scores.inside_50, minute_scores.inside_80, minute_scores.inside_90) == inside


def test_forecasts_of_several_horizons_are_scored_apart() -> None:
    near, far = forecast([0.0] * 7, point=0.01), forecast([0.0] * 7, point=0.02)
    result = scores_of({15: (far, 0.0), 1: (near, 0.0)}, PRICE)
    assert [minute_scores.horizon_minutes for minute_scores in result] == [1, 15]
    assert [minute_scores.error for minute_scores in result] == pytest.approx([0.01, 0.02])
    assert scores_of({}, PRICE) == ()


@given(st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=60, unique=True))
def test_the_volatility_is_that_of_the_moves_of_the_last_day(minutes: list[int]) -> None:
    """In a minute without a candle the price did not move."""
    minutes.sort()
    closes = {minute: 100 * math.exp(math.sin(minute)) for minute in minutes}
    state = MinuteState()
    for minute, close in closes.items():
        state.add(flat(minute, close))
    prices, price = [], closes[minutes[0]]
    for minute in range(minutes[0], minutes[-1] + 1):
        price = closes.get(minute, price)
        prices.append(math.log(price))
    moves = [later - earlier for earlier, later in pairwise(prices)][-DAY:]
    expected = stdev(moves) if len(moves) > 1 else 0.0
    assert state.volatility() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_forecast_with_an_impossible_price_is_not_usable(price: float) -> None:
    sound = forecast([0.0] * 7)
    assert is_usable(sound)
    assert not is_usable(MinuteForecast(START, PRICE, (price, *sound.points[1:]), sound.quantiles))
    broken = (*sound.quantiles[:-1], (*sound.quantiles[-1][:-1], price))
    assert not is_usable(MinuteForecast(START, PRICE, sound.points, broken))
