"""Prophet on log price, and its fitted curve as plain numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crypto_predict.baked.schema import Seasonality, Trend
from crypto_predict.forecasting.candidates.prophet_map import fit_map
from crypto_predict.history import History

# While it is being imported, Prophet reports a plotting library that is missing, as an error, and one that is there.
logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)
logging.getLogger("matplotlib").setLevel(logging.WARNING)

from prophet import Prophet  # noqa: E402 its import is what the lines above keep quiet
from prophet.serialize import model_to_json  # noqa: E402 likewise

logging.getLogger("prophet").setLevel(logging.WARNING)  # its import has set the level
logging.getLogger("cmdstanpy").setLevel(logging.CRITICAL)  # what goes wrong there arrives as an error, too

STAN_SECONDS = 60  # a fit that starts at its maximum takes a tenth of one

_log = logging.getLogger(__name__)


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
    log_close = history.candles.log_close  # (n,)
    days = pd.to_datetime(history.candles.open_time, unit="s")  # Prophet takes no zone
    maximum = fit_map(history.candles.days, log_close)
    start: dict[str, Any] = {
        "k": float(maximum.line[0]),
        "m": float(maximum.line[1]),
        "delta": maximum.deltas,
        "beta": maximum.coefficients,
        "sigma_obs": maximum.noise,
    }
    frame = pd.DataFrame({"ds": days, "y": log_close})
    model: Any = Prophet(uncertainty_samples=0)  # whose annotations have no optimiser yet
    # Stan's Newton takes minutes where a history leaves it nothing to climb, such as a curve without any noise.
    model.stan_backend.set_options(newton_fallback=False)
    try:
        model.fit(frame, seed=seed, init=start, algorithm="LBFGS", timeout=STAN_SECONDS)
    except (RuntimeError, TimeoutError):
        _log.warning("%s: Stan gave up; Prophet is given the exact maximum as it is", history.pair)
        model = Prophet(uncertainty_samples=0)
        model.stan_backend = _Known(start)
        model.fit(frame)
    return ProphetFit(model, log_close)


class _Known:
    """Stands where Prophet calls its optimiser, and gives parameters that are known already."""

    stan_fit = None

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters

    def fit(self, *_: object, **__: object) -> dict[str, npt.NDArray[np.float64]]:
        """Each parameter as one draw, (1, size)."""
        return {name: np.asarray(value, dtype=np.float64).reshape(1, -1) for name, value in self._parameters.items()}


def _floats(values: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=np.float64).tolist())
