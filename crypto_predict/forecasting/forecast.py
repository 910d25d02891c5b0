"""One pair's forecast: Prophet's curve, the level correction and the bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crypto_predict.baked import evaluation
from crypto_predict.baked.evaluation import Curve
from crypto_predict.baked.schema import PairForecast
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.bands import fitted_band, random_walk_bands
from crypto_predict.forecasting.prophet_fit import ProphetFit, fit_prophet
from crypto_predict.history import History


@dataclass(frozen=True)
class FittedForecast:
    """A forecast ready to be baked, and the Prophet model inside it."""

    forecast: PairForecast
    prophet: ProphetFit


def forecast_pair(history: History, seed: int) -> FittedForecast:
    """Fit one pair's daily history.

    Prophet's curve smooths over the last weeks, so at the end of the history it stands well off the market; forecasting
    from there costs six times the error of "tomorrow equals today". The level correction moves the curve so that the
    forecast starts at the last known price and takes from Prophet only what it adds to it.

    Raises:
        UnusableHistory: Its prices differ so wildly that the forecast would leave the range of numbers.
    """
    prophet = fit_prophet(history, seed)
    trend, seasonalities = prophet.trend(), prophet.seasonalities()
    curve = Curve(prophet.scale, trend, seasonalities)
    days = [candle.open_time.toordinal() for candle in history.candles]
    residuals = prophet.log_close - np.array([curve.at(day) for day in days])  # (n,)
    forecast = PairForecast(
        first=history.candles[0].open_time.date(),
        last=history.candles[-1].open_time.date(),
        last_close=history.candles[-1].close,
        scale=prophet.scale,
        trend=trend,
        seasonalities=seasonalities,
        level_correction=float(residuals[-1]),
        fitted_band=fitted_band(residuals),
        forecast_bands=random_walk_bands(prophet.log_close, span_days=days[-1] - days[0]),
    )
    if faults := evaluation.faults(forecast):
        raise UnusableHistory(f"{history.pair} from {history.source}", [f"no forecast can be made of it: {faults[0]}"])
    return FittedForecast(forecast, prophet)
