"""The VWAP of a session, against its definition."""

from itertools import accumulate
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.market import Candle
from crypto_predict.market.vwap import DAY_SECONDS, session_vwaps
from tests.support.minutes import candle


def test_it_restarts_at_midnight_and_carries_on_without_volume() -> None:
    """By hand: typical prices 100, 110 and 90, then a new day that begins without volume."""
    numbers = [(100.0, 2.0), (110.0, 1.0), (500.0, 0.0), (90.0, 0.0), (90.0, 3.0)]
    candles = [(None, price, price, price, price, volume) for price, volume in numbers]
    openings = [DAY_SECONDS - 180, DAY_SECONDS - 120, DAY_SECONDS - 60, DAY_SECONDS, DAY_SECONDS + 60]
    assert list(session_vwaps(openings, candles)) == [100.0, 310 / 3, 310 / 3, None, 90.0]


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1e9)), min_size=1, max_size=30))
def test_it_lies_between_the_typical_prices_and_is_the_sum_over_the_volume(numbers: list[tuple[float, float]]) -> None:
    candles = [candle(0)._replace(high=price, low=price, close=price, volume=volume) for price, volume in numbers]
    result = list(session_vwaps(range(len(candles)), candles))
    turnover = accumulate(((price + price + price) / 3 * volume for price, volume in numbers), add)
    total = accumulate((volume for _, volume in numbers), add)
    assert result == [top / bottom if bottom else None for top, bottom in zip(turnover, total, strict=True)]
    traded = [price for price, volume in numbers if volume]
    assert result[-1] is None or min(traded) * (1 - 1e-9) <= result[-1] <= max(traded) * (1 + 1e-9)


@pytest.mark.parametrize("huge", [candle(1)._replace(high=1.7e308, low=1.7e308), candle(1)._replace(volume=1.7e308)])
def test_sums_too_large_for_a_number_have_no_vwap(huge: Candle) -> None:
    """Not infinity, which no database column and no JSON can hold."""
    assert list(session_vwaps([0, 60], [candle(1), huge]))[1] is None
