"""The daily forecast of one pair as it is baked: fitted curve, combined forecast from the newest price, quantiles."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from crypto_predict.baked import evaluation
from crypto_predict.baked.evaluation import Curve
from crypto_predict.baked.schema import COVERAGE, HORIZON_DAYS, KNOTS, Anchor, Band, PairForecast
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.combined.prophet_fit import fit_prophet
from crypto_predict.forecasting.distribution.days import learn
from crypto_predict.forecasting.distribution.quantiles import enclosing
from crypto_predict.forecasting.evaluation.replay import Replay
from crypto_predict.forecasting.evaluation.touches import curve_of
from crypto_predict.forecasting.series import DailySeries, at_horizons
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import DAY

_AHEAD = np.arange(1, HORIZON_DAYS + 1)
_TAIL = (1 - COVERAGE) / 2
_DECIMALS = 7  # of a log price as it is baked: a hundredth of a dollar for a price of 100,000


def forecast_pair(history: History, anchor: Anchor, replay: Replay | None, seed: int) -> tuple[PairForecast, Any]:
    """Fit one pair's daily history, with the weights and intervals of its backtest, whose last cutoff is the last day.

    Return the forecast that is ready to be baked, and its Prophet model.

    Without a `replay` the forecast is persistence, and Prophet alone has no interval. The price of `anchor` was traded
    at or after the last candle's close and before the next one's. `seed` is for Prophet's optimiser.

    Raises:
        UnusableHistory: Prices differ so much that the forecast would leave the range of numbers.
    """
    last = history.candles[-1]
    distribution = learn(DailySeries.of(history), KNOTS)[0] if replay is None else replay.distribution
    prophet, scale, trend, seasonalities = fit_prophet(history, seed)
    curve = Curve(scale, trend, seasonalities)
    days = history.candles.days.tolist()
    residuals = history.candles.log_close - np.array([curve.at(day) for day in days])  # (n,)
    elapsed = (anchor.at - last.open_time) / DAY - 1  # of the day after the last candle
    ahead = np.array([curve.at(days[-1] + horizon) for horizon in range(HORIZON_DAYS + 1)])
    at_anchor = ahead[0] + elapsed * (ahead[1] - ahead[0])
    weights = np.zeros(HORIZON_DAYS) if replay is None else _weights(replay)
    move = math.log(anchor.price) - math.log(last.close)
    combined = weights * (ahead[1:] - at_anchor)  # (365,) from the anchor
    quantiles = distribution.ahead(move, elapsed, _AHEAD.tolist()) - combined[:, None]
    baked = enclosing(quantiles, np.zeros(HORIZON_DAYS)).round(_DECIMALS)
    forecast = PairForecast(
        first=history.candles[0].open_time.date(),
        last=last.open_time.date(),
        last_close=last.close,
        closes=_by_day(days, history.candles.close),
        highs=_by_day(days, history.candles.high),
        lows=_by_day(days, history.candles.low),
        anchor=anchor,
        scale=scale,
        trend=trend,
        seasonalities=seasonalities,
        level_correction=float(math.log(anchor.price) - at_anchor),
        prophet_weights=tuple(weights.tolist()),
        fitted_band=fitted_band(residuals),
        forecast_quantiles=tuple(map(tuple, baked.tolist())),
        prophet_bands=(),
        models={},
        hindcasts={},
        hours=(),
        touches=() if replay is None else tuple(map(curve_of, replay.touches)),
    )
    if faults := evaluation.faults(forecast):
        raise UnusableHistory(f"{history.pair} from {history.source}", [f"no forecast can be made of it: {faults[0]}"])
    if replay is not None:
        complete = replace(forecast, prophet_bands=replay.prophet.bands())
        # Prophet alone may leave the range of numbers; the combined forecast is valid without it.
        forecast = forecast if evaluation.faults(complete) else complete
    return forecast, prophet


def _by_day(days: list[int], prices: FloatArray) -> tuple[float | None, ...]:
    """Return a price for each day from the first of `days` (n,), ordinals, to the last; None where there is none."""
    known = dict(zip(days, prices.tolist(), strict=True))
    return tuple(known.get(day) for day in range(days[0], days[-1] + 1))


def fitted_band(residuals: FloatArray) -> Band:
    """Return the central 80 % of in-sample `residuals` (n,), actual minus fitted in log price."""
    low, high = np.quantile(residuals, [_TAIL, 1 - _TAIL])
    return Band(min(0.0, float(low)), max(0.0, float(high)))


def _weights(replay: Replay) -> FloatArray:
    """Return the weight of Prophet's increments, (365,).

    Nothing is added beyond the longest replayed horizon: the weight falls as the increments grow.
    """
    weights = at_horizons(replay.weights[-1], replay.horizons, _AHEAD.tolist())
    return np.asarray(weights * np.minimum(1.0, replay.horizons[-1] / _AHEAD))
