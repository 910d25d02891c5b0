"""Candles as columns behave like a list of candles."""

import tracemalloc
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.history import Candles
from crypto_predict.market import Candle, Interval

START = datetime(2024, 5, 17, tzinfo=UTC)
PRICES = st.floats(allow_nan=False)


def hourly(count: int) -> list[Candle]:
    """Candles of one hour, each with different prices."""
    return [Candle(START + n * timedelta(hours=1), 9.0 + n, 12.0 + n, 8.0 + n, 10.0 + n, n / 4) for n in range(count)]


INSTANTS = st.datetimes().map(lambda at: at.replace(microsecond=0, tzinfo=UTC))


@given(st.lists(st.tuples(INSTANTS, *[PRICES] * 5).map(lambda values: Candle(*values))))
def test_columns_keep_candles_to_the_last_bit(candles: list[Candle]) -> None:
    assert list(Candles.of(candles, Interval.DAY_1)) == candles


@given(st.slices(30))
def test_a_slice_contains_what_a_slice_of_a_list_contains(part: slice) -> None:
    assert list(Candles.of(hourly(30), Interval.HOUR_1)[part]) == hourly(30)[part]


def test_an_index_gives_a_candle_and_beyond_the_end_an_error() -> None:
    candles = Candles.of(hourly(3), Interval.HOUR_1)
    assert [candles[index] for index in (0, 2, -1)] == [hourly(3)[index] for index in (0, 2, -1)]
    with pytest.raises(IndexError):
        candles[3]


def test_columns_can_be_compared() -> None:
    candles = Candles.of(hourly(3), Interval.HOUR_1)
    assert candles == Candles.of(hourly(3), Interval.HOUR_1)
    assert candles != candles[:2]
    assert candles != Candles.of(hourly(3), Interval.DAY_1)
    assert candles != hourly(3)


def test_arrays_are_computed_once_and_cannot_be_changed() -> None:
    candles = Candles.of(hourly(30), Interval.HOUR_1)
    assert candles.log_close is candles.log_close
    assert candles.log_close.tolist() == np.log([candle.close for candle in candles]).tolist()
    assert [date.fromordinal(day) for day in candles.days.tolist()] == [c.open_time.date() for c in candles]
    with pytest.raises(ValueError, match="read-only"):
        candles.close[0] = 1.0


def test_of_several_copies_the_last_one_is_kept_in_order() -> None:
    first, second, third = hourly(3)
    revised = Candle(first.open_time, 1.0, 1.0, 1.0, 1.0, 1.0)
    candles = Candles.of([third, first, second, revised], Interval.HOUR_1)
    assert list(candles.last_copies()) == [revised, second, third]
    assert list(candles.last_copies(without=[second.open_time])) == [revised, third]


def test_a_candle_takes_48_bytes() -> None:
    """Five years of minutes are then 126 MB."""
    count = 30_000
    tracemalloc.start()
    candles = Candles.of(
        (Candle(START + n * timedelta(minutes=1), 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(count)), Interval.MINUTE_1
    )
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(candles) == count
    assert taken < count * 48 * 1.15
