"""The VWAP of a session, against its definition."""

import pytest

from crypto_predict.market import Candle
from crypto_predict.market.candle import DAY_SECONDS, Session
from tests.support.minutes import candle


def test_it_restarts_at_midnight_and_carries_on_without_volume() -> None:
    """By hand: typical prices 100, 110 and 90, then a new day that begins without volume."""
    numbers = [(100.0, 2.0), (110.0, 1.0), (500.0, 0.0), (90.0, 0.0), (90.0, 3.0)]
    candles = [(None, price, price, price, price, volume) for price, volume in numbers]
    openings = [DAY_SECONDS - 180, DAY_SECONDS - 120, DAY_SECONDS - 60, DAY_SECONDS, DAY_SECONDS + 60]
    assert list(map(Session().add, openings, candles)) == [100.0, 310 / 3, 310 / 3, None, 90.0]


@pytest.mark.parametrize("huge", [candle(1)._replace(high=1.7e308, low=1.7e308), candle(1)._replace(volume=1.7e308)])
def test_sums_too_large_for_a_number_have_no_vwap(huge: Candle) -> None:
    """Not infinity, which no database column and no JSON can hold."""
    assert list(map(Session().add, [0, 60], [candle(1), huge]))[1] is None
