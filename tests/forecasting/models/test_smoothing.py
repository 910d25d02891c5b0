"""Exponential smoothing, against statsmodels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from crypto_predict.forecasting.models.smoothing import DampedTrend, Theta, estimate_level
from crypto_predict.history.columns import FloatArray
from tests.support.markets import random_walk, trending

HORIZONS = np.array([1, 7, 30, 90])
DAYS, LATER = 365, 6  # of the estimation, and after it

MARKETS = {
    "a random walk": random_walk(1, DAYS + LATER),
    "another": random_walk(2, DAYS + LATER),
    "a trending one": trending(3, DAYS + LATER, 0.6),
    "one that returns": trending(4, DAYS + LATER, -0.4),
    "a drift": 0.2 * random_walk(5, DAYS + LATER) + 0.003 * np.arange(DAYS + LATER),
    "a few weeks": random_walk(6, 40 + LATER),
}


@pytest.fixture(params=list(MARKETS))
def log_close(request: pytest.FixtureRequest) -> FloatArray:
    """Relative to the last close that an estimation sees, as in the backtest."""
    closes = MARKETS[request.param]
    return np.asarray(closes - closes[-LATER - 1])


def forecasts(model: DampedTrend | Theta, later: FloatArray) -> FloatArray:
    """Return (horizons,) the forecast after further closes."""
    for close in later.tolist():
        model = model.update(close)
    return model.forecast(HORIZONS)


@pytest.mark.parametrize("later", [0, 1, LATER])
@pytest.mark.parametrize(
    ("estimate", "options"),
    [
        (estimate_level, {}),
        (DampedTrend.estimate, {"trend": "add", "damped_trend": True}),
    ],
    ids=["local level", "damped trend"],
)
def test_smoothing_forecasts_as_statsmodels_with_the_parameters_of_the_estimation(
    estimate: Callable[[FloatArray], DampedTrend], options: dict[str, Any], log_close: FloatArray, later: int
) -> None:
    past, end = log_close[:-LATER], len(log_close) - LATER + later
    fit = ETSModel(past, **options).fit(disp=False)
    expected = ETSModel(log_close[:end], **options).smooth(fit.params).forecast(90)[HORIZONS - 1]
    assert forecasts(estimate(past), log_close[len(past) : end]) == pytest.approx(expected, abs=1e-12)


def test_theta_forecasts_as_statsmodels(log_close: FloatArray) -> None:
    """To within a thousandth of the price at all horizons: statsmodels stops a little before the optimum."""
    past = log_close[:-LATER]
    fit = ThetaModel(past, period=1, deseasonalize=False).fit()
    ours = Theta.estimate(past)
    assert ours.drift == pytest.approx(fit.params["b0"], rel=1e-9, abs=1e-15)
    assert ours.forecast(HORIZONS) == pytest.approx(np.asarray(fit.forecast(90))[HORIZONS - 1], abs=1e-3)
    assert squares(past, ours.alpha) <= squares(past, fit.params["alpha"]) * (1 + 1e-9)


@pytest.mark.parametrize("later", [0, 1, LATER])
def test_theta_goes_on_with_its_smoothing_and_keeps_its_drift(log_close: FloatArray, later: int) -> None:
    past, end = log_close[:-LATER], len(log_close) - LATER + later
    ours = Theta.estimate(past)
    level = smoothed(log_close[:end], ours.alpha).forecast(1)[0]
    lag = (1 - (1 - ours.alpha) ** end) / ours.alpha
    expected = level + ours.drift / 2 * (HORIZONS - 1 + lag)
    assert forecasts(ours, log_close[len(past) : end]) == pytest.approx(expected, abs=1e-12)


def squares(log_close: FloatArray, alpha: float) -> float:
    """The sum of squared errors one step ahead."""
    return float(smoothed(log_close, alpha).sse)


def smoothed(log_close: FloatArray, alpha: float) -> ExponentialSmoothing:
    model = ExponentialSmoothing(log_close, initial_level=log_close[0], initialization_method="known")
    return model.fit(smoothing_level=alpha, optimized=False)
