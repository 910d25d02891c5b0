"""A daily history as arrays: one value a day, without gaps, for whatever counts in days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from crypto_predict.forecasting.arrays import BoolArray, FloatArray, IntArray
from crypto_predict.history import History


@dataclass(frozen=True)
class DailySeries:
    """Closes on a grid of days. A day without a candle has the close of the day before, and is not `known`."""

    days: IntArray  # (n,) proleptic Gregorian ordinals, each one more than the one before
    log_close: FloatArray  # (n,) natural logarithm of the close of each day
    known: BoolArray  # (n,) whether that day has a candle

    @classmethod
    def of(cls, history: History) -> DailySeries:
        """The series of a daily history."""
        at = history.candles.days
        days = np.arange(at[0], at[-1] + 1)
        known = np.zeros(len(days), dtype=np.bool_)
        known[at - at[0]] = True
        latest = np.maximum.accumulate(np.where(known, np.arange(len(days)), 0))
        log_closes = np.zeros(len(days))
        log_closes[at - at[0]] = history.candles.log_close
        return cls(days, log_closes[latest], known)

    def __len__(self) -> int:
        return len(self.days)

    def day(self, index: int) -> date:
        """The date of the day at `index`."""
        return date.fromordinal(int(self.days[index]))

    def increments(self, cutoffs: IntArray, horizon: int) -> FloatArray:
        """(m,) the increments of log price over the `horizon` days after the days at the indices `cutoffs` (m,).

        NaN where the increment is not known yet, or one of both days has no candle.
        """
        targets = cutoffs + horizon
        due = targets < len(self)
        due[due] = self.known[targets[due]] & self.known[cutoffs[due]]
        found = np.full(len(cutoffs), np.nan)
        found[due] = self.log_close[targets[due]] - self.log_close[cutoffs[due]]
        return found

    def until(self, index: int, longest: int) -> DailySeries:
        """What was known at the close of the day at `index`: that day and those before it, `longest` at most."""
        kept = slice(max(0, index + 1 - longest), index + 1)
        return DailySeries(self.days[kept], self.log_close[kept], self.known[kept])
