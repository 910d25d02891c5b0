"""Histories as arrays, and what several parts of a forecast do with arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date

import numpy as np

from crypto_predict.history import History
from crypto_predict.history.columns import BoolArray, Candles, FloatArray, IntArray


@dataclass(frozen=True)
class DailySeries:
    """Candles on a grid of days; prices as natural logarithms.

    A day without a candle is not `known`: all of its prices are the previous close, and its volume is 0.
    """

    days: IntArray  # (n,) proleptic Gregorian ordinals, consecutive
    log_close: FloatArray  # (n,)
    known: BoolArray  # (n,) whether the day has a candle
    log_open: FloatArray  # (n,)
    log_high: FloatArray  # (n,)
    log_low: FloatArray  # (n,)
    volume: FloatArray  # (n,) in the base currency

    @classmethod
    def of(cls, history: History) -> "DailySeries":
        """Return the series of a daily history."""
        return cls.of_candles(history.candles)

    @classmethod
    def of_candles(cls, candles: Candles) -> "DailySeries":
        """Return the series of daily candles."""
        days = np.arange(candles.days[0], candles.days[-1] + 1)
        latest = np.searchsorted(candles.days, days, side="right") - 1  # the candle of each day, or the one before
        log_close, has_candle = candles.log_close[latest], candles.days[latest] == days
        return cls(
            days,
            log_close,
            has_candle,
            log_open=np.where(has_candle, np.log(candles.open)[latest], log_close),
            log_high=np.where(has_candle, np.log(candles.high)[latest], log_close),
            log_low=np.where(has_candle, np.log(candles.low)[latest], log_close),
            volume=np.where(has_candle, candles.volume[latest], 0.0),
        )

    def __len__(self) -> int:
        return len(self.days)

    def day(self, index: int | np.int64) -> date:
        """Return the date at `index`."""
        return date.fromordinal(int(self.days[index]))

    def increments(self, cutoffs: IntArray, horizon: int) -> FloatArray:
        """Return (m,) the change of log price over the `horizon` steps after the indices `cutoffs` (m,).

        NaN where the target lies after the end, or where cutoff or target has no candle.
        """
        targets = cutoffs + horizon
        due = targets < len(self)
        due[due] = self.known[targets[due]] & self.known[cutoffs[due]]
        increments = np.full(len(cutoffs), np.nan)
        increments[due] = self.log_close[targets[due]] - self.log_close[cutoffs[due]]
        return increments

    def until(self, index: int, longest: int) -> "DailySeries":
        """Return the last `longest` steps up to `index`, included: what was known at that close."""
        steps = slice(max(0, index + 1 - longest), index + 1)
        return DailySeries(**{field.name: getattr(self, field.name)[steps] for field in fields(self)})


def spacing(positions: IntArray) -> float:
    """Return the median distance of ascending positions (n,), such as cutoffs; 1 if there are fewer than two."""
    return float(np.median(np.diff(positions))) if len(positions) > 1 else 1.0


def rolling_median(values: FloatArray, window: int) -> FloatArray:
    """Return the medians of every `window` consecutive values, (n - window + 1,); empty if there are fewer."""
    if len(values) < window:
        return np.empty(0)
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(values, window), axis=1), dtype=np.float64)


def at_horizons(values: FloatArray | Sequence[float], horizons: Sequence[int], targets: Sequence[int]) -> FloatArray:
    """Interpolate values (k,) at `horizons` (k,), ascending, to those at the horizons `targets` (n,).

    The values are linear in the logarithm of the horizon, and constant beyond both ends.
    """
    return np.asarray(np.interp(np.log(targets), np.log(horizons), values), dtype=np.float64)
