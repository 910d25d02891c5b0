"""Minute forecasts of the past: made with nothing but what was known, and scored beside persistence."""

import math

import numpy as np
import pytest

from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.minutes.backtest import (
    REFIT,
    last_day_volatility,
    refits,
    score,
    walk_forward,
)
from crypto_predict.forecasting.minutes.features import Minutes
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.market.forecast import LEVELS
from tests.support.minute_markets import DAY, START, columns, later, market, state_of

CANDLES = market(1, 3 * DAY)
FIRST = len(CANDLES) // 2


@pytest.fixture(scope="module")
def forecasts() -> list[Forecasts]:
    """Those of 1, 5 and 15 minutes."""
    return walk_forward(Minutes.of(columns(CANDLES)))


def at(minute: int) -> int:
    """The close of a candle of the market, in minutes since 1970."""
    return int(START.timestamp()) // 60 + minute + 1


def test_every_minute_of_the_second_half_is_forecast(forecasts: list[Forecasts]) -> None:
    for step, horizon in zip(forecasts, (1, 5, 15), strict=True):
        assert step.horizon == horizon
        assert step.cutoffs.tolist() == list(range(at(FIRST), at(len(CANDLES) - horizon)))
        expected = [math.log(candle.close) for candle in CANDLES[FIRST + horizon :]]
        assert step.actual == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize("minute", [FIRST, FIRST + 700, FIRST + REFIT - 1, FIRST + REFIT, FIRST + REFIT + 33])
def test_a_forecast_is_that_of_the_newest_daily_fit(forecasts: list[Forecasts], minute: int) -> None:
    """The collector would have made the same one."""
    fitted = CANDLES[: FIRST + (minute - FIRST) // REFIT * REFIT]
    expected = Coefficients.fit(Minutes.of(columns(fitted))).forecast(state_of(CANDLES[: minute + 1]))
    for forecast in forecasts:
        row = minute - FIRST
        assert forecast.cutoffs[row] == at(minute)
        assert math.exp(forecast.persistence[row]) == pytest.approx(expected.price)
        assert math.exp(forecast.predicted[row]) == pytest.approx(expected.points[forecast.horizon - 1], rel=1e-6)
        quantiles = expected.quantiles[forecast.horizon - 1]
        assert np.exp(forecast.quantiles[row]) == pytest.approx(np.array(quantiles), rel=1e-6)


def test_a_changed_future_changes_no_earlier_forecast(forecasts: list[Forecasts]) -> None:
    changed_from = FIRST + REFIT + 100
    changed = [*CANDLES[:changed_from], *later(market(9, len(CANDLES) - changed_from), changed_from, times=0.7)]
    again = walk_forward(Minutes.of(columns(changed)))
    for before, after in zip(forecasts, again, strict=True):
        known = before.cutoffs <= at(changed_from - 1)
        count = int(known.sum())
        assert count == changed_from - FIRST
        assert np.array_equal(before.quantiles[known], after.quantiles[:count])
        assert np.array_equal(before.predicted[known], after.predicted[:count])


def test_cutoffs_can_be_further_apart(forecasts: list[Forecasts]) -> None:
    sparse = walk_forward(Minutes.of(columns(CANDLES)), [5], every=15)[0]
    assert (sparse.cutoffs % 15 == 0).all()
    chosen = np.isin(forecasts[1].cutoffs, sparse.cutoffs)
    assert np.array_equal(forecasts[1].cutoffs[chosen], sparse.cutoffs)
    assert np.array_equal(forecasts[1].quantiles[chosen], sparse.quantiles)


def test_a_minute_without_a_candle_is_neither_cutoff_nor_target() -> None:
    missing = FIRST + 100
    result = walk_forward(Minutes.of(columns([*CANDLES[:missing], *CANDLES[missing + 1 :]])), [5])[0]
    assert not np.isin([at(missing), at(missing - 5)], result.cutoffs).any()
    assert np.isin([at(missing - 1), at(missing + 1), at(missing - 6)], result.cutoffs).all()


def test_fits_are_a_day_apart_from_the_middle_on() -> None:
    assert list(refits(10 * DAY)) == [5 * DAY + day * DAY for day in range(5)]
    steps: list[int] = []
    walk_forward(Minutes.of(columns(CANDLES)), [1], progress=steps.append)
    assert steps == [1] * len(refits(len(CANDLES)))


@pytest.mark.parametrize("count", [10, 2 * DAY - 2])
def test_a_history_whose_first_half_is_too_short_or_without_a_known_outcome_is_refused(count: int) -> None:
    """After the first half of the sparse one there is a trade every twenty minutes."""
    with pytest.raises(UnusableHistory, match="1,440 are needed"):
        walk_forward(Minutes.of(columns(CANDLES[:count])))
    sparse = [later([candle], 19 * number)[0] for number, candle in enumerate(CANDLES[1500:1600])]
    with pytest.raises(UnusableHistory, match="no forecast 15 minutes ahead has a known outcome"):
        walk_forward(Minutes.of(columns([*CANDLES[:1500], *sparse])), [15])


def test_volatility_is_that_of_the_last_1440_minutes() -> None:
    """Missing minutes do not move, also in a long gap, after which the price moves at once."""
    candles = [*CANDLES[: 2 * DAY], *later(CANDLES[2 * DAY : 2 * DAY + 600], 100)]
    minutes = Minutes.of(columns(candles))
    result = last_day_volatility(minutes)
    assert np.isnan(result[:DAY]).all()
    by_opening = {(candle.open_time - START).total_seconds() // 60: math.log(candle.close) for candle in candles}
    prices = [by_opening[0]]
    for minute in range(1, 2 * DAY + 700):
        prices.append(by_opening.get(minute, prices[-1]))
    returns = np.diff(prices)
    for row in (DAY, DAY + 777, 2 * DAY, len(candles) - 1):
        minute = int((candles[row].open_time - START).total_seconds()) // 60
        assert result[row] == pytest.approx(returns[minute - DAY : minute].std(ddof=1), rel=1e-9)


def test_scores_follow_from_the_forecasts(forecasts: list[Forecasts]) -> None:
    """Straight from the definitions."""
    five = forecasts[1]
    result = score(five)
    band = 1.2815515655 * five.deviation
    low, high = five.quantiles[:, LEVELS.index(0.1)], five.quantiles[:, LEVELS.index(0.9)]
    winkler, reference = (
        np.mean(high - low + 10 * (np.maximum(low - five.actual, 0) + np.maximum(five.actual - high, 0)))
        for low, high in ((low, high), (five.persistence - band, five.persistence + band))
    )
    inside = (low <= five.actual) & (five.actual <= high)
    assert (result.horizon_minutes, result.forecasts) == (5, len(five.cutoffs))
    assert result.relative_winkler == pytest.approx(winkler / reference, rel=1e-6)
    assert result.relative_mae == pytest.approx(1.0)
    assert result.mape == pytest.approx(np.mean(np.abs(np.exp(five.predicted - five.actual) - 1)))
    assert result.coverage == pytest.approx(inside.mean())
    assert result.coverage_50 < result.coverage < result.coverage_90
    assert 0.5 < (result.relative_crps or 1) < 1
    calmest = np.argsort(five.deviation, kind="stable")[: len(inside) // 4]
    assert result.by_volatility[0] == pytest.approx(inside[calmest].mean(), abs=1e-3)
    morning = (five.cutoffs // 60 % 24 >= 6) & (five.cutoffs // 60 % 24 < 12)
    assert result.by_hours[1] == pytest.approx(inside[morning].mean())
    few = score(five.only(np.arange(len(inside)) < 3))  # parts of the day without a forecast have no share
    assert [share is None for share in few.by_hours].count(True) >= 3
    assert [share is None for share in few.by_volatility].count(True) == 1
