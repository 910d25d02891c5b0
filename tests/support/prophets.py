"""Backtests of Prophet with a given curve."""

from collections.abc import Sequence

import numpy as np

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.candidates.prophet_alone import ProphetReplay, replay_prophet
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

NOISE = 0.1  # standard deviation around the curve


def prophet_replay(
    series: DailySeries, cutoffs: IntArray, horizons: Sequence[int], curve: FloatArray | None = None
) -> ProphetReplay:
    """Return a backtest with Prophet's `curve` (m, knots and horizons, ascending); None: it was never fitted."""
    asked = sorted({*KNOTS, *horizons})
    rows = np.full((len(cutoffs), len(asked)), np.nan) if curve is None else curve
    noise = np.where(np.isfinite(rows).all(axis=1), NOISE, np.nan)
    return replay_prophet(series, cutoffs, asked, rows, noise)
