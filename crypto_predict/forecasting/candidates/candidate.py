"""The contract of a candidate: a model that is replayed at every cutoff, scored, and weighed by the combination.

A candidate is a function ``forecast(past, later, steps, horizons)``, which forecasts the change of log price at the k
cutoffs from one estimation to the next. `past` is the longest history that the estimation may see, up to its day, and
`later` has the days from there to the last cutoff: the history of a cutoff is `past` and the first so many `steps` (k,)
of `later`. `horizons` (h,) are days ahead. Where the answer is not finite, or `numpy.linalg.LinAlgError` is raised, the
forecast is persistence: increments of zero.

Parameters are estimated once a week, on Sundays. Until the next estimation they stay what they are, and the forecast
goes on with every further close. The day of the week is fixed, so that the same closes give the same estimates whenever
a history starts.
"""

from collections.abc import Callable
from typing import NamedTuple

from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

WINDOW = 365  # days that most candidates see: a market that moved differently before does not help with the next weeks
WEEK = 7  # days from one estimation to the next


def last_year(past: DailySeries, later: DailySeries) -> tuple[FloatArray, FloatArray]:
    """Return the log closes of the last year of `past` (n,), and of the days `later` (d,).

    They are relative to the last one of `past`: then forecasts are increments, and a flat market is zero.
    """
    last = past.log_close[-1]
    return past.log_close[-WINDOW:] - last, later.log_close - last


class Forecast(NamedTuple):
    """The forecasts of a candidate at the k cutoffs of a week; NaN where it cannot be fitted."""

    increments: FloatArray  # (k, horizons) of log price since the cutoff
    curve: FloatArray | None = None  # (k, horizons) log price, of Prophet: it does not start at the newest close
    noise: FloatArray | None = None  # (k,) standard deviation of the closes around its curve, in log price


Candidate = Callable[[DailySeries, DailySeries, IntArray, IntArray], Forecast]
