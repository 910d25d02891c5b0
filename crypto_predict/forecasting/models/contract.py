"""The contract of a model, ours and other people's: a history goes in, quantiles of prices come out.

A history is a pandas DataFrame: one row a day that has a candle, an ascending index of UTC midnights, at which the days
open, and the columns `COLUMNS` in the pair's quote currency, volume in its base currency. It ends at the cutoff, and
whoever gets it may change it: it is a copy.
"""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

import numpy as np
import pandas as pd

from crypto_predict.errors import CryptoPredictError
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray
from crypto_predict.wording import as_line

COLUMNS = ("open", "high", "low", "close", "volume")
MOST_MOVED = 1000.0  # times the last close, or that share of it: a price beyond it is absurd


class Model(Protocol):
    """What is asked for forecasts. `fit` comes first, then any number of `update` and `forecast`."""

    @property
    def name(self) -> str:
        """Return its name, of small letters, digits and hyphens, as in addresses, tables and the ledger."""

    @property
    def refit_every(self) -> int:
        """Return the days from one fit to the next."""

    @property
    def updates(self) -> bool:
        """Return whether `update` is of use; otherwise forecasts are made of fits alone."""

    @property
    def first_cutoff(self) -> date | None:
        """Return the first day whose forecast is asked for, if the model has seen what followed earlier ones."""

    def fit(self, history: pd.DataFrame) -> None:
        """Learn from a history."""

    def update(self, history: pd.DataFrame) -> None:
        """Take the days since the last call into account, with what was learned by the last fit."""

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Forecast the closes so many days after the newest day of the history.

        Return prices: (horizons, levels) quantiles, or (horizons,) points.
        """


class ModelFailed(CryptoPredictError):
    """A model cannot be used in this release; the reason is one line."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = as_line(name), as_line(reason, 300)
        super().__init__(f"model {self.name}: {self.reason}")


def frame(history: History) -> pd.DataFrame:
    """Return the whole history as models get it."""
    index = pd.DatetimeIndex(history.candles.open_time.astype("datetime64[s]"), tz="UTC", name="time")
    return pd.DataFrame(np.column_stack([getattr(history.candles, name) for name in COLUMNS]), index, COLUMNS)


def checked(
    name: str, answer: FloatArray, close: float, horizons: Sequence[int], levels: Sequence[float]
) -> FloatArray:
    """Return an answer of `Model.forecast` in log price; `close` is the newest one.

    Raises:
        ModelFailed: The answer has another shape, or a number that cannot be a price.
    """
    if answer.shape not in {(len(horizons), len(levels)), (len(horizons),)}:
        expected = f"{(len(horizons), len(levels))} quantiles or {(len(horizons),)} points"
        raise ModelFailed(name, f"its answer has the shape {answer.shape}, not {expected}")
    far = (answer > close * MOST_MOVED) | (answer < close / MOST_MOVED)
    for fault, wrong in (
        ("is not a number", ~np.isfinite(answer)),
        ("is not a positive price", ~(answer > 0)),
        (f"is {MOST_MOVED:,.0f} times off the last close, {close:g}", far),
    ):
        if wrong.any():
            place = np.unravel_index(int(np.argmax(wrong)), answer.shape)
            raise ModelFailed(name, f"its price {horizons[int(place[0])]} days ahead {fault}: {answer[place]:g}")
    if answer.ndim == 2 and (np.diff(answer, axis=1) < 0).any():
        horizon = horizons[int(np.argmax((np.diff(answer, axis=1) < 0).any(axis=1)))]
        raise ModelFailed(name, f"its quantiles {horizon} days ahead cross")
    return np.asarray(np.log(answer))
