"""Gradient-boosted quantiles of scikit-learn: the size of tomorrow's move from the moves and ranges of the past.

It needs scikit-learn in rivals/requirements.txt. Fitting takes a second, so it is fitted once in thirty days.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

DAYS = (1, 7, 30)  # ahead; what lies between and beyond is scaled by the square root of time


def features(history: pd.DataFrame) -> np.ndarray:
    """Return one row a day: recent deviations and ranges, each in logarithms."""
    returns = np.log(history["close"]).diff()
    ranges = np.log(history["high"] / history["low"])
    columns = [returns.abs().ewm(halflife=days).mean() for days in (1, 4, 16, 64)]
    columns += [ranges.ewm(halflife=days).mean() for days in (1, 4, 16)]
    return np.log(np.column_stack(columns) + 1e-6)


class Boosting:
    """One regression for each of `DAYS` and each level of the forecast."""

    name = "boosting"
    refit_every = 30
    levels = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)

    def fit(self, history: pd.DataFrame) -> None:
        """Learn the quantiles of the moves over some days from what was known before them."""
        self.close, rows, logs = history["close"].iloc[-1], features(history), np.log(history["close"].to_numpy())
        self.newest = rows[-1:]
        self.models = {}
        for days in DAYS:
            moves = logs[days:] - logs[:-days]
            for level in self.levels:
                model = HistGradientBoostingRegressor(
                    loss="quantile", quantile=level, max_iter=30, max_depth=3, min_samples_leaf=40, random_state=0
                )
                self.models[days, level] = model.fit(rows[1:-days], moves[1:])

    def forecast(self, horizons: list[int], levels: list[float]) -> np.ndarray:
        """Return quantiles of prices."""
        known = {days: [self.models[days, level].predict(self.newest)[0] for level in self.levels] for days in DAYS}
        moves = []
        for horizon in horizons:
            nearest = max(days for days in DAYS if days <= horizon)
            moves.append(np.interp(levels, self.levels, np.sort(known[nearest])) * np.sqrt(horizon / nearest))
        return self.close * np.exp(moves)
