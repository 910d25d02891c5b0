"""Prophet on log price, and its fitted curve as plain numbers."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from crypto_predict.baked.schema import Seasonality, Trend
from crypto_predict.forecasting.combined.prophet import fit_map
from crypto_predict.history import History
from crypto_predict.prerequisites import without

logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)  # while it is imported, it logs a library that is missing

with without("matplotlib"):  # for Prophet's own pictures, which nobody draws here; it takes a quarter of a second
    from prophet import Prophet
    from prophet.serialize import model_to_json

logging.getLogger("prophet").setLevel(logging.WARNING)  # its import has set the level
logging.getLogger("cmdstanpy").setLevel(logging.CRITICAL)  # its failures also arrive as exceptions

STAN_SECONDS = 60  # a fit that starts at its maximum takes a tenth of one

_log = logging.getLogger(__name__)


def fit_prophet(history: History, seed: int) -> tuple[Any, float, Trend, tuple[Seasonality, ...]]:
    """Fit Prophet to the logarithm of daily closes. `seed` is for Stan's optimiser.

    Return the model, the factor from its scaled units to log price, and its curve in scaled units.

    Prophet starts at the exact maximum (`fit_map`), which its own optimiser would only approach, and takes a fraction
    of the time. Its interval is disabled (`uncertainty_samples=0`): it is drawn at random, and far too wide for
    tomorrow's price. `models.calibration` has the one that is baked.
    """
    maximum = fit_map(history.candles.days, history.candles.log_close)
    line, deltas, coefficients = np.split(maximum.parameters, [2, 2 + len(maximum.changepoints)])
    start: dict[str, Any] = {
        "k": float(line[0]),
        "m": float(line[1]),
        "delta": deltas,
        "beta": coefficients,
        "sigma_obs": maximum.noise,
    }
    days = pd.to_datetime(history.candles.open_time, unit="s")  # Prophet accepts no time zone
    frame = pd.DataFrame({"ds": days, "y": history.candles.log_close})
    model: Any = Prophet(uncertainty_samples=0)  # by its annotations every attribute may be None
    # Stan's Newton takes minutes on histories without noise, where nothing is left to improve.
    model.stan_backend.set_options(newton_fallback=False)
    try:
        model.fit(frame, seed=seed, init=start, algorithm="LBFGS", timeout=STAN_SECONDS)
    except (RuntimeError, TimeoutError):
        _log.warning("%s: Stan failed; Prophet gets the exact maximum instead", history.pair)
        model = Prophet(uncertainty_samples=0)
        maximum_draws = {name: np.atleast_2d(value) for name, value in start.items()}  # one each, (1, size)
        model.stan_backend = SimpleNamespace(fit=lambda *_, **__: maximum_draws, stan_fit=None)
        model.fit(frame)
    # Of a maximum a posteriori fit, every parameter is a single draw.
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
    return model, float(model.y_scale), trend, seasonalities


def to_json(model: Any) -> str:
    """Return a fitted model in Prophet's own JSON, for `prophet.serialize.model_from_json`."""
    return str(model_to_json(model))
