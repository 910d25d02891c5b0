"""One pair's forecast: the combination of Prophet with the other candidates, from the newest price, and its bands."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from crypto_predict.baked import evaluation
from crypto_predict.baked.evaluation import Curve
from crypto_predict.baked.schema import HORIZON_DAYS, Anchor, PairForecast
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.arrays import FloatArray, at_horizons
from crypto_predict.forecasting.candidates.models import CANDIDATES, PROPHET
from crypto_predict.forecasting.candidates.prophet_fit import ProphetFit, fit_prophet
from crypto_predict.forecasting.distribution.bands import fitted_band, forecast_bands
from crypto_predict.forecasting.distribution.interval import half_widths_ahead
from crypto_predict.forecasting.evaluation.replay import Replay
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History
from crypto_predict.market import DAY

_AHEAD = np.arange(1, HORIZON_DAYS + 1)


@dataclass(frozen=True)
class FittedForecast:
    """A forecast ready to be baked, and the Prophet model inside it."""

    forecast: PairForecast
    prophet: ProphetFit


def forecast_pair(history: History, anchor: Anchor, replay: Replay | None, seed: int) -> FittedForecast:
    """Fit one pair's daily history.

    Args:
        history: Daily candles.
        anchor: The newest price, at or after the last candle's close and before the next one's.
        replay: The backtest over the same history and what was before it, whose last cutoff is its last day: weights
            and intervals come from it. None if the history is too short for one; then the forecast is persistence, and
            Prophet alone has no interval.
        seed: For Prophet's optimiser.

    Raises:
        UnusableHistory: Its prices differ so wildly that the forecast would leave the range of numbers.
    """
    series = DailySeries.of(history) if replay is None else replay.series
    prophet = fit_prophet(history, seed)
    trend, seasonalities = prophet.trend(), prophet.seasonalities()
    curve = Curve(prophet.scale, trend, seasonalities)
    days = history.candles.days.tolist()
    residuals = prophet.log_close - np.array([curve.at(day) for day in days])  # (n,)
    elapsed = (anchor.at - history.candles[-1].open_time) / DAY - 1  # of the day after the last candle
    ahead = np.array([curve.at(days[-1] + horizon) for horizon in (0, *_AHEAD.tolist())])  # (366,)
    at_anchor = ahead[0] + elapsed * (ahead[1] - ahead[0])
    weights, others = _combination(replay, elapsed)
    move = math.log(anchor.price) - math.log(history.candles[-1].close)
    half_widths = half_widths_ahead(series.log_close, move, elapsed, _AHEAD.tolist())
    forecast = PairForecast(
        first=history.candles[0].open_time.date(),
        last=history.candles[-1].open_time.date(),
        last_close=history.candles[-1].close,
        anchor=anchor,
        scale=prophet.scale,
        trend=trend,
        seasonalities=seasonalities,
        level_correction=float(math.log(anchor.price) - at_anchor),
        prophet_weights=tuple(weights.tolist()),
        other_increments=tuple(others.tolist()),
        fitted_band=fitted_band(residuals),
        forecast_bands=forecast_bands(half_widths, weights * (ahead[1:] - at_anchor) + others),
        prophet_bands=(),
    )
    if faults := evaluation.faults(forecast):
        raise UnusableHistory(f"{history.pair} from {history.source}", [f"no forecast can be made of it: {faults[0]}"])
    if replay is not None:
        forecast = _with_prophet_bands(forecast, replay)
    return FittedForecast(forecast, prophet)


def _with_prophet_bands(forecast: PairForecast, replay: Replay) -> PairForecast:
    """The same with the interval of Prophet alone, unless that would leave the range of numbers."""
    complete = replace(forecast, prophet_bands=replay.prophet.bands())
    return forecast if evaluation.faults(complete) else complete


def _combination(replay: Replay | None, elapsed: float) -> tuple[FloatArray, FloatArray]:
    """Prophet's weight and what the other candidates add together since the anchor, both (365,).

    Beyond the longest horizon that was replayed nothing is added: Prophet's weight falls as its increments grow.
    """
    if replay is None:
        return np.zeros(HORIZON_DAYS), np.zeros(HORIZON_DAYS)
    weights = np.array([combination.weights[-1] for combination in replay.combinations])  # (horizons, candidates)
    weighted = weights * replay.predicted[-1].T  # (horizons, candidates)
    own = list(CANDIDATES).index(PROPHET)
    others = np.delete(weighted, own, axis=1).sum(axis=1)
    prophet = at_horizons(weights[:, own], replay.horizons, _AHEAD.tolist())
    prophet *= np.minimum(1.0, replay.horizons[-1] / _AHEAD)
    since_close = at_horizons(others, replay.horizons, _AHEAD.tolist())
    return prophet, since_close - elapsed * since_close[0]
