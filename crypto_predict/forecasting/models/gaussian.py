"""``gaussian``: the price stays as it is, and its moves are those of the past year, from a normal distribution."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crypto_predict.history.columns import FloatArray

YEAR = 365  # days of returns


class Gaussian:
    """A random walk of log price with the standard deviation of the past year's daily returns."""

    name, refit_every, updates, first_cutoff = "gaussian", 1, False, None

    def fit(self, history: pd.DataFrame) -> None:
        """Measure the deviation."""
        closes = history["close"].to_numpy()[-YEAR - 1 :]
        self._close, self._deviation = closes[-1], np.std(np.diff(np.log(closes)), ddof=1)

    update = fit

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Return (horizons, levels) quantiles."""
        moves = self._deviation * np.sqrt(horizons)[:, None] * ndtri(levels)
        return np.asarray(self._close * np.exp(moves))
