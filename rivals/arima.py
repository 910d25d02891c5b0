"""ARIMA(1,1,1) of statsmodels on the logarithm of the close. It forecasts a distribution; its quantiles are normal."""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.tsa.arima.model import ARIMA

name = "arima"


def forecast(history: pd.DataFrame, horizons: list[int], levels: list[float]) -> np.ndarray:
    """Fit the last two years, and return quantiles of prices."""
    closes = np.log(history["close"].to_numpy()[-730:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ahead = ARIMA(closes, order=(1, 1, 1)).fit().get_forecast(max(horizons))
    rows = np.array(horizons) - 1
    return np.exp(ahead.predicted_mean[rows, None] + ahead.se_mean[rows, None] * norm.ppf(levels))
