"""``deribit``: the range that prices of options imply, by the volatility index of the exchange Deribit."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.history.columns import FloatArray

STALEST = 3  # days that the index may lie before the newest close
_YEAR = 365.25  # days


class Deribit:
    """The price stays as it is; its moves have the deviation that options imply, from a normal distribution."""

    name, refit_every, updates = "deribit", 1, False

    def __init__(self, index: Mapping[date, float]) -> None:
        """Take the annualised deviations at the closes of days, at least one."""
        self._index, self.first_cutoff = index, min(index)

    def fit(self, history: pd.DataFrame) -> None:
        """Take the index at the newest close."""
        newest: date = history.index[-1].date()
        days = [day for back in range(STALEST + 1) if (day := newest - timedelta(days=back)) in self._index]
        if not days:
            raise ModelFailed(self.name, f"the index of {newest} is missing")
        self._close, self._deviation = float(history["close"].iloc[-1]), self._index[days[0]] / math.sqrt(_YEAR)

    update = fit

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Return (horizons, levels) quantiles."""
        moves = self._deviation * np.sqrt(horizons)[:, None] * ndtri(levels)
        return np.asarray(self._close * np.exp(moves))
