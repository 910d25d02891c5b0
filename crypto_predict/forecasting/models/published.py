"""Forecasts that somebody has published, from a CSV: ``cutoff,target,level,price``.

A row is one quantile of the close of the day `target`, forecast at the close of the day `cutoff`. Rows without a level
are points. Levels that are not among ours are interpolated: linearly in log price over the normal scores of the levels.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.history.columns import FloatArray

MOST_ROWS = 5_000_000


class Published:
    """A model that knows its forecasts by heart. Days without one give NaN: they are not compared."""

    refit_every, updates = 1, False

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ModelFailed: It is not such a file.
        """
        self.name = path.stem.replace("_", "-").lower()
        try:
            table = pd.read_csv(path, nrows=MOST_ROWS, skipinitialspace=True)
        except (OSError, ValueError) as error:  # a parser's error is a ValueError, too
            raise ModelFailed(self.name, f"{path.name} cannot be read: {error!s:.100}") from error
        table.columns = table.columns.str.strip().str.lower()
        if missing := {"cutoff", "target", "price"} - set(table.columns):
            raise ModelFailed(self.name, f"{path.name} has no column {', '.join(sorted(missing))}")
        try:
            for column in ("cutoff", "target"):
                table[column] = pd.to_datetime(table[column], utc=True).dt.normalize()
            levels = pd.to_numeric(table["level"]) if "level" in table else pd.Series(np.nan, table.index)
            prices = pd.to_numeric(table["price"])
        except (ValueError, TypeError, OverflowError) as error:
            raise ModelFailed(self.name, f"{path.name} has a value that cannot be read: {error!s:.100}") from error
        if table.empty:
            raise ModelFailed(self.name, f"{path.name} has no rows")
        horizons = (table["target"] - table["cutoff"]).dt.days
        self._quantiles: dict[tuple[pd.Timestamp, int], list[tuple[float, float]]] = {}
        for cutoff, horizon, level, price in zip(table["cutoff"], horizons, levels, prices, strict=True):
            self._quantiles.setdefault((cutoff, horizon), []).append((level, price))
        self._points = bool(levels.isna().all())
        self.first_cutoff: date | None = table["cutoff"].min().date()

    def fit(self, history: pd.DataFrame) -> None:
        """Note the cutoff."""
        self._cutoff = history.index[-1]

    update = fit

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Return (horizons, levels) quantiles, or (horizons,) points if the file has no levels."""
        rows = [self._row(horizon, levels) for horizon in horizons]
        return np.array([row[0] for row in rows]) if self._points else np.array(rows)

    def _row(self, horizon: int, levels: Sequence[float]) -> list[float]:
        quantiles = sorted(self._quantiles.get((self._cutoff, horizon), []))
        if not quantiles:
            return [np.nan] * len(levels)
        if self._points:
            return [quantiles[0][1]] * len(levels)
        scores, prices = ndtri([level for level, _ in quantiles]), np.log([price for _, price in quantiles])
        if len(scores) < 2:
            return [np.nan] * len(levels)
        slope_below = (prices[1] - prices[0]) / (scores[1] - scores[0])
        slope_above = (prices[-1] - prices[-2]) / (scores[-1] - scores[-2])
        wanted = ndtri(levels)
        inside = np.interp(wanted, scores, prices)
        below, above = np.minimum(wanted - scores[0], 0), np.maximum(wanted - scores[-1], 0)
        return list(np.exp(inside + below * slope_below + above * slope_above))
