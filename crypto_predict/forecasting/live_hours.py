"""The released quantiles of the hours after the newest price, beside the closes that followed.

They are scored beside persistence from the newest price, as those of days are. A target is scored once a horizon: of
the releases from the same newest price the first one counts. A forecast of an hour that had closed when its model was
made is not scored, and one whose hour has no candle in a year of trainings is forgotten.
"""

import math
from array import array
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from crypto_predict.baked.ledger import HOURS, Release
from crypto_predict.baked.schema import LiveHourScore
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS

KEPT = 366 * DAY  # that a forecast waits; no training reads older hours
BATCH = 1_000  # forecasts of a horizon that are kept, until they are added to its sums

_HOUR = timedelta(hours=1)
_MIDDLE = LEVELS.index(0.5)
_COLUMNS = 2 + len(LEVELS)  # of a row: persistence's deviation, the outcome, and the quantiles


@dataclass(slots=True)
class LiveHours:
    """The hours of one pair, of real or of simulated prices. Releases and outcomes come in the order of the ledger.

    In memory are sums, and some thousand forecasts: not more, however long the ledger is.
    """

    # By target and hours ahead: the log price of persistence, then a row, its outcome left out.
    pending: dict[datetime, dict[int, "array[float]"]] = field(default_factory=dict)
    _settled: set[datetime] = field(default_factory=set)  # that a release to come might still forecast
    _due: dict[int, "array[float]"] = field(default_factory=lambda: {ahead: array("d") for ahead in HOURS})
    _sums: dict[int, dict[str, float]] = field(default_factory=dict)

    def add(self, release: Release) -> None:
        """Add the forecasts of a release."""
        self._settled = {at for at in self._settled if at > release.made_at}
        # They come nearly in the order of their targets.
        while self.pending and (oldest := next(iter(self.pending))) < release.made_at - KEPT:
            del self.pending[oldest]
        if not release.hours or release.volatility is None:
            return
        persistence = math.log(release.anchor.price)
        for ahead, quantiles in zip(HOURS, release.hours, strict=True):
            target = release.anchor.at + ahead * _HOUR
            if target > release.made_at and target not in self._settled:
                deviation = release.volatility * math.sqrt(ahead / 24)
                row = array("d", [persistence, deviation, *(math.log(price) - persistence for price in quantiles)])
                self.pending.setdefault(target, {}).setdefault(ahead, row)

    def settle(self, at: datetime, close: float) -> None:
        """Score the forecasts of an instant by the price then."""
        self._settled.add(at)
        for ahead, (persistence, deviation, *quantiles) in self.pending.pop(at, {}).items():
            rows = self._due[ahead]
            rows.extend((deviation, math.log(close) - persistence, *quantiles))
            if len(rows) == BATCH * _COLUMNS:
                self._sums[ahead] = self._total(ahead)
                del rows[:]

    def count_pending(self) -> int:
        """Return the number of forecasts without an outcome."""
        return sum(map(len, self.pending.values()))

    def scores(self) -> tuple[LiveHourScore, ...]:
        """Return the scores by hours ahead, ascending; none of those without a forecast due."""
        totals = ((ahead, self._total(ahead)) for ahead in HOURS)
        return tuple(_score(ahead, total) for ahead, total in totals if total)

    def _total(self, ahead: int) -> dict[str, float]:
        """Return the sums of all losses and hits of one horizon; none without a forecast due."""
        sums, rows = dict(self._sums.get(ahead, {})), self._due[ahead]
        if rows:
            table = np.array(rows).reshape(-1, _COLUMNS)
            deviation, actual, quantiles = table[:, 0], table[:, 1], table[:, 2:]
            zeros, places = np.zeros(len(table)), np.arange(len(table))
            forecasts = Forecasts(ahead, places, actual, quantiles[:, _MIDDLE], zeros, quantiles, deviation)
            reference = {f"reference_{name}": losses for name, losses in forecasts.reference_losses().items()}
            figures = {"due": zeros + 1, **forecasts.losses(), **reference, **forecasts.inside()}
            sums = {name: sums.get(name, 0.0) + float(values.sum()) for name, values in figures.items()}
        return sums


def _score(ahead: int, sums: dict[str, float]) -> LiveHourScore:
    due = sums["due"]
    names = ("mae", "crps", "winkler", "coverage", "coverage_50", "coverage_90")
    figures: dict[str, Any] = {name: sums[name] / due for name in names}
    for name in ("mae", "crps", "winkler"):
        reference = sums[f"reference_{name}"]
        figures[f"relative_{name}"] = sums[name] / reference if reference > 0 else None
    return LiveHourScore(horizon_hours=ahead, due=round(due), **figures)
