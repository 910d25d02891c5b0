"""Candles as NumPy columns."""

import math
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

from crypto_predict.market import EPOCH, Candle, Interval

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_Column = TypeVar("_Column", IntArray, FloatArray)

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

    @classmethod
    def of(cls, candles: Iterable[Candle], interval: Interval) -> "Candles":
        """Return the columns of `candles`, in the same order. They open at whole seconds."""
        buffer = CandleBuffer(interval)
        for candle in candles:
            buffer.append(candle)
        return buffer.candles()

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
        return Candles(
            interval=self.interval,
            open_time=self.open_time[selection],
            open=self.open[selection],
            high=self.high[selection],
            low=self.low[selection],
            close=self.close[selection],
            volume=self.volume[selection],
            line=_selected(self.line, selection),
            trades=_selected(self.trades, selection),
            taker_volume=_selected(self.taker_volume, selection),
        )


class CandleBuffer:
    """Columns that grow by one candle at a time."""

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self._openings, self._lines = array("q"), array("q")
        self._values = tuple(array("d") for _ in range(5))
        self._trades, self._taker_volumes = _OptionalColumn(), _OptionalColumn()

    def append(self, candle: Candle, line: int | None = None) -> None:
        """Add a candle, with its line if it comes from a file. It opens at a whole second."""
        self._openings.append((candle.open_time - EPOCH) // timedelta(seconds=1))
        opens, highs, lows, closes, volumes = self._values
        opens.append(candle.open)
        highs.append(candle.high)
        lows.append(candle.low)
        closes.append(candle.close)
        volumes.append(candle.volume)
        self._trades.append(candle.trades, len(volumes))
        self._taker_volumes.append(candle.taker_base_volume, len(volumes))
        if line is not None:
            self._lines.append(line)

    def candles(self) -> Candles:
        """Return the candles added so far. Nothing is copied, so nothing can be added afterwards."""
        opens, highs, lows, closes, volumes = map(np.asarray, self._values)
        lines = np.asarray(self._lines) if self._lines else None
        trades, taker_volumes = self._trades.column(len(volumes)), self._taker_volumes.column(len(volumes))
        openings = np.asarray(self._openings)
        return Candles(self._interval, openings, opens, highs, lows, closes, volumes, lines, trades, taker_volumes)


class _OptionalColumn:
    """A column that takes memory only from its first value on."""

    def __init__(self) -> None:
        self._values = array("d")

    def append(self, value: float | None, rows: int) -> None:
        """Add the value of the last one of so many `rows`."""
        if value is not None:
            self._fill(rows - 1)
            self._values.append(value)

    def column(self, rows: int) -> FloatArray | None:
        """Return the values of all rows, NaN where there is none; None if there is not any."""
        if not self._values:
            return None
        self._fill(rows)
        return np.asarray(self._values)

    def _fill(self, rows: int) -> None:
        self._values.extend([math.nan] * (rows - len(self._values)))


def _selected(column: _Column | None, selection: slice | IntArray) -> _Column | None:
    return None if column is None else column[selection]
