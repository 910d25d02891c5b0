"""The released quantiles of the hours after the newest price, beside the closes that followed.

They are scored beside persistence from the newest price, as those of days are. A target is scored once a horizon: of
the releases from the same newest price the first one counts. A forecast of an hour that had closed when its model was
made is not scored, nor is one whose hour has no candle.
"""

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from crypto_predict.baked.ledger import HOURS, HourlyOutcome, Release
from crypto_predict.baked.schema import LiveHourScore, LiveMonth
from crypto_predict.forecasting import live_probabilities
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.live_days import SUMS, LiveDays
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS

KEPT = 366 * DAY  # that a forecast waits; no training reads older hours

_HOUR = timedelta(hours=1)
_MIDDLE = LEVELS.index(0.5)


@dataclass(slots=True)
class LiveHours:
    """The hours of one pair, of real or of simulated prices. Releases and outcomes come in the order of the ledger.

    In memory are sums, over all of them and of each day, and the forecasts of a year at most.
    """

    # By target and hours ahead: persistence's deviation, its log price, and the quantiles.
    pending: dict[datetime, dict[int, "array[float]"]] = field(default_factory=dict)
    _settled: set[datetime] = field(default_factory=set)  # that a release to come might still forecast
    _sums: dict[int, dict[str, float]] = field(default_factory=dict)
    _days: dict[int, LiveDays] = field(default_factory=lambda: {ahead: LiveDays(1, ahead) for ahead in HOURS})

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
                row = array("d", [deviation, persistence, *map(math.log, quantiles)])
                self.pending.setdefault(target, {}).setdefault(ahead, row)

    def settle(self, outcome: HourlyOutcome) -> None:
        """Score the forecasts of the hours of a day by the prices then."""
        horizons, rows = list[int](), list[Sequence[float]]()
        midnight = datetime.combine(outcome.day, time.min, UTC)
        for hour, close in enumerate(outcome.closes, start=1):
            self._settled.add(at := midnight + hour * _HOUR)
            for ahead, row in self.pending.pop(at, {}).items():
                if close is not None:
                    horizons.append(ahead)
                    rows.append([math.log(close), *row])
        if rows:
            self._score(outcome.day, np.array(horizons), np.array(rows))

    def awaited(self) -> set[date]:
        """Return the UTC days with hours that were forecast and have no outcome."""
        return {(at - _HOUR).date() for at in self.pending}

    def count_pending(self) -> int:
        """Return the number of forecasts without an outcome."""
        return sum(map(len, self.pending.values()))

    def scores(self) -> tuple[LiveHourScore, ...]:
        """Return the scores by hours ahead, ascending; none of those without a forecast due."""
        return tuple(_score(ahead, self._sums[ahead], self._days[ahead]) for ahead in HOURS if ahead in self._sums)

    def months(self) -> Iterator[LiveMonth]:
        """Yield the months with a target of each horizon."""
        for ahead in self._sums:
            yield from self._days[ahead].months()

    def _score(self, day: date, horizons: IntArray, table: FloatArray) -> None:
        """Add forecasts of hours of a day: their hours ahead (n,), and rows (n, 10) of the outcome and as `pending`."""
        actual, deviation, persistence, quantiles = table[:, 0], table[:, 1], table[:, 2], table[:, 3:]
        places = np.arange(len(table))
        forecasts = Forecasts(1, places, actual, quantiles[:, _MIDDLE], persistence, quantiles, deviation)
        inside = forecasts.inside()
        figures = {
            "due": np.ones(len(table)),
            **forecasts.losses(),
            **{f"reference_{name}": losses for name, losses in forecasts.reference_losses().items()},
            **inside,
            "inside": inside["coverage"],
            **live_probabilities.losses(actual, persistence, deviation, quantiles),
        }
        by_day = np.column_stack([figures[name] for name in SUMS])
        for ahead in sorted({*horizons.tolist()}):
            rows = np.flatnonzero(horizons == ahead)
            sums = self._sums.get(ahead, {})
            self._sums[ahead] = {
                name: sums.get(name, 0.0) + float(values[rows].sum()) for name, values in figures.items()
            }
            self._days[ahead].add([day] * len(rows), by_day[rows])


def _score(ahead: int, sums: Mapping[str, float], days: LiveDays) -> LiveHourScore:
    due = sums["due"]
    names = ("mae", "crps", "winkler", "coverage", "coverage_50", "coverage_90")
    figures: dict[str, Any] = {name: sums[name] / due for name in names}
    for name in ("mae", "crps", "winkler"):
        reference = sums[f"reference_{name}"]
        figures[f"relative_{name}"] = sums[name] / reference if reference > 0 else None
    return LiveHourScore(
        horizon_hours=ahead,
        due=round(due),
        days=len(days),
        coverage_confidence=days.coverage_confidence(),
        probabilities=live_probabilities.scores(sums, *days.relative_brier()),
        **figures,
    )
