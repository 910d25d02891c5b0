"""The scores that forecasts of minutes and of hours share, beside those of persistence."""

from typing import Any

import numpy as np

from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.metrics import mape
from crypto_predict.history.columns import BoolArray, FloatArray, IntArray

QUARTERS = 4  # of the volatility at the cutoff, and of the day


def figures(forecasts: Forecasts, day: int, volatility: FloatArray) -> dict[str, Any]:
    """Return the scores by name; None where persistence is never wrong, or where a quarter has no forecast.

    A day has `day` units of the cutoffs. `volatility` (n,) is that of the last day at each cutoff.
    """
    count, losses, inside = len(forecasts.actual), forecasts.losses(), forecasts.inside()
    scores: dict[str, Any] = {name: float(hits.mean()) for name, hits in inside.items()}
    for name, reference in forecasts.reference_losses().items():
        scores[f"relative_{name}"] = float(losses[name].mean() / reference.mean()) if reference.mean() > 0 else None
    by_volatility = np.empty(count, dtype=np.int64)
    by_volatility[np.argsort(volatility, kind="stable")] = np.arange(count) * QUARTERS // count
    return scores | {
        "forecasts": count,
        "mape": mape(np.exp(forecasts.actual), np.exp(forecasts.predicted)),
        "by_volatility": _shares(inside["coverage"], by_volatility),
        "by_hours": _shares(inside["coverage"], forecasts.cutoffs % day * QUARTERS // day),
    }


def _shares(inside: BoolArray, quarter: IntArray) -> tuple[float | None, ...]:
    """Return the share inside in each quarter; None where it is empty."""
    parts = (inside[quarter == number] for number in range(QUARTERS))
    return tuple(float(part.mean()) if len(part) else None for part in parts)
