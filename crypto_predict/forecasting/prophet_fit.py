"""Prophet on log price, and its fitted curve as plain numbers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crypto_predict.baked.schema import Seasonality, Trend
from crypto_predict.forecasting.prophet_map import fit_map
from crypto_predict.history import History

# While it is being imported, Prophet reports a plotting library that is missing, as an error, and one that is there.
logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)
logging.getLogger("matplotlib").setLevel(logging.WARNING)

from prophet import Prophet  # noqa: E402 its import is what the lines above keep quiet
from prophet.serialize import model_to_json  # noqa: E402 likewise

for _chatty in ("prophet", "cmdstanpy"):  # Prophet's import sets the level of its own logger
    logging.getLogger(_chatty).setLevel(logging.WARNING)


@dataclass(frozen=True)
class ProphetFit:
    """A fitted Prophet model of log price by day."""

    model: Any  # a fitted Prophet, by whose annotations every attribute may still be None
    log_close: npt.NDArray[np.float64]  # (n,) what it was fitted to, in log price

    @property
    def scale(self) -> float:
        """What trend and seasonalities are multiplied by to give log price."""
        return float(self.model.y_scale)

    def trend(self) -> Trend:
        """The piecewise linear trend, in Prophet's scaled units."""
        return Trend(
            start=self.model.start.date(),
            days=int(self.model.t_scale / pd.Timedelta(days=1)),
            growth=float(self._parameter("k")[0]),
            offset=float(self._parameter("m")[0]),
            changepoints=_floats(self.model.changepoints_t),
            deltas=_floats(self._parameter("delta")[: len(self.model.changepoints_t)]),
        )

    def seasonalities(self) -> tuple[Seasonality, ...]:
        """The additive Fourier seasonalities, in Prophet's scaled units."""
        coefficients = self._parameter("beta")  # (K,)
        columns = self.model.train_component_cols  # (K, components) 1 where a feature belongs to a component
        return tuple(
            Seasonality(name, float(traits["period"]), _floats(coefficients[columns[name].to_numpy() == 1]))
            for name, traits in self.model.seasonalities.items()
        )

    def to_json(self) -> str:
        """The model in Prophet's own JSON, for `prophet.serialize.model_from_json`."""
        return str(model_to_json(self.model))

    def _parameter(self, name: str) -> npt.NDArray[np.float64]:
        """The one draw of a maximum a posteriori fit, as a flat array."""
        return np.asarray(self.model.params[name], dtype=np.float64).reshape(-1)


def fit_prophet(history: History, seed: int) -> ProphetFit:
    """Fit Prophet to the logarithm of daily closes.

    Prophet starts at the exact maximum (`prophet_map`), where its own optimiser would only come close to it, in a
    fraction of the time. Its interval is switched off (`uncertainty_samples=0`): it is drawn at random, and far too
    wide for tomorrow's price. `interval` gives the one that is baked.

    Args:
        history: Daily candles.
        seed: For Stan's optimiser.
    """
    log_close = np.log([candle.close for candle in history.candles])  # (n,)
    days = pd.to_datetime(
        [candle.open_time.replace(tzinfo=None) for candle in history.candles]
    )  # Prophet takes no zone
    maximum = fit_map(np.array([candle.open_time.toordinal() for candle in history.candles]), log_close)
    start = {
        "k": float(maximum.line[0]),
        "m": float(maximum.line[1]),
        "delta": maximum.deltas,
        "beta": maximum.coefficients,
        "sigma_obs": maximum.noise,
    }
    model = Prophet(uncertainty_samples=0)
    model.fit(pd.DataFrame({"ds": days, "y": log_close}), seed=seed, init=start)
    return ProphetFit(model, log_close)


def _floats(values: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=np.float64).tolist())
