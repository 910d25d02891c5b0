"""A month as a table: one row for each opening, with the verdict and the digest that the rest of the program has."""

from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.dataset import tables
from crypto_predict.market import EPOCH, Candle, Interval, Span, StoredCandle
from crypto_predict.market import digest as digest_of
from crypto_predict.market.collected import StoredMonth, StreamSpan, StreamState
from crypto_predict.market.verdict import judge

MINUTE = Interval.MINUTE_1
SOUND = st.floats(5e-324, 1.7e308, allow_subnormal=True)
NUMBERS = SOUND | st.integers(1, 10**18).map(float) | st.integers(1, 10**9).map(lambda units: units / 10**8)


def month_of(candles: list[StoredCandle], span: Span, covered: list[Span], streams: list[StreamSpan]) -> StoredMonth:
    rows = [
        ((stored.candle.open_time - EPOCH) // timedelta(seconds=1), *stored.candle[1:], stored.vwap)
        for stored in candles
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 11
    return StoredMonth(span, columns, tuple(covered), (), tuple(streams))


@given(st.lists(st.tuples(NUMBERS, NUMBERS | st.just(0.0)), min_size=1, max_size=20))
def test_the_digest_is_that_of_the_endpoint(values: list[tuple[float, float]]) -> None:
    """Whoever compares a file with /digest of a collector computes it with other code: floats as Python writes them."""
    span = Span(EPOCH, EPOCH + len(values) * MINUTE.length)
    candles = [
        Candle(EPOCH + number * MINUTE.length, price, price, price, price, volume)
        for number, (price, volume) in enumerate(values)
    ]
    table = tables.table(month_of([StoredCandle(candle, None) for candle in candles], span, [], []), MINUTE)
    assert tables.digest(table, MINUTE) == digest_of(candles, MINUTE)


@given(st.data())
def test_every_opening_has_the_verdict_that_the_endpoint_shows(data: st.DataObject) -> None:
    """`judge` is the reference, which the columns must equal whatever is missing, covered and connected."""
    count = data.draw(st.integers(1, 30))
    at = [EPOCH + number * MINUTE.length for number in range(count + 1)]
    present = data.draw(st.sets(st.integers(0, count - 1)))
    candles = [
        StoredCandle(Candle(at[number], 1.0, 1.0, 1.0, 1.0, float(number % 2), trades=number % 3 or None), None)
        for number in sorted(present)
    ]
    edges = sorted(data.draw(st.sets(st.integers(0, count * 60), max_size=6)))
    spans = [
        Span(EPOCH + timedelta(seconds=a), EPOCH + timedelta(seconds=b))
        for a, b in zip(edges[::2], edges[1::2], strict=False)
    ]
    streams = [StreamSpan(span, data.draw(st.sampled_from(StreamState)), "why") for span in spans]
    covered = spans[::2]
    span = Span(at[0], at[-1])
    table = tables.table(month_of(candles, span, covered, streams), MINUTE)
    judged = list(judge(span, MINUTE, candles, streams, covered))
    assert table["open_time"].to_pylist() == [each.open_time for each in judged]
    assert table["verdict"].to_pylist() == [each.verdict.value for each in judged]
    assert table["asked"].to_pylist() == [each.is_asked for each in judged]
    assert table["reason"].to_pylist() == [each.reason or None for each in judged]
    assert list(tables.candles(table)) == candles


@pytest.mark.parametrize(
    "candle",
    [
        Candle(EPOCH, 1.0, 2.0, 1.5, 1.8, 0.0),
        Candle(EPOCH, 1.0, 2.0, 0.0, 1.8, 0.0),
        Candle(EPOCH, 1.0, float("inf"), 0.5, 1.8, 0.0),
        Candle(EPOCH, 1.0, 2.0, 0.5, float("nan"), 0.0),
        Candle(EPOCH, 1.0, 2.0, 0.5, 1.8, -1.0),
        Candle(EPOCH, 1.0, 2.0, 0.5, 1.8, 1.0, trades=-1),
        Candle(EPOCH, 1.0, 2.0, 0.5, 2.1, 1.0),
    ],
)
def test_candles_that_no_market_can_have_made_are_noticed(candle: Candle) -> None:
    """A folder may come from anyone, and the database trusts what is stored."""
    span = Span(EPOCH, EPOCH + MINUTE.length)
    sound = Candle(EPOCH, 1.0, 2.0, 0.5, 1.8, 1.0)
    assert tables.are_sound(tables.table(month_of([StoredCandle(sound, None)], span, [], []), MINUTE))
    table = tables.table(month_of([StoredCandle(candle, None)], span, [], []), MINUTE)
    assert candle.faults()
    assert not tables.are_sound(table)
    assert isinstance(table, pa.Table)
