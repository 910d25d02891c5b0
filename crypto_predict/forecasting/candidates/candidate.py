"""The contract of a candidate: a model that forecasts the change of log price from the last daily close.

Parameters are estimated once a week, on Sundays. Until the next estimation they stay what they are, and the forecast
goes on with every further close. The day of the week is fixed, so that the same closes give the same estimates whenever
a history starts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

WINDOW = 365  # days that most candidates see: a market that moved differently before does not help with the next weeks
WEEK = 7  # days from one estimation to the next


@dataclass(frozen=True)
class Week:
    """The k cutoffs from one estimation to the next, and the history up to the last of them.

    The history of a cutoff is `past` and the first `steps` days of `later`: open, high, low, close and volume.
    """

    past: DailySeries  # the longest history that an estimation may see; the last day is that of the estimation
    later: DailySeries  # (d,) the days after it, up to the last cutoff
    steps: IntArray  # (k,) days from the estimation to each cutoff: it may see that many of `later`

    @cached_property
    def window(self) -> FloatArray:
        """The last year of log closes up to the estimation, (n,).

        They are relative to the last one: then forecasts are increments, and a flat market is zero.
        """
        return np.asarray(self.past.log_close[-WINDOW:] - self.past.log_close[-1])

    @cached_property
    def later_closes(self) -> FloatArray:
        """Log closes of `later`, (d,), relative to that of the estimation."""
        return np.asarray(self.later.log_close - self.past.log_close[-1])


class Forecast(NamedTuple):
    """The forecasts of a candidate at the k cutoffs of a week; NaN where it cannot be fitted."""

    increments: FloatArray  # (k, horizons) of log price since the cutoff
    curve: FloatArray | None = None  # (k, horizons) log price, of a model that does not start at the newest close
    noise: FloatArray | None = None  # (k,) standard deviation of the closes around its curve, in log price


@dataclass(frozen=True)
class Candidate:
    """A model that is replayed at every cutoff, scored, and weighed by the combination.

    ``forecast(week, horizons)`` forecasts at each cutoff of the week, from nothing but the history up to it; `horizons`
    (h,) are days ahead. Where its answer is not finite, or it raises `numpy.linalg.LinAlgError`, the forecast is
    persistence: increments of zero.
    """

    name: str  # in model card and tables
    forecast: Callable[[Week, IntArray], Forecast]
