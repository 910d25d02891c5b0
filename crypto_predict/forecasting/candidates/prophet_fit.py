"""Prophet on log price, and its fitted curve as plain numbers."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crypto_predict.baked.schema import Seasonality, Trend
from crypto_predict.forecasting.candidates.prophet_map import fit_map
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray

# While it is imported, Prophet logs an optional plotting library that is missing, and one that is present.
logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)
logging.getLogger("matplotlib").setLevel(logging.WARNING)

from prophet import Prophet  # noqa: E402 after the lines above, which silence its import
from prophet.serialize import model_to_json  # noqa: E402 likewise

logging.getLogger("prophet").setLevel(logging.WARNING)  # its import has set the level
logging.getLogger("cmdstanpy").setLevel(logging.CRITICAL)  # its failures also arrive as exceptions

STAN_SECONDS = 60  # a fit that starts at its maximum takes a tenth of one

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProphetFit:
    """A fitted Prophet model of log price by day, and its curve in Prophet's scaled units."""

    model: Any  # a fitted Prophet, by whose annotations every attribute may still be None
    log_close: FloatArray  # (n,) the log prices it was fitted to
    scale: float  # factor from scaled units to log price
    trend: Trend  # piecewise linear
    seasonalities: tuple[Seasonality, ...]  # additive Fourier series

    @classmethod
    def of(cls, model: Any, log_close: FloatArray) -> "ProphetFit":
        """Read the curve of a maximum a posteriori fit, of which every parameter is a single draw."""
        draws = {name: np.asarray(values, dtype=np.float64).reshape(-1) for name, values in model.params.items()}
        changepoints, columns = model.changepoints_t, model.train_component_cols  # columns: 1 where a feature belongs
        trend = Trend(
            start=model.start.date(),
            days=int(model.t_scale / pd.Timedelta(days=1)),
            growth=float(draws["k"][0]),
            offset=float(draws["m"][0]),
            changepoints=tuple(changepoints.tolist()),
            deltas=tuple(draws["delta"][: len(changepoints)].tolist()),
        )
        seasonalities = tuple(
            Seasonality(name, float(traits["period"]), tuple(draws["beta"][columns[name].to_numpy() == 1].tolist()))
            for name, traits in model.seasonalities.items()
        )
        return cls(model, log_close, float(model.y_scale), trend, seasonalities)

    def to_json(self) -> str:
        """Return the model in Prophet's own JSON, for `prophet.serialize.model_from_json`."""
        return str(model_to_json(self.model))


def fit_prophet(history: History, seed: int) -> ProphetFit:
    """Fit Prophet to the logarithm of daily closes; `seed` is for Stan's optimiser.

    Prophet starts at the exact maximum (`prophet_map`), which its own optimiser would only approach, and takes a
    fraction of the time. Its interval is disabled (`uncertainty_samples=0`): it is drawn at random, and far too wide
    for tomorrow's price. `prophet_alone` calibrates the one that is baked.
    """
    log_close = history.candles.log_close  # (n,)
    maximum = fit_map(history.candles.days, log_close)
    start: dict[str, Any] = {
        "k": float(maximum.line[0]),
        "m": float(maximum.line[1]),
        "delta": maximum.deltas,
        "beta": maximum.coefficients,
        "sigma_obs": maximum.noise,
    }
    days = pd.to_datetime(history.candles.open_time, unit="s")  # Prophet accepts no time zone
    frame = pd.DataFrame({"ds": days, "y": log_close})
    model: Any = Prophet(uncertainty_samples=0)  # its annotations lack the optimiser
    # Stan's Newton takes minutes on histories without noise, where nothing is left to improve.
    model.stan_backend.set_options(newton_fallback=False)
    try:
        model.fit(frame, seed=seed, init=start, algorithm="LBFGS", timeout=STAN_SECONDS)
    except (RuntimeError, TimeoutError):
        _log.warning("%s: Stan failed; Prophet gets the exact maximum instead", history.pair)
        model = Prophet(uncertainty_samples=0)
        model.stan_backend = _FixedParameters({name: np.atleast_2d(value) for name, value in start.items()})
        model.fit(frame)
    return ProphetFit.of(model, log_close)


@dataclass(frozen=True)
class _FixedParameters:
    """Replaces Prophet's optimiser and returns known parameters, each as one draw (1, size)."""

    parameters: dict[str, FloatArray]
    stan_fit: None = None

    def fit(self, *_: object, **__: object) -> dict[str, FloatArray]:
        return self.parameters
