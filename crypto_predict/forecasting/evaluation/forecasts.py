"""The forecasts of a backtest over one horizon, days or minutes, and their losses beside those of persistence."""

from dataclasses import dataclass

import numpy as np

from crypto_predict.baked.schema import COVERAGE, HIGH, LOW
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score, quantile_loss
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.history.columns import BoolArray, FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS


@dataclass(frozen=True, eq=False)
class Forecasts:
    """The forecasts whose outcome is known, by ascending cutoff: (n,) each, in log price."""

    horizon: int  # days or minutes
    cutoffs: IntArray  # indices into a daily series, or closes in minutes since 1970, UTC
    actual: FloatArray
    predicted: FloatArray
    persistence: FloatArray  # the close of the cutoff
    quantiles: FloatArray  # (n, 7) at `LEVELS`
    deviation: FloatArray  # of persistence's distribution, if log price is a Gaussian random walk

    @property
    def low(self) -> FloatArray:
        """The low ends of the 80 % intervals, (n,)."""
        return self.quantiles[:, LEVELS.index(LOW)]

    @property
    def high(self) -> FloatArray:
        """The high ends of the 80 % intervals, (n,)."""
        return self.quantiles[:, LEVELS.index(HIGH)]

    def prices(self) -> list[list[float]]:
        """Return the rows (n, 5): actual, predicted, low, high and persistence in prices."""
        return list(np.exp([self.actual, self.predicted, self.low, self.high, self.persistence]).T.tolist())

    def only(self, chosen: BoolArray) -> "Forecasts":
        """Return the `chosen` (n,) ones."""
        columns = {name: values[chosen] for name, values in vars(self).items() if name != "horizon"}
        return Forecasts(self.horizon, **columns)

    def losses(self) -> dict[str, FloatArray]:
        """Return the losses (n,) by the figures that are their means."""
        levels = np.array(LEVELS)
        return {
            "mae": np.abs(self.actual - self.predicted),
            "pinball": quantile_loss(self.actual[:, None], self.quantiles, levels).mean(axis=1),
            "crps": metrics.crps_quantiles(self.actual, self.quantiles, levels),
            "winkler": interval_score(self.actual, self.low, self.high, COVERAGE),
        }

    def reference_losses(self) -> dict[str, FloatArray]:
        """Return the losses (n,) of persistence with its Gaussian distribution."""
        centre, reach = self.persistence, GAUSSIAN * self.deviation
        return {
            "mae": np.abs(self.actual - centre),
            "crps": metrics.crps_gaussian(self.actual, centre, self.deviation),
            "winkler": interval_score(self.actual, centre - reach, centre + reach, COVERAGE),
        }

    def inside(self) -> dict[str, BoolArray]:
        """Return whether each outcome (n,) lies inside the central intervals of 80, 50 and 90 %, ends included."""
        return {
            name: (self.quantiles[:, LEVELS.index(low)] <= self.actual)
            & (self.actual <= self.quantiles[:, LEVELS.index(high)])
            for name, low, high in (("coverage", LOW, HIGH), ("coverage_50", 0.25, 0.75), ("coverage_90", 0.05, 0.95))
        }
