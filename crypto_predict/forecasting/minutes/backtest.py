"""Minute forecasts of the past, each made with what was known by then, and how they did.

The first half of a history is for the first fit. In the second half coefficients are fitted again every day on
everything before, and each minute is forecast with the newest ones, as the collector does: a walk-forward evaluation
with an expanding window (Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting
16, 2000).

Persistence forecasts that the price stays. Its band is Gaussian, with the standard deviation of the last day's returns
of one minute times the root of the horizon, and centred on the newest price.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.intraday import figures
from crypto_predict.forecasting.minutes.features import DAY, Minutes
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.history.columns import FloatArray

HORIZONS = (1, 5, 15)  # minutes, scored by default
REFIT = DAY  # minutes from one fit to the next

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class MinuteBacktest:
    """How the forecasts of one horizon did. Errors are of log price; ratios are to persistence, below 1 is better."""

    horizon_minutes: int
    forecasts: int
    mape: float  # mean absolute percentage error of the price, as a share
    relative_mae: float | None  # None where persistence is never wrong
    relative_winkler: float | None  # of the 80 % interval
    relative_crps: float | None
    coverage_50: float  # share of outcomes inside the central interval
    coverage: float  # of 80 %
    coverage_90: float
    # Coverage of 80 %; None without a forecast.
    by_volatility: tuple[float | None, ...]  # in each quarter of the volatility at the cutoff, the calmest first
    by_hours: tuple[float | None, ...]  # of cutoffs in each six hours of the UTC day


def refits(count: int) -> range:
    """Return the rows, of so many minutes, before which coefficients are fitted: from the middle on, once a day."""
    return range(count // 2, count, REFIT)


def walk_forward(
    minutes: Minutes, horizons: Sequence[int] = HORIZONS, every: int = 1, progress: Progress = bool
) -> list[Forecasts]:
    """Return the forecasts of the second half of a history of minutes, by horizon.

    Cutoffs are whole multiples of `every` minutes since 1970, those without a candle or with a fault left out.
    `progress` is called with 1 after each fit.

    Raises:
        UnusableHistory: The first half is too short for a fit, or no forecast has a known outcome.
    """
    blocks, coefficients, first = [], None, len(minutes) // 2
    for row in refits(len(minutes)):
        with threadpool_limits(1):  # the matrices are small: threads would only wait for one another
            # What was known at the close before: no move that ends later.
            coefficients = Coefficients.fit(minutes[:row], coefficients)
        day = minutes[row : row + REFIT]
        blocks.append(coefficients.moves(day.known, day.minute))
        progress(1)
    points, quantiles = (np.concatenate([block[part] for block in blocks]) for part in (0, 1))
    volatility = last_day_volatility(minutes)
    cutoffs = minutes.can_speak & (np.arange(len(minutes)) >= first) & ((minutes.minute + 1) % every == 0)
    forecasts = []
    for horizon in horizons:
        moves = minutes.moves(horizon)
        rows = np.flatnonzero(cutoffs & ~np.isnan(moves) & ~np.isnan(volatility))
        if not len(rows):
            raise UnusableHistory("the minutes", [f"no forecast {horizon} minutes ahead has a known outcome"])
        price = minutes.log_close[rows]
        forecasts.append(
            Forecasts(
                horizon,
                minutes.minute[rows] + 1,
                actual=price + moves[rows],
                predicted=price + points[rows - first, horizon - 1],
                persistence=price,
                quantiles=price[:, None] + quantiles[rows - first, horizon - 1],
                deviation=volatility[rows] * np.sqrt(horizon),
            )
        )
    return forecasts


def last_day_volatility(minutes: Minutes) -> FloatArray:
    """Return (n,) the standard deviation of the returns of the last 1,440 minutes; NaN before there are as many.

    Over missing minutes the price does not move; over a gap it moves at once, in the minute after it.
    """
    grid = np.arange(minutes.minute[0], minutes.minute[-1] + 1)
    latest = np.searchsorted(minutes.minute, grid, side="right") - 1
    returns = np.diff(minutes.log_close[latest], prepend=minutes.log_close[0])
    volatility = np.full(len(grid), np.nan)
    total, squares = np.cumsum(returns), np.cumsum(returns**2)
    sums = total[DAY:] - total[:-DAY]
    variance = (squares[DAY:] - squares[:-DAY] - sums**2 / DAY) / (DAY - 1)
    volatility[DAY:] = np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(volatility[minutes.minute - grid[0]])


def score(forecasts: Forecasts) -> MinuteBacktest:
    """Return how forecasts did, beside persistence."""
    return MinuteBacktest(horizon_minutes=forecasts.horizon, **figures(forecasts, DAY, forecasts.deviation))
