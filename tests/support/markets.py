"""Markets of seeded random numbers, with known predictability: daily log closes. Real ones, if they are at hand."""

import functools
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.evaluation.replay import ProphetReplay, replay_prophet
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market import Candle
from tests.support.histories import history_of, read_candles

DATA = Path(__file__).parents[3] / "shared" / "data"
FIRST_DAY = 737_425  # 2020-01-01
DAILY = 0.03  # the standard deviation of a day's return


@functools.cache
def real_days(base: str) -> list[Candle]:
    """Return every daily candle of a real market; skip the test if its file is not there."""
    path = DATA / f"binance_{base}-USDT_1d.csv"
    if not path.exists():
        pytest.skip(f"needs the real history {path.name}")
    return read_candles(path)


def real_series(base: str) -> DailySeries:
    return DailySeries.of(history_of(real_days(base)))


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


def series_of(log_close: FloatArray, missing: Collection[int] = (), volume: FloatArray | None = None) -> DailySeries:
    """These closes as a series; the days in `missing` have no candle and repeat the close before.

    A day opens at the close before. Its range is that of a random walk from there to its close, whose variance is that
    of the last week's returns: later closes change no candle.
    """
    count = len(log_close)
    known = ~np.isin(np.arange(count), list(missing))
    latest = np.maximum.accumulate(np.where(known, np.arange(count), 0))
    opens = np.concatenate([log_close[:1], log_close[:-1]])
    squares = np.cumsum((log_close - opens) ** 2)
    variance = (squares - np.concatenate([np.zeros(7), squares])[:count]) / np.minimum(np.arange(1, count + 1), 7)
    # The maximum of a Brownian bridge has a Rayleigh distribution; that of the minimum is taken as independent.
    uniform = np.random.default_rng(0).random((2, 10_000))[:, :count]
    up, down = (np.sqrt((log_close - opens) ** 2 - 2 * variance * np.log(one)) for one in uniform)
    middle = (opens + log_close) / 2
    return DailySeries(
        np.arange(FIRST_DAY, FIRST_DAY + count),
        log_close[latest],
        known,
        log_open=np.where(known, opens, log_close[latest]),
        log_high=np.where(known, middle + up / 2, log_close[latest]),
        log_low=np.where(known, middle - down / 2, log_close[latest]),
        volume=np.where(known, np.full(count, 1000.0) if volume is None else volume, 0.0),
    )


def _returns(seed: int, days: int) -> FloatArray:
    """GARCH(1,1) with Student's t of five degrees of freedom, like daily returns of a currency."""
    shocks = np.random.default_rng(seed).standard_t(5, days) * (3 / 5) ** 0.5
    returns, variance = np.empty(days), DAILY**2
    for day, shock in enumerate(shocks):
        returns[day] = variance**0.5 * shock
        variance = 0.03 * DAILY**2 + 0.1 * returns[day] ** 2 + 0.87 * variance
    return returns


NOISE = 0.1  # standard deviation around the curve


def prophet_replay(
    series: DailySeries, cutoffs: IntArray, horizons: Sequence[int], curve: FloatArray | None = None
) -> ProphetReplay:
    """Return a backtest with Prophet's `curve` (m, knots and horizons, ascending); None: it was never fitted."""
    asked = sorted({*KNOTS, *horizons})
    rows = np.full((len(cutoffs), len(asked)), np.nan) if curve is None else curve
    noise = np.where(np.isfinite(rows).all(axis=1), NOISE, np.nan)
    return replay_prophet(series, cutoffs, asked, rows, noise)
