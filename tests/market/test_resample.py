"""Longer candles out of minutes, with pandas as the oracle, on real minutes with real gaps."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.market import Candle, Interval, Span, resample

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
START = datetime(2019, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def real_minutes(base: str) -> pd.DataFrame:
    """The minutes of a quarter, with their gaps, by their openings."""
    path = DATA / f"bitfinex_{base}-USD_1m_2019Q1.csv.gz"
    if not path.exists():
        pytest.skip("the real minutes are not on this machine")
    frame = pd.read_csv(path)
    return frame.set_index(pd.to_datetime(frame.pop("time_ms"), unit="ms", utc=True))


@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_longer_candles_equal_those_of_pandas(base: str) -> None:
    """All candles of the quarter: 5, 10 and 60 minutes, and days."""
    frame = real_minutes(base)
    minutes = [Candle(time.to_pydatetime(), *values) for time, *values in frame.itertuples()]
    span = Span(START, START + timedelta(days=90))
    for interval in (Interval.MINUTE_5, Interval.MINUTE_10, Interval.HOUR_1, Interval.DAY_1):
        groups = frame.resample(interval.length)
        expected = groups.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
        expected = expected[groups["open"].count() > 0]
        joined = pd.DataFrame([candle[:6] for candle in resample(minutes, span, interval)])
        assert joined[0].tolist() == list(expected.index)
        prices = ["open", "high", "low", "close"]
        assert (joined[[1, 2, 3, 4]].to_numpy() == expected[prices].to_numpy()).all()
        # pandas sums with an error of its own in the last bit
        assert joined[5].tolist() == pytest.approx(expected["volume"].tolist(), rel=1e-14, abs=0)
        assert len(joined) > 80


def minute(number: int, volume: float = 1.0) -> Candle:
    return Candle(START + number * MINUTE, 10.0 + number, 12.0 + number, 8.0 + number, 11.0 + number, volume)


@given(st.sets(st.integers(0, 400)), st.integers(0, 200), st.integers(0, 400))
def test_incomplete_ends_are_left_out_and_gaps_stay_gaps(numbers: set[int], first: int, length: int) -> None:
    """A candle made of half of its minutes would show a close that the market never had."""
    span = Span(START + first * MINUTE, START + (first + length) * MINUTE)
    minutes = [minute(number) for number in sorted(numbers) if first <= number < first + length]
    joined = list(resample(minutes, span, Interval.MINUTE_5))
    openings = {START + number // 5 * 5 * MINUTE for number in numbers}
    expected = [opening for opening in sorted(openings) if span.start <= opening and opening + 5 * MINUTE <= span.end]
    assert [candle.open_time for candle in joined] == expected
    assert sum(candle.volume for candle in joined) == sum(
        candle.volume
        for candle in minutes
        if any(0 <= (candle.open_time - opening) // MINUTE < 5 for opening in expected)
    )


@pytest.mark.parametrize(("volumes", "total"), [([0.1] * 5, 0.5), ([1.7e308] * 2, math.inf)])
def test_a_sum_of_volumes_is_the_same_in_every_python(volumes: list[float], total: float) -> None:
    """The digests of two collectors are compared. A sum beyond every float does not end the program."""
    minutes = [minute(number, volume) for number, volume in enumerate(volumes)]
    (joined,) = resample(minutes, Span(START, START + 5 * MINUTE), Interval.MINUTE_5)
    assert joined.volume == total
