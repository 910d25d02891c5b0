"""The figures of one pair's record: published forecasts compared with the closing prices, and with persistence.

Each forecast with a recorded outcome counts once, even if several releases forecast the same day from the same price.
Four releases a day that forecast thirty days ahead cover each day 120 times, and their errors are far from
independent. So the number of different days is counted, too: it shows how much evidence the other figures rest on.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from crypto_predict.baked.entries import Outcome, Release
from crypto_predict.baked.schema import COVERAGE
from crypto_predict.baked.scores import LiveForecast, LiveRecord, LiveScore
from crypto_predict.wording import counted

HORIZONS = (1, 3, 7, 14, 30)  # days ahead that are also scored separately
LATEST = 30  # target days shown one by one


@dataclass(slots=True)
class _Figures:
    """Sums over forecasts that came due; errors are of log price."""

    due: int = 0
    targets: set[date] = field(default_factory=set)
    error: float = 0.0
    reference: float = 0.0  # the error of persistence
    inside: int = 0

    def add(self, target: date, error: float, reference: float, *, inside: bool) -> None:
        self.due += 1
        self.targets.add(target)
        self.error += error
        self.reference += reference
        self.inside += inside

    def scores(self) -> dict[str, Any]:
        """Return the fields that `LiveScore` and `LiveRecord` share."""
        relative = self.due and self.reference > 0
        return {
            "due": self.due,
            "days": len(self.targets),
            "mae": self.error / self.due if self.due else None,
            "relative_mae": self.error / self.reference if relative else None,
            "skill": 1 - self.error / self.reference if relative else None,
            "coverage": self.inside / self.due if self.due else None,
        }

    def words(self) -> str:
        if not self.due:
            return "no forecast has come due yet"
        error = f"error {self.error / self.due:.2g} in log price, persistence's 0"
        if self.reference > 0:
            error = f"error {self.error / self.reference:.2f} of persistence's"
        return (
            f"{counted(self.due, 'forecast')} of {counted(len(self.targets), 'day')} came due: {error}, "
            f"{100 * self.inside / self.due:.0f} % inside the {100 * COVERAGE:.0f} % interval"
        )


class Tally:
    """The record of one pair, of real or of simulated prices. Entries are added in the order of the ledger."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._releases = 0
        self._newest_candle = date.min
        self._closes: dict[date, float] = {}
        self._pending: dict[date, list[tuple[Release, int]]] = {}  # by target day: release and days ahead
        self._all = _Figures()
        self._by_horizon = {horizon: _Figures() for horizon in HORIZONS}
        self._hindsight = 0
        self._latest: dict[date, LiveForecast] = {}

    @property
    def awaited(self) -> Set[date]:
        """The days that were forecast and have no outcome yet."""
        return self._pending.keys()

    @property
    def outcomes(self) -> int:
        """The number of days with an outcome."""
        return len(self._closes)

    def count_pending(self) -> int:
        """Count the forecasts without an outcome."""
        return sum(map(len, self._pending.values()))

    def add(self, content: Release | Outcome) -> None:
        """Add a release, whose forecasts of days with an outcome are due at once, or an outcome."""
        if isinstance(content, Release):
            self._add_release(content)
        elif content.day not in self._closes:
            self._closes[content.day] = content.close
            for release, horizon in self._pending.pop(content.day, ()):
                self._score(release, horizon, content.day, content.close)

    def _add_release(self, release: Release) -> None:
        self._since = self._since or release.made_at
        self._releases += 1
        self._newest_candle = max(self._newest_candle, release.last)
        for horizon, target in enumerate(release.targets(), start=1):
            if (actual := self._closes.get(target)) is not None:
                self._score(release, horizon, target, actual)
            else:
                self._pending.setdefault(target, []).append((release, horizon))

    def _score(self, release: Release, horizon: int, target: date, actual: float) -> None:
        prediction, low, high = (prices[horizon - 1] for prices in (release.prediction, release.low, release.high))
        log_actual = math.log(actual)
        error = abs(log_actual - math.log(prediction))
        reference = abs(log_actual - math.log(release.anchor.price))
        for figures in (self._all, self._by_horizon.get(horizon)):
            if figures is not None:
                figures.add(target, error, reference, inside=low <= actual <= high)
        self._hindsight += release.made_at.date() > target
        # Of the forecasts of a day, show the one that looked the fewest days ahead, and of several the first: with
        # daily releases this is the first forecast for tomorrow after a close.
        shown = self._latest.get(target)
        if shown is None or horizon < shown.horizon_days:
            self._latest[target] = LiveForecast(
                made_at=release.made_at,
                build=release.build,
                target=target,
                horizon_days=horizon,
                prediction=prediction,
                low=low,
                high=high,
                persistence=release.anchor.price,
                actual=actual,
            )
        if len(self._latest) > LATEST:
            del self._latest[min(self._latest)]

    def record(self) -> LiveRecord | None:
        """Return the figures of the published forecasts; None before the first release."""
        if self._since is None:
            return None
        words = self._all.words()
        if self._hindsight:
            words += f"; {self._hindsight:,} of them made in hindsight, by a history that was cut off"
        return LiveRecord(
            since=self._since,
            releases=self._releases,
            hindsight=self._hindsight,
            pending=self.count_pending(),
            overdue=sum(len(waiting) for target, waiting in self._pending.items() if target <= self._newest_candle),
            by_horizon=tuple(
                LiveScore(horizon_days=horizon, **figures.scores())
                for horizon, figures in self._by_horizon.items()
                if figures.due
            ),
            latest=tuple(self._latest[target] for target in sorted(self._latest, reverse=True)),
            words=words,
            **self._all.scores(),
        )
