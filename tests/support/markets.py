"""Markets of seeded random numbers, with known predictability: daily log closes."""

from collections.abc import Collection

import numpy as np

from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray

FIRST_DAY = 737_425  # 2020-01-01
DAILY = 0.03  # the standard deviation of a day's return


def random_walk(seed: int, days: int) -> FloatArray:
    """Returns depend on each other only in size: quiet and wild times alternate, as in a GARCH process."""
    return 10 + np.cumsum(_returns(seed, days))


def shocked(seed: int, days: int, at: int, times: float = 3.0) -> FloatArray:
    """Return the market with every move from day `at` on multiplied by `times`."""
    returns = _returns(seed, days)
    returns[at:] *= times
    return 10 + np.cumsum(returns)


def trending(seed: int, days: int, share: float) -> FloatArray:
    """A market in which each day's return repeats a share of the one before: an AR(1) process."""
    returns = _returns(seed, days)
    for day in range(1, days):
        returns[day] += share * returns[day - 1]
    return 10 + np.cumsum(returns)


def series_of(log_close: FloatArray, missing: Collection[int] = ()) -> DailySeries:
    """These closes as a series; the days in `missing` have no candle and repeat the close before."""
    known = ~np.isin(np.arange(len(log_close)), list(missing))
    latest = np.maximum.accumulate(np.where(known, np.arange(len(log_close)), 0))
    return DailySeries(np.arange(FIRST_DAY, FIRST_DAY + len(log_close)), log_close[latest], known)


def _returns(seed: int, days: int) -> FloatArray:
    """GARCH(1,1) with Student's t of five degrees of freedom, like daily returns of a currency."""
    shocks = np.random.default_rng(seed).standard_t(5, days) * (3 / 5) ** 0.5
    returns, variance = np.empty(days), DAILY**2
    for day, shock in enumerate(shocks):
        returns[day] = variance**0.5 * shock
        variance = 0.03 * DAILY**2 + 0.1 * returns[day] ** 2 + 0.87 * variance
    return returns
