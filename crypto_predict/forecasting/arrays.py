"""What several parts of a forecast do with arrays, and what arrays are called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def spacing(days: IntArray) -> float:
    """The median distance of ascending days (n,), such as cutoffs; 1 where there are fewer than two."""
    return float(np.median(np.diff(days))) if len(days) > 1 else 1.0


def rolling_median(values: FloatArray, window: int) -> FloatArray:
    """The median of each `window` values in a row, (n - window + 1,); empty where there are fewer."""
    if len(values) < window:
        return np.empty(0)
    windows = np.lib.stride_tricks.sliding_window_view(values, window)
    return np.asarray(np.median(windows, axis=1), dtype=np.float64)


def at_horizons(values: FloatArray | Sequence[float], known: Sequence[int], wanted: Sequence[int]) -> FloatArray:
    """Values by horizon at other horizons: linear in the logarithm of the horizon, constant beyond both ends.

    Args:
        values: (k,)
        known: (k,) the horizons of the values, ascending.
        wanted: (n,)
    """
    return np.asarray(np.interp(np.log(wanted), np.log(known), values), dtype=np.float64)
