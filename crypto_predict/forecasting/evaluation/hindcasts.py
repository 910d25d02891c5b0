"""What a model has forecast in the past, out of sample, in the form in which it is baked."""

import numpy as np

from crypto_predict.baked.models import HINDCAST_HORIZONS, Hindcast, move_text
from crypto_predict.baked.schema import HIGH, LOW
from crypto_predict.forecasting.evaluation.harness import Issued
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.market.forecast import LEVELS

LONGEST = 1_826  # days before the newest close: five years
DAILY = 58 * 7  # days of which every cutoff is baked; of those before them one a week, or files would be twice as large
_UNIT = 1e-4  # of log price
_MOST = 2**15 - 1


def hindcast(issued: Issued, series: DailySeries, first: int) -> Hindcast | None:
    """Return the forecasts that a model has made since the day `first`, an ordinal; None if it has made none.

    Horizons that it has at less than half of its cutoffs are left out, and cutoffs without one of the others.
    """
    horizons = [horizon for horizon in HINDCAST_HORIZONS if horizon in issued.horizons]
    columns = [issued.horizons.index(horizon) for horizon in horizons]
    low, high = (issued.quantiles[:, columns, LEVELS.index(level)] for level in (LOW, HIGH))
    moves = np.stack([low, issued.points[:, columns], high], axis=2) - series.log_close[issued.cutoffs][:, None, None]
    ages = len(series) - 1 - issued.cutoffs
    usable = series.known[issued.cutoffs] & (series.days[issued.cutoffs] >= first) & (ages < LONGEST)
    finite = np.isfinite(moves).all(axis=2) & usable[:, None]  # (m, horizons)
    counts = finite.sum(axis=0)
    often = (counts > 0) & (2 * counts >= counts.max(initial=0))
    complete = np.flatnonzero(finite[:, often].all(axis=1))[::-1]  # the newest first
    if not often.any() or not len(complete):
        return None
    weeks = np.where(ages[complete] < DAILY, ages[complete], DAILY + ages[complete] // 7)
    rows = complete[np.unique(weeks, return_index=True)[1]][::-1]
    scaled = np.clip(np.rint(moves[rows][:, often] / _UNIT), -_MOST, _MOST).astype(int)
    return Hindcast(
        cutoffs=tuple((series.days[issued.cutoffs[rows]] - first).tolist()),
        horizons=tuple(horizon for horizon, is_often in zip(horizons, often, strict=True) if is_often),
        text=move_text(scaled.tolist()),
    )
