"""Candles as NumPy columns."""

import math
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from crypto_predict.market import EPOCH, Candle, Interval

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_BLOCK = 2**14  # candles that exist as objects at a time during an iteration


@dataclass(frozen=True, eq=False)
class Candles(Sequence[Candle]):
    """Candles of one interval, 48 bytes each, or 64 with optional columns.

    An index gives a `Candle` without optional fields, a slice gives `Candles`.
    """

    interval: Interval
    open_time: IntArray  # (n,) seconds since 1970, UTC
    open: FloatArray  # (n,)
    high: FloatArray  # (n,)
    low: FloatArray  # (n,)
    close: FloatArray  # (n,)
    volume: FloatArray  # (n,)
    line: IntArray | None = None  # (n,) in the file that they come from, if they come from one
    trades: FloatArray | None = None  # (n,) NaN where it is not known; None if it never is
    taker_volume: FloatArray | None = None  # (n,) bought by takers, in the base currency; the same

    @staticmethod
    def of(candles: Iterable[Candle], interval: Interval) -> "Candles":
        """Return the columns of `candles`, in the same order. They open at whole seconds."""
        return Candles.of_rows(((candle, None) for candle in candles), interval)

    @staticmethod
    def of_rows(rows: Iterable[tuple[Candle, int | None]], interval: Interval) -> "Candles":
        """Return the columns of candles, each with its line if it comes from a file."""
        openings, lines = array("q"), array("q")
        opens, highs, lows, closes, volumes = values = [array("d") for _ in range(5)]
        trades, taker_volumes = array("d"), array("d")
        for candle, line in rows:
            openings.append((candle.open_time - EPOCH) // timedelta(seconds=1))
            opens.append(candle.open)
            highs.append(candle.high)
            lows.append(candle.low)
            closes.append(candle.close)
            volumes.append(candle.volume)
            trades.append(math.nan if candle.trades is None else candle.trades)
            taker_volumes.append(math.nan if candle.taker_base_volume is None else candle.taker_base_volume)
            if line is not None:
                lines.append(line)
        optional = [None if np.isnan(column).all() else np.asarray(column) for column in (lines, trades, taker_volumes)]
        columns: list[Any] = [*map(np.asarray, (openings, *values)), *optional]
        return Candles(interval, *columns)

    def __post_init__(self) -> None:
        for column in self._columns():
            column.setflags(write=False)

    @cached_property
    def log_close(self) -> FloatArray:
        """Natural logarithm of the closes, (n,)."""
        return np.asarray(np.log(self.close))

    @cached_property
    def days(self) -> IntArray:
        """Proleptic Gregorian ordinals of the UTC days of the openings, (n,)."""
        return np.asarray(self.open_time // Interval.DAY_1.seconds + EPOCH.toordinal())

    def __len__(self) -> int:
        return len(self.open_time)

    @overload
    def __getitem__(self, index: int) -> Candle: ...

    @overload
    def __getitem__(self, index: slice) -> "Candles": ...

    def __getitem__(self, index: int | slice) -> "Candle | Candles":
        if isinstance(index, slice):
            return self._selected(index)
        seconds, *values = (column[index].item() for column in self._columns())
        return Candle(EPOCH + timedelta(seconds=seconds), *values)

    def __iter__(self) -> Iterator[Candle]:
        for start in range(0, len(self), _BLOCK):
            block = (column[start : start + _BLOCK].tolist() for column in self._columns())
            for seconds, *values in zip(*block, strict=True):
                yield Candle(EPOCH + timedelta(seconds=seconds), *values)

    def __eq__(self, other: object) -> bool:
        """Compare interval, prices and volumes; lines of a file and optional columns do not matter."""
        if not isinstance(other, Candles):
            return NotImplemented
        columns = zip(self._columns(), other._columns(), strict=True)
        return self.interval is other.interval and all(np.array_equal(ours, theirs) for ours, theirs in columns)

    __hash__ = None  # type: ignore[assignment]  # like every value with arrays inside

    def last_copies(self, without: Collection[datetime] = ()) -> "Candles":
        """Return the candles in ascending order, the last copy of each opening, except for the openings `without`."""
        if not without and bool((np.diff(self.open_time) > 0).all()):
            return self
        order = np.argsort(self.open_time, kind="stable")
        openings = self.open_time[order]
        is_last = np.diff(openings, append=np.iinfo(np.int64).max) != 0
        excluded = np.isin(openings, [(opening - EPOCH) // timedelta(seconds=1) for opening in without])
        return self._selected(order[is_last & ~excluded])

    def _columns(self) -> tuple[IntArray | FloatArray, ...]:
        return self.open_time, self.open, self.high, self.low, self.close, self.volume

    def _selected(self, selection: slice | IntArray) -> "Candles":
        columns: list[Any] = [*self._columns(), self.line, self.trades, self.taker_volume]
        selected: list[Any] = [None if column is None else column[selection] for column in columns]
        return Candles(self.interval, *selected)
