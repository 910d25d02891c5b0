"""The live record: published forecasts beside what really happened, and beside persistence.

Every forecast whose outcome is on record counts once, also where several releases forecast the same day from the same
price. Four releases a day that look thirty days ahead forecast each day 120 times, and their errors are anything but
independent: the different days that came due are counted beside the forecasts, and are the number to judge the other
figures by.

The figures are kept up to date entry by entry, so that a long ledger takes little memory: what stays are the outcomes
and the forecasts that wait for one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple

from crypto_predict.baked.schema import COVERAGE
from crypto_predict.baked.scorecard import LiveForecast, LiveRecord, LiveScore
from crypto_predict.forecasting.record.entries import Outcome, Release
from crypto_predict.wording import counted

HORIZONS = (1, 3, 7, 14, 30)  # days ahead that are scored by themselves
LATEST = 30  # target days shown one by one


@dataclass(slots=True)
class _Figures:
    """What a set of forecasts that came due amounts to so far; errors are of log price."""

    due: int = 0
    targets: set[date] = field(default_factory=set)
    error: float = 0.0  # the sum
    reference: float = 0.0  # persistence's
    inside: int = 0

    def add(self, target: date, error: float, reference: float, *, inside: bool) -> None:
        self.due += 1
        self.targets.add(target)
        self.error += error
        self.reference += reference
        self.inside += inside

    @property
    def days(self) -> int:
        return len(self.targets)

    @property
    def mae(self) -> float:
        return self.error / self.due

    @property
    def relative_mae(self) -> float | None:
        return self.error / self.reference if self.reference > 0 else None

    @property
    def skill(self) -> float | None:
        return 1 - self.error / self.reference if self.reference > 0 else None

    @property
    def coverage(self) -> float:
        return self.inside / self.due

    def copy(self) -> _Figures:
        return replace(self, targets=set(self.targets))


class _Pending(NamedTuple):
    """A published forecast without an outcome; the fields are those of `LiveForecast`. A long ledger has millions."""

    made_at: datetime
    build: str
    horizon_days: int
    prediction: float
    low: float
    high: float
    persistence: float

    def due(self, target: date, actual: float) -> LiveForecast:
        """The forecast beside the close of its target day."""
        return LiveForecast(
            made_at=self.made_at,
            build=self.build,
            target=target,
            horizon_days=self.horizon_days,
            prediction=self.prediction,
            low=self.low,
            high=self.high,
            persistence=self.persistence,
            actual=actual,
        )


class Tally:
    """The record so far of one pair, and of real prices or of invented ones. Entries come in the ledger's order."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._releases = 0
        self._passed = date.min  # the newest day that a history is known to have reached
        self._closes: dict[date, float] = {}
        self._pending: dict[date, list[_Pending]] = {}  # by target day
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
        """How many days have an outcome on record."""
        return len(self._closes)

    def count_pending(self) -> int:
        """How many forecasts wait for an outcome."""
        return sum(map(len, self._pending.values()))

    def add_release(self, release: Release) -> None:
        """Enter the forecasts of a release; those of days whose outcome is on record are due at once."""
        self._since = self._since or release.made_at
        self._releases += 1
        self._passed = max(self._passed, release.last)
        for target, pending in _forecasts(release):
            if (actual := self._closes.get(target)) is not None:
                self._score(pending, target, actual)
            else:
                self._pending.setdefault(target, []).append(pending)

    def add_outcome(self, outcome: Outcome) -> None:
        """Enter the close of a day; the first one on record stands."""
        if outcome.day not in self._closes:
            self._closes[outcome.day] = outcome.close
            for pending in self._pending.pop(outcome.day, ()):
                self._score(pending, outcome.day, outcome.close)

    def _score(self, forecast: _Pending, target: date, actual: float) -> None:
        log_actual = math.log(actual)
        error = abs(log_actual - math.log(forecast.prediction))
        reference = abs(log_actual - math.log(forecast.persistence))
        inside = forecast.low <= actual <= forecast.high
        self._all.add(target, error, reference, inside=inside)
        if (figures := self._by_horizon.get(forecast.horizon_days)) is not None:
            figures.add(target, error, reference, inside=inside)
        self._hindsight += forecast.made_at.date() > target
        # Of the forecasts of a day, the one that looked the fewest days ahead, and of several such the one that was
        # made first: where releases come every day, the first that was published for tomorrow after a close.
        before = self._latest.get(target)
        if before is None or forecast.horizon_days < before.horizon_days:
            self._latest[target] = forecast.due(target, actual)
        if len(self._latest) > LATEST:
            del self._latest[min(self._latest)]

    def record(self) -> LiveRecord | None:
        """How the published forecasts did; None before the first release."""
        if self._since is None:
            return None
        figures = self._all if self._all.due else None
        pending = self.count_pending()
        return LiveRecord(
            since=self._since,
            releases=self._releases,
            due=self._all.due,
            days=self._all.days,
            hindsight=self._hindsight,
            pending=pending,
            overdue=sum(len(waiting) for target, waiting in self._pending.items() if target <= self._passed),
            mae=figures.mae if figures else None,
            relative_mae=figures.relative_mae if figures else None,
            skill=figures.skill if figures else None,
            coverage=figures.coverage if figures else None,
            by_horizon=tuple(_score(horizon, one) for horizon, one in self._by_horizon.items() if one.due),
            latest=tuple(self._latest[target] for target in sorted(self._latest, reverse=True)),
            words=_words(figures, self._hindsight),
        )

    def copy(self) -> Tally:
        """A tally of its own, which goes on from here."""
        copied = Tally()
        copied._since, copied._releases, copied._passed = self._since, self._releases, self._passed
        copied._closes, copied._latest = dict(self._closes), dict(self._latest)
        copied._pending = {target: list(waiting) for target, waiting in self._pending.items()}
        copied._all, copied._hindsight = self._all.copy(), self._hindsight
        copied._by_horizon = {horizon: figures.copy() for horizon, figures in self._by_horizon.items()}
        return copied


def _forecasts(release: Release) -> Iterator[tuple[date, _Pending]]:
    """Every forecast of a release with its target day."""
    for index, target in enumerate(release.targets()):
        yield (
            target,
            _Pending(
                made_at=release.made_at,
                build=release.build,
                horizon_days=index + 1,
                prediction=release.prediction[index],
                low=release.low[index],
                high=release.high[index],
                persistence=release.anchor.price,
            ),
        )


def _score(horizon: int, figures: _Figures) -> LiveScore:
    return LiveScore(
        horizon_days=horizon,
        due=figures.due,
        days=figures.days,
        mae=figures.mae,
        relative_mae=figures.relative_mae,
        skill=figures.skill,
        coverage=figures.coverage,
    )


def _words(figures: _Figures | None, hindsight: int) -> str:
    if figures is None:
        return "no forecast has come due yet"
    text = f"{counted(figures.due, 'forecast')} of {counted(figures.days, 'day')} came due: {_error(figures)}, "
    text += f"{_percent(figures.coverage)} inside the {_percent(COVERAGE)} interval"
    if hindsight:
        text += f"; {hindsight:,} of them made in hindsight, by a history that was cut off"
    return text


def _error(figures: _Figures) -> str:
    if figures.relative_mae is None:
        return f"error {figures.mae:.2g} in log price, persistence's 0"
    return f"error {figures.relative_mae:.2f} of persistence's"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
