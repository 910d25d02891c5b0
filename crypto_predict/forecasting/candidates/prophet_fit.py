"""Prophet on log price, and its fitted curve as plain numbers."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
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
    """A fitted Prophet model of log price by day."""

    model: Any  # a fitted Prophet, by whose annotations every attribute may still be None
    log_close: FloatArray  # (n,) the log prices it was fitted to

    @property
    def scale(self) -> float:
        """Factor from Prophet's scaled units to log price."""
        return float(self.model.y_scale)

    def trend(self) -> Trend:
        """Return the piecewise linear trend, in Prophet's scaled units."""
        changepoints = self.model.changepoints_t
        return Trend(
            start=self.model.start.date(),
            days=int(self.model.t_scale / pd.Timedelta(days=1)),
            growth=float(self._parameter("k")[0]),
            offset=float(self._parameter("m")[0]),
            changepoints=_floats(changepoints),
            deltas=_floats(self._parameter("delta")[: len(changepoints)]),
        )

    def seasonalities(self) -> tuple[Seasonality, ...]:
        """Return the additive Fourier seasonalities, in Prophet's scaled units."""
        coefficients = self._parameter("beta")  # (K,)
        columns = self.model.train_component_cols  # (K, components) 1 where a feature belongs to a component
        return tuple(
            Seasonality(name, float(traits["period"]), _floats(coefficients[columns[name].to_numpy() == 1]))
            for name, traits in self.model.seasonalities.items()
        )

    def to_json(self) -> str:
        """Return the model in Prophet's own JSON, for `prophet.serialize.model_from_json`."""
        return str(model_to_json(self.model))

    def _parameter(self, name: str) -> FloatArray:
        """Return the single draw of a maximum a posteriori fit, as a flat array."""
        return np.asarray(self.model.params[name], dtype=np.float64).reshape(-1)


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
    return ProphetFit(model, log_close)


@dataclass(frozen=True)
class _FixedParameters:
    """Replaces Prophet's optimiser and returns known parameters, each as one draw (1, size)."""

    parameters: dict[str, FloatArray]
    stan_fit: None = None

    def fit(self, *_: object, **__: object) -> dict[str, FloatArray]:
        return self.parameters


def _floats(values: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=np.float64).tolist())
