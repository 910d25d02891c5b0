"""The bands around the curve, as distances in log price."""

from __future__ import annotations

import numpy as np

from crypto_predict.baked.schema import COVERAGE, Band
from crypto_predict.forecasting.arrays import FloatArray

_TAIL = (1 - COVERAGE) / 2


def fitted_band(residuals: FloatArray) -> Band:
    """The band that holds the central 80 % of in-sample `residuals` (n,), actual minus fitted in log price."""
    low, high = np.quantile(residuals, [_TAIL, 1 - _TAIL])
    return Band(min(0.0, float(low)), max(0.0, float(high)))


def forecast_bands(half_widths: FloatArray, increments: FloatArray) -> tuple[Band, ...]:
    """The bands around a forecast that are centred on the price it sets out from.

    Args:
        half_widths: (n,) half-widths around the anchor by horizon, in log price.
        increments: (n,) how far the forecast is from the anchor.
    """
    rows = zip(half_widths.tolist(), increments.tolist(), strict=True)
    return tuple(
        Band(min(0.0, -half_width - increment), max(0.0, half_width - increment)) for half_width, increment in rows
    )
