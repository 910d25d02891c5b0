"""The central interval around the curve, as distances in log price."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from crypto_predict.baked.schema import COVERAGE, HORIZON_DAYS, Band

FloatArray = npt.NDArray[np.float64]

_TAIL = (1 - COVERAGE) / 2


def fitted_band(residuals: FloatArray) -> Band:
    """The band that holds the central 80 % of in-sample `residuals` (n,), actual minus fitted in log price."""
    low, high = np.quantile(residuals, [_TAIL, 1 - _TAIL])
    return Band(min(0.0, float(low)), max(0.0, float(high)))


def random_walk_bands(log_close: FloatArray, span_days: int) -> tuple[Band, ...]:
    """The bands for 1 to 365 days ahead if log price is a driftless Gaussian random walk: z sigma sqrt(h).

    Sigma squared is the realised variance a day, the sum of squared log returns over the days they span (Andersen,
    Bollerslev, Diebold and Labys, "Modeling and Forecasting Realized Volatility", Econometrica 71, 2003), so that a gap
    in the history widens nothing.

    Args:
        log_close: (n,) natural logarithm of closes, n >= 2.
        span_days: From the first close to the last.
    """
    returns = np.diff(log_close)  # (n - 1,)
    sigma = float(np.sqrt(np.sum(returns**2) / span_days))
    reach = NormalDist().inv_cdf(1 - _TAIL) * sigma
    return tuple(Band(-reach * horizon**0.5, reach * horizon**0.5) for horizon in range(1, HORIZON_DAYS + 1))
