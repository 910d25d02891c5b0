"""The released quantiles of every model, beside the closes that followed and beside each other.

They are scored as those of the backtest are, by the same functions: beside persistence from the newest price, with
confidence intervals, and every two models at the releases that had both. Of the releases after the same close the first
is scored, whose forecasts look whole days ahead. Four a day would count almost the same forecast four times, and the
last of them, made when most of tomorrow has passed, would look better than the models are. So the number of outcomes is
that of different days, and the test of Diebold and Mariano knows how many of them overlap: as many as the horizon has
days, with daily releases.

The forecast of a model is its median: the ledger has the quantiles alone.
"""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import NamedTuple

import numpy as np

from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.ledger import MODEL_DAYS, Release
from crypto_predict.baked.models import ModelScore, PairwiseScore
from crypto_predict.baked.schema import LiveModel
from crypto_predict.forecasting.evaluation.comparison import compare, score_model
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS

MOST_SHOWN = 16  # models of a pair; those that were released last
MOST_SCORED = 500  # models of a pair, ever; those beyond have no scores

_MIDDLE = LEVELS.index(0.5)
_COLUMNS = 3 + len(LEVELS)  # of a row: the cutoff's ordinal, persistence's deviation, the outcome, and the quantiles


class _Waiting(NamedTuple):
    """A released forecast without an outcome. Four bytes a number: relative to persistence they are small."""

    model: str
    horizon: int  # days
    persistence: float  # log price
    row: "array[float]"  # (_COLUMNS,), the outcome still 0


@dataclass(slots=True)
class _Released:
    """When the releases with one model were made, and how many they are."""

    since: datetime
    newest: datetime
    releases: int = 0


@dataclass(slots=True)
class LiveModels:
    """The models of one pair, of real or of simulated prices. Releases and outcomes come in the order of the ledger.

    A scored forecast takes 40 bytes: fifty years of daily outcomes of twelve models 35 MB.
    """

    pending: dict[date, list[_Waiting]] = field(default_factory=dict)  # by target
    _cutoffs: set[int] = field(default_factory=set)  # ordinals of the days after whose close a release was made
    _models: dict[str, _Released] = field(default_factory=dict)
    _due: dict[tuple[str, int], "array[float]"] = field(default_factory=lambda: defaultdict(lambda: array("f")))

    def add(self, release: Release, closes: Mapping[date, float]) -> None:
        """Add the forecasts of a release; those of days that `closes` has are due at once."""
        for name in release.models:
            if name in self._models or len(self._models) < MOST_SCORED:
                model = self._models.setdefault(name, _Released(release.made_at, release.made_at))
                model.newest, model.releases = release.made_at, model.releases + 1
        cutoff = release.last.toordinal()
        if not release.models or cutoff in self._cutoffs:
            return
        self._cutoffs.add(cutoff)
        persistence = math.log(release.anchor.price)
        for index, horizon in enumerate(MODEL_DAYS):
            target = release.last + horizon * DAY
            elapsed = datetime.combine(target, time.min, UTC) + DAY - release.anchor.at
            deviation = (release.volatility or 0.0) * math.sqrt(max(0.0, elapsed / DAY))
            self.pending.setdefault(target, []).extend(
                _Waiting(
                    name,
                    horizon,
                    persistence,
                    array(
                        "f", [cutoff, deviation, 0.0, *(math.log(price) - persistence for price in quantiles[index])]
                    ),
                )
                for name, quantiles in release.models.items()
                if name in self._models
            )
            if target in closes:
                self.settle(target, closes[target])

    def settle(self, day: date, close: float) -> None:
        """Score the forecasts of a day by its close."""
        for model, horizon, persistence, row in self.pending.pop(day, ()):
            row[2] = math.log(close) - persistence
            self._due[model, horizon].extend(row)

    def count_pending(self) -> int:
        """Return the number of forecasts without an outcome."""
        return sum(map(len, self.pending.values()))

    def scores(self) -> tuple[tuple[LiveModel, ...], tuple[PairwiseScore, ...]]:
        """Return the record of the models that were released last, and their comparisons."""
        shown = sorted(self._models, key=lambda name: self._models[name].newest, reverse=True)[:MOST_SHOWN]
        names = sorted(shown, key=lambda name: (name != COMBINED, name))
        by_horizon = [
            [(name, _forecasts(horizon, self._due[name, horizon])) for name in names if (name, horizon) in self._due]
            for horizon in MODEL_DAYS
        ]
        scores, pairwise = defaultdict[str, list[ModelScore]](list), list[PairwiseScore]()
        for models in by_horizon:
            for name, forecasts in models:
                scores[name].append(score_model(forecasts))
            pairwise += compare(models)
        waiting = Counter(forecast.model for forecasts in self.pending.values() for forecast in forecasts)
        return (
            tuple(
                LiveModel(name, model.since, model.newest, model.releases, waiting[name], tuple(scores[name]))
                for name, model in ((name, self._models[name]) for name in names)
            ),
            tuple(pairwise),
        )


def _forecasts(horizon: int, rows: "array[float]") -> Forecasts:
    """Return the forecasts of one model and horizon, in log price relative to persistence, by ascending cutoff."""
    table = np.array(rows, dtype=np.float64).reshape(-1, _COLUMNS)
    table = table[np.argsort(table[:, 0])]
    cutoffs, deviation, actual, quantiles = table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3:]
    return Forecasts(horizon, cutoffs, actual, quantiles[:, _MIDDLE], np.zeros(len(table)), quantiles, deviation)
