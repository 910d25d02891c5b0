"""The candidates of the combination, each as a model of its own."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from statsmodels.tools.sm_exceptions import ModelWarning

from crypto_predict.forecasting.candidates import CANDIDATES
from crypto_predict.forecasting.candidates.candidate import WEEK
from crypto_predict.forecasting.models.contract import COLUMNS
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import Candles, FloatArray
from crypto_predict.market import Interval

PROPHET = "prophet"  # is a model already, whose curve does not start at the newest close
MODELS = {name.replace(" ", "-"): name for name in CANDIDATES if name != PROPHET}  # candidates by the names of models


class CandidateModel:
    """Points of one of `MODELS`, estimated once a week, as in the combination."""

    refit_every, updates, first_cutoff = WEEK, False, None

    def __init__(self, name: str) -> None:
        self.name, self._candidate = name, CANDIDATES[MODELS[name]]

    def fit(self, history: pd.DataFrame) -> None:
        """Take the days, of which the candidate chooses those that it sees."""
        columns = (history[name].to_numpy() for name in COLUMNS)
        candles = Candles(Interval.DAY_1, history.index.asi8, *columns)  # type: ignore[attr-defined]  # in seconds
        self._series = DailySeries.of_candles(candles)

    update = fit

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:  # noqa: ARG002 points have none
        """Return (horizons,) points."""
        series = self._series
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # short histories are scored like any other
            warnings.simplefilter("ignore", ModelWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            later = series.until(len(series) - 1, 0)
            moves = self._candidate(series, later, np.array([0]), np.array(horizons)).increments[0]
        return np.asarray(np.exp(series.log_close[-1] + moves))
