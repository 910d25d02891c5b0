"""What the released forecasts of one horizon amount to, by target day: how often the interval held, with intervals.

Forecasts of the same day err together, as four releases a day make them, and those of days that are closer than the
horizon overlap. So days are resampled, in blocks (`significance`), and never single forecasts.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

import numpy as np

from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import COVERAGE, Confidence, CoverageTest, LiveMonth
from crypto_predict.forecasting.evaluation.comparison import estimate, rounded
from crypto_predict.forecasting.series import spacing
from crypto_predict.forecasting.significance import confidence, resample, share_confidence, share_p_value
from crypto_predict.history.columns import FloatArray, IntArray

MONTHS = 24  # shown, the newest; calendar months with a target day
LATELY = 365  # target days, the newest, whose coverage is tested: a change shows in months, however old the record is
SUMS = ("due", "inside", "questions", "brier", "persistence_brier")  # kept of each target day

_DUE, _INSIDE, _QUESTIONS, _BRIER, _REFERENCE = range(len(SUMS))


@dataclass(slots=True)
class LiveDays:
    """Sums over the forecasts of each target day. A day takes some 150 bytes."""

    horizon: int  # days; the longest one of forecasts of several horizons
    hours: int | None = None  # ahead, of forecasts of hours, whose horizon is within a day
    _rows: dict[date, int] = field(default_factory=dict)  # by target
    _sums: "array[float]" = field(default_factory=lambda: array("d"))  # (days, SUMS), in the order of `_rows`

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, targets: Sequence[date], values: FloatArray) -> None:
        """Add the values (n, SUMS) of forecasts with these targets (n,)."""
        for target, row in zip(targets, values.tolist(), strict=True):
            start = self._rows.setdefault(target, len(self._rows)) * len(SUMS)
            if start == len(self._sums):
                self._sums.extend(row)
            else:
                for place, value in enumerate(row, start):
                    self._sums[place] += value

    def coverage_confidence(self) -> Confidence | None:
        """Return the interval of the share of outcomes inside the forecast interval."""
        return _coverage(*self._table(), self.horizon)[1]

    def relative_brier(self) -> tuple[int, Estimate | None]:
        """Return on how many days there were questions, and the Brier score relative to persistence's."""
        days, sums = self._table()
        asked = sums[:, _QUESTIONS] > 0
        brier, reference = sums[asked, _BRIER], sums[asked, _REFERENCE]
        if not np.sum(reference) > 0:
            return len(brier), None
        resamples = resample(len(brier), _overlap(days[asked], self.horizon))
        ratio = float(np.sum(brier) / np.sum(reference))
        return len(brier), estimate(ratio, confidence(resamples, brier, reference))

    def months(self) -> Iterator[LiveMonth]:
        """Yield the months with a target, newest first."""
        days, sums = self._table()
        firsts = [date.fromordinal(day).replace(day=1) for day in days.tolist()]
        months = [(month, [row for row, _ in rows]) for month, rows in groupby(enumerate(firsts), lambda row: row[1])]
        for month, rows in months[: -MONTHS - 1 : -1]:
            share, interval = _coverage(days[rows], sums[rows], self.horizon)
            due = round(float(sums[rows, _DUE].sum()))
            ahead = self.horizon if self.hours is None else None
            yield LiveMonth(month, ahead, self.hours, due, len(rows), estimate(share, interval))

    def test(self) -> CoverageTest:
        """Return the coverage of the newest days, and whether it differs from the nominal one beyond chance."""
        days, sums = self._table()
        days, sums = days[-LATELY:], sums[-LATELY:]
        share, interval = _coverage(days, sums, self.horizon)
        p_value = share_p_value(sums[:, _INSIDE], sums[:, _DUE], COVERAGE, _overlap(days, self.horizon))
        return CoverageTest(
            horizon_days=self.horizon,
            since=date.fromordinal(int(days[0])),
            due=round(float(sums[:, _DUE].sum())),
            days=len(days),
            coverage=estimate(share, interval),
            p_value=None if p_value is None else rounded(p_value),
        )

    def _table(self) -> tuple[IntArray, FloatArray]:
        """Return the target days as ordinals (n,), ascending, and their sums (n, SUMS)."""
        days = np.array([day.toordinal() for day in self._rows])
        order = np.argsort(days)
        return days[order], np.array(self._sums).reshape(-1, len(SUMS))[order]


def _coverage(days: IntArray, sums: FloatArray, horizon: int) -> tuple[float, Confidence | None]:
    inside, due = sums[:, _INSIDE], sums[:, _DUE]
    resamples = resample(len(days), _overlap(days, horizon))
    return float(inside.sum() / due.sum()), share_confidence(resamples, inside, due)


def _overlap(days: IntArray, horizon: int) -> int:
    return max(1, math.ceil(horizon / spacing(days)))
