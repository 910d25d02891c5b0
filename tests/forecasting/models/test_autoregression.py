"""The autoregression, against statsmodels."""

import numpy as np
import pytest
from statsmodels.tsa.ar_model import AutoReg

from crypto_predict.forecasting.models.autoregression import LAGS, estimate, increments
from crypto_predict.history.columns import FloatArray
from tests.support.markets import random_walk, trending

HORIZONS = np.array([1, 7, 30, 90])
MARKETS = {
    "a random walk": random_walk(1, 365),
    "a trending one": trending(2, 365, 0.6),
    "one that returns": trending(3, 365, -0.4),
    "a few weeks": random_walk(4, 40),
    "a stable coin": 1e-4 * np.random.default_rng(5).standard_normal(365),
}


@pytest.mark.parametrize("market", list(MARKETS))
def test_it_forecasts_as_statsmodels_also_days_after_the_estimation(market: str) -> None:
    log_close = MARKETS[market]
    expected = np.cumsum(AutoReg(np.diff(log_close), LAGS).fit().forecast(90))[HORIZONS - 1]
    assert ahead(log_close, log_close) == pytest.approx(expected, rel=1e-8, abs=1e-12)
    returns, past = np.diff(log_close), log_close[:-6]
    expected = np.cumsum(AutoReg(returns, LAGS).predict(estimate(past), start=len(returns), end=len(returns) + 89))
    assert ahead(past, log_close) == pytest.approx(expected[HORIZONS - 1], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    "log_close", [np.zeros(60), np.linspace(5.0, 6.0, 60), 0.1 * (np.arange(90.0) % 7)], ids=["flat", "line", "week"]
)
def test_a_market_that_does_not_identify_the_coefficients_is_continued(log_close: FloatArray) -> None:
    """A market that does not move stays, a line goes on, and a week repeats."""
    longer = np.concatenate([log_close, log_close[-7:] + log_close[-1] - log_close[-8]])
    assert ahead(log_close, log_close)[:2] == pytest.approx((longer[[-7, -1]] - log_close[-1]).tolist(), abs=1e-9)


def ahead(past: FloatArray, log_close: FloatArray) -> FloatArray:
    """The increments after `log_close`, with the coefficients of the closes `past` alone."""
    return np.asarray(increments(estimate(past), np.diff(log_close)[: -LAGS - 1 : -1], HORIZONS))
