"""The live record: published forecasts beside what really happened, and beside persistence.

Every forecast whose outcome is on record counts once, also where several releases forecast the same day from the same
price. Four releases a day that look thirty days ahead forecast each day 120 times, and their errors are anything but
independent: the different days that came due are counted beside the forecasts, and are the number to judge the other
figures by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from crypto_predict import metrics
from crypto_predict.baked.schema import COVERAGE
from crypto_predict.baked.scorecard import LiveForecast, LiveRecord, LiveScore
from crypto_predict.forecasting.ledger_entries import DAYS, Release
from crypto_predict.wording import counted

HORIZONS = (1, 3, 7, 14, 30)  # days ahead that are scored by themselves
LATEST = 30  # target days shown one by one


def live_record(releases: Sequence[Release], closes: Mapping[date, float]) -> LiveRecord:
    """How the published forecasts of one pair did.

    Args:
        releases: Of one pair, and all of them of real prices or all of invented ones; at least one, in order of time.
        closes: The outcome of each target day that has one, in the quote currency.
    """
    due = [forecast for release in releases for forecast in _due(release, closes)]
    figures = _Figures.of(due) if due else None
    hindsight = sum(forecast.made_at.date() > forecast.target for forecast in due)
    return LiveRecord(
        since=releases[0].made_at,
        releases=len(releases),
        due=len(due),
        days=_days(due),
        hindsight=hindsight,
        pending=DAYS * len(releases) - len(due),
        overdue=_overdue(releases, closes),
        mae=figures.mae if figures else None,
        relative_mae=figures.relative_mae if figures else None,
        skill=figures.skill if figures else None,
        coverage=figures.coverage if figures else None,
        by_horizon=tuple(_by_horizon(due)),
        latest=_latest(due),
        words=_words(due, figures, hindsight),
    )


def _due(release: Release, closes: Mapping[date, float]) -> Iterator[LiveForecast]:
    """The forecasts of one release whose outcome is known."""
    for index, target in enumerate(release.targets()):
        if (actual := closes.get(target)) is not None:
            yield LiveForecast(
                made_at=release.made_at,
                build=release.build,
                target=target,
                horizon_days=index + 1,
                prediction=release.prediction[index],
                low=release.low[index],
                high=release.high[index],
                persistence=release.anchor.price,
                actual=actual,
            )


def _overdue(releases: Sequence[Release], closes: Mapping[date, float]) -> int:
    """How many forecasts are of a day that a later history has passed without bringing its candle."""
    passed = max(release.last for release in releases)
    return sum(target <= passed and target not in closes for release in releases for target in release.targets())


def _days(due: Sequence[LiveForecast]) -> int:
    return len({forecast.target for forecast in due})


@dataclass(frozen=True, slots=True)
class _Figures:
    """What a set of forecasts that came due amounts to; the fields are those of `LiveScore`."""

    mae: float
    relative_mae: float | None
    skill: float | None
    coverage: float

    @classmethod
    def of(cls, due: Sequence[LiveForecast]) -> _Figures:
        """The figures of at least one forecast; errors are of log price."""
        actual = _logs(due, lambda forecast: forecast.actual)
        error = metrics.mae(actual, _logs(due, lambda forecast: forecast.prediction))
        reference = metrics.mae(actual, _logs(due, lambda forecast: forecast.persistence))
        return cls(
            mae=error,
            relative_mae=error / reference if reference > 0 else None,
            skill=metrics.skill(error, reference) if reference > 0 else None,
            coverage=metrics.coverage(
                [forecast.actual for forecast in due],
                [forecast.low for forecast in due],
                [forecast.high for forecast in due],
            ),
        )


def _logs(due: Sequence[LiveForecast], price: Callable[[LiveForecast], float]) -> list[float]:
    return [math.log(price(forecast)) for forecast in due]


def _by_horizon(due: Sequence[LiveForecast]) -> Iterator[LiveScore]:
    for horizon in HORIZONS:
        of_horizon = [forecast for forecast in due if forecast.horizon_days == horizon]
        if of_horizon:
            figures = _Figures.of(of_horizon)
            yield LiveScore(
                horizon_days=horizon,
                due=len(of_horizon),
                days=_days(of_horizon),
                mae=figures.mae,
                relative_mae=figures.relative_mae,
                skill=figures.skill,
                coverage=figures.coverage,
            )


def _latest(due: Sequence[LiveForecast]) -> tuple[LiveForecast, ...]:
    """One forecast of each of the newest target days, newest first.

    Of those that a day has, the one that looked the fewest days ahead, and of several such the one that was made first:
    where releases come every day, the first that was said of tomorrow after a close.
    """
    shown: dict[date, LiveForecast] = {}
    for forecast in due:  # in the order in which they were made
        before = shown.get(forecast.target)
        if before is None or forecast.horizon_days < before.horizon_days:
            shown[forecast.target] = forecast
    return tuple(shown[target] for target in sorted(shown, reverse=True)[:LATEST])


def _words(due: Sequence[LiveForecast], figures: _Figures | None, hindsight: int) -> str:
    if figures is None:
        return "no forecast has come due yet"
    said = f"{counted(len(due), 'forecast')} of {counted(_days(due), 'day')} came due: {_error(figures)}, "
    said += f"{_percent(figures.coverage)} inside the {_percent(COVERAGE)} interval"
    if hindsight:
        said += f"; {hindsight:,} of them made in hindsight, by a history that was cut off"
    return said


def _error(figures: _Figures) -> str:
    if figures.relative_mae is None:
        return f"error {figures.mae:.2g} in log price, persistence's 0"
    return f"error {figures.relative_mae:.2f} of persistence's"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
