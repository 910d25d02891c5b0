"""Forecasts of hours in the past, each made with what was known by then, and how they did.

The distribution learns anew every week from everything before (`distribution.hours`), and every hour is forecast: a
walk-forward evaluation with an expanding window. Scores are of the second half of a history; the first half is for the
first fits, and for choices.

Persistence forecasts that the price stays. Its band is Gaussian, with the standard deviation of the returns of one hour
over the past 30 days, or the last 24 hours, times the root of the horizon.
"""

from collections.abc import Sequence

import numpy as np

from crypto_predict.baked.schema import HourScore
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.distribution.hours import DAY, LEAST_HISTORY, Hours
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.intraday import figures
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

HORIZONS = (1, 3, 6, 12, 24)  # hours, scored by default
MONTH = 30 * DAY  # hours: the window of persistence's band


def check_length(hours: Hours) -> None:
    """Raise `UnusableHistory` if a history is too short for a forecast."""
    if len(hours) < LEAST_HISTORY:
        raise UnusableHistory("the hours", [f"{len(hours)} usable candles, {LEAST_HISTORY} are needed"])


def due(hours: Hours, issued: FloatArray, horizons: Sequence[int], every: int = 1) -> list[Forecasts]:
    """Return the forecasts of the second half of a history whose outcome is known, by horizon.

    `issued` (n, horizons, 7) are those of `learn`. Cutoffs are whole multiples of `every` hours since 1970.

    Raises:
        UnusableHistory: No forecast has a known outcome.
    """
    volatility = hours.volatility(MONTH)
    cutoffs = (np.arange(len(hours)) >= len(hours) // 2) & ((hours.hour + 1) % every == 0) & ~np.isnan(volatility)
    result = []
    for place, horizon in enumerate(horizons):
        moves = hours.moves(horizon)
        rows = np.flatnonzero(cutoffs & ~np.isnan(moves) & ~np.isnan(issued[:, place, 0]))
        if not len(rows):
            raise UnusableHistory("the hours", [f"no forecast {horizon} hours ahead has a known outcome"])
        price = hours.log_close[rows]
        quantiles = price[:, None] + issued[rows, place]
        result.append(
            Forecasts(
                horizon,
                hours.hour[rows] + 1,
                actual=price + moves[rows],
                predicted=quantiles[:, LEVELS.index(0.5)],
                persistence=price,
                quantiles=quantiles,
                deviation=volatility[rows] * np.sqrt(horizon),
            )
        )
    return result


def score(hours: Hours, forecasts: Forecasts) -> HourScore:
    """Return how forecasts did, beside persistence."""
    day = hours.volatility(DAY)[np.searchsorted(hours.hour, forecasts.cutoffs - 1)]
    reach = GAUSSIAN * day * np.sqrt(forecasts.horizon)
    last_day = interval_score(forecasts.actual, forecasts.persistence - reach, forecasts.persistence + reach, 0.8)
    winkler = float(forecasts.losses()["winkler"].mean())
    return HourScore(
        horizon_hours=forecasts.horizon,
        relative_winkler_day=winkler / float(last_day.mean()) if last_day.mean() > 0 else None,
        **figures(forecasts, DAY, day),
    )
