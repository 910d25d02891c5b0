"""Forecasts that somebody has published, from a CSV: ``cutoff,target,level,price``.

A row is one quantile of the close of the day `target`, forecast at the close of the day `cutoff`; a forecast whose rows
have no level is a point. Levels that are not among ours are interpolated, linearly in log price over the normal scores
of the levels.
"""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

MOST_ROWS = 5_000_000

Published = dict[tuple[int, int], FloatArray]  # (7,) log prices by the cutoff's ordinal and the horizon in days


def read_published(path: Path) -> tuple[Published, bool]:
    """Return the forecasts of a file, and whether they are points, all seven values of which are equal.

    Raises:
        ModelFailed: It cannot be read, or a value is not a day, a level or a price.
    """
    name = path.stem
    try:
        table = pd.read_csv(path, nrows=MOST_ROWS, skipinitialspace=True)
    except (OSError, ValueError) as error:  # a parser's error is a ValueError, too
        raise ModelFailed(name, f"{path.name} cannot be read: {' '.join(str(error).split()):.100}") from error
    table.columns = table.columns.str.strip().str.lower()
    if missing := {"cutoff", "target", "price"} - set(table.columns):
        raise ModelFailed(name, f"{path.name} has no column {', '.join(sorted(missing))}")
    try:
        cutoffs, targets = (
            pd.to_datetime(table[column], utc=True).map(pd.Timestamp.toordinal) for column in ("cutoff", "target")
        )
        levels = pd.to_numeric(table["level"]) if "level" in table else pd.Series(np.nan, table.index)
        prices = pd.to_numeric(table["price"])
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelFailed(name, f"{path.name} has a value that cannot be read: {error!s:.100}") from error
    for fault, wrong in (
        ("target is not after its cutoff", targets <= cutoffs),
        ("level is not between 0 and 1", ~(levels.isna() | levels.between(0, 1, inclusive="neither"))),
        ("price is not a positive number", ~((prices > 0) & np.isfinite(prices))),
    ):
        if wrong.any():
            raise ModelFailed(name, f"{path.name}, row {int(np.argmax(wrong)) + 2}: the {fault}")
    rows = defaultdict[tuple[int, int], list[tuple[float, float]]](list)
    for cutoff, target, level, price in zip(cutoffs, targets, levels, prices, strict=True):
        rows[cutoff, target - cutoff].append((level, price))
    if not rows:
        raise ModelFailed(name, f"{path.name} has no rows")
    are_points = bool(levels.isna().all())
    return {place: _quantiles(name, quantiles, are_points) for place, quantiles in rows.items()}, are_points


def _quantiles(name: str, quantiles: list[tuple[float, float]], are_points: bool) -> FloatArray:
    """Return (7,) the log prices at `LEVELS` of one forecast."""
    if are_points:
        return np.full(len(LEVELS), np.log(quantiles[0][1]))
    ascending = sorted({level: price for level, price in quantiles if not math.isnan(level)}.items())
    if len(ascending) < 2:
        raise ModelFailed(name, "a forecast has fewer than two levels")
    scores, prices = ndtri([level for level, _ in ascending]), np.log([price for _, price in ascending])
    if (np.diff(prices) < 0).any():
        raise ModelFailed(name, "the quantiles of a forecast cross")
    slopes, wanted = np.diff(prices) / np.diff(scores), ndtri(LEVELS)
    beyond = np.minimum(wanted - scores[0], 0) * slopes[0] + np.maximum(wanted - scores[-1], 0) * slopes[-1]
    return np.asarray(np.interp(wanted, scores, prices) + beyond)
