"""Candles built from ticks, with pandas as the oracle."""

import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.collecting.live.streams.ticks import GRACE, TickCandles
from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.collected import BuiltCandle
from crypto_predict.market.events import TickReceived
from tests.support.clocks import MovedClock
from tests.support.minutes import real_minutes

BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
SIZE = 0.1  # of every trade; sums of it have errors of rounding
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
START = NOON - MINUTE
INTERVALS = (Interval.MINUTE_1, Interval.MINUTE_5, Interval.MINUTE_10)


class Market:
    """Candles that are built on a clock that the test moves, and taken every second."""

    def __init__(self, wrong_by: timedelta = timedelta(0)) -> None:
        self.clock = MovedClock(START)
        self.clock.wrong_by = wrong_by
        self.candles = TickCandles("poloniex", self.clock)
        self.closed: list[tuple[SeriesKey, BuiltCandle]] = []
        self.numbers = count(1000)

    def connect(self) -> None:
        """The stream is connected from now on."""
        self.candles.connected([BTC, ETH], self.clock.now())

    def drop(self) -> None:
        """The stream ends."""
        self.candles.disconnected([BTC, ETH], self.clock.now())

    def tick(self, seconds: float, price: float, pair: Pair = BTC, delay: float = 0, number: int | None = None) -> None:
        """A trade so many seconds after noon comes with a delay; without a number it is a new one."""
        self.wait(seconds + delay)
        self.add(NOON + timedelta(seconds=seconds), price, pair, number)

    def add(self, time: datetime, price: float, pair: Pair = BTC, number: int | None = None) -> None:
        """A trade comes now."""
        number = next(self.numbers) if number is None else number
        self.candles.add(TickReceived("poloniex", pair, time, price, SIZE, number))

    def wait(self, seconds: float) -> None:
        """Let time pass until so many seconds after noon."""
        until = NOON + timedelta(seconds=seconds)
        while (second := START + timedelta(seconds=math.floor(self.clock.elapsed) + 1)) <= until:
            self.clock.move_to(second)
            self.take()
        self.clock.move_to(until)

    def take(self) -> None:
        """Take what is complete."""
        self.closed += [(series, candle) for series, built in self.candles.close().items() for candle in built]

    def of(self, interval: Interval = Interval.MINUTE_1, pair: Pair = BTC) -> list[BuiltCandle]:
        """Everything that was returned for a series, repetitions included."""
        return [candle for series, candle in self.closed if series == SeriesKey("poloniex", pair, interval)]


def prices(candle: BuiltCandle) -> tuple[float, float, float, float]:
    return candle.open, candle.high, candle.low, candle.close


def in_order(ticks: Iterable[tuple[datetime, float]]) -> "pd.Series[float]":
    """The prices of trades in any order by their times; those of one time are in the order given."""
    ascending = sorted(ticks, key=lambda tick: tick[0])
    times = pd.DatetimeIndex([time for time, _ in ascending], tz=UTC)
    return pd.Series([price for _, price in ascending], index=times, dtype=float)


def by_pandas(traded: "pd.Series[float]", interval: Interval) -> dict[datetime, tuple[float, ...]]:
    """The candles of these prices."""
    bars = traded.resample(interval.length).ohlc().dropna()
    return dict(zip(pd.DatetimeIndex(bars.index).to_pydatetime(), map(tuple, bars.to_numpy().tolist()), strict=True))


# Seconds after noon, on a grid so that equal times are frequent; prices likewise.
TIMES = st.integers(0, 1300 * 4).map(lambda quarter: quarter / 4)
PRICES = st.integers(1, 9).map(float)
TICKS = st.lists(st.tuples(TIMES, PRICES, st.sampled_from([BTC, ETH])), max_size=60)


DELAYS = st.floats(0, GRACE * 0.99)


@given(TICKS, st.lists(st.tuples(DELAYS, st.one_of(st.none(), DELAYS)), min_size=60, max_size=60))
def test_ticks_out_of_order_within_the_grace_give_the_candles_of_pandas(
    ticks: list[tuple[float, float, Pair]], delays: list[tuple[float, float | None]]
) -> None:
    """Ids are in the order of the trades, whatever the order is in which they are sent.

    Some are sent twice: while one connection takes the place of another one, both send each trade.
    """
    market = Market()
    trades = [(*tick, number) for number, tick in enumerate(sorted(ticks, key=lambda tick: tick[0]))]
    arrivals = [
        (trade, delay) for trade, twice in zip(trades, delays, strict=False) for delay in twice if delay is not None
    ]
    for (time, price, pair, number), delay in sorted(arrivals, key=lambda arrival: arrival[0][0] + arrival[1]):
        market.tick(time, price, pair, delay, number)
    market.wait(1980)
    for pair in (BTC, ETH):
        traded = in_order((NOON + timedelta(seconds=time), price) for time, price, other, _ in trades if other == pair)
        for interval in INTERVALS:
            built = market.of(interval, pair)
            assert {candle.open_time: prices(candle) for candle in built} == by_pandas(traded, interval)
            assert len(built) == len({candle.open_time for candle in built})
            assert sum(candle.ticks for candle in built) == len(traded)
            assert [candle.volume for candle in built] == [round(SIZE * candle.ticks, 8) for candle in built]
    assert +market.candles.counts == +Counter(duplicates=len(arrivals) - len(trades))


@given(st.lists(st.tuples(TIMES, PRICES, st.floats(0, 900)), max_size=40))
def test_every_tick_is_in_a_candle_or_counted_whatever_its_delay(ticks: list[tuple[float, float, float]]) -> None:
    market = Market()
    for time, price, delay in sorted(ticks, key=lambda tick: tick[0] + tick[2]):
        market.tick(time, price, delay=delay)
    market.wait(2900)
    result = {(series.interval, candle.open_time): candle for series, candle in market.closed}  # the last states
    counts = market.candles.counts
    minutes = [built_candle for (interval, _), built_candle in result.items() if interval is Interval.MINUTE_1]
    dropped = counts["late"] + counts["past"] + counts["future"] + counts["duplicates"]
    assert sum(built_candle.ticks for built_candle in minutes) + dropped == len(ticks)
    assert sum(built_candle.late for built_candle in minutes) <= counts["late"]
    for (interval, opening), candle in result.items():
        parts = [minute for minute in minutes if interval.floor(minute.open_time) == opening]
        parts.sort(key=lambda part: part.open_time)
        assert prices(candle) == (
            parts[0].open,
            max(part.high for part in parts),
            min(part.low for part in parts),
            parts[-1].close,
        )
        assert candle.ticks == sum(part.ticks for part in parts)
        assert candle.late >= sum(part.late for part in parts)


@pytest.mark.repeats
def test_the_real_minutes_of_a_quarter_as_ticks_give_the_candles_of_pandas() -> None:
    """All of them, with their gaps, in 1, 5 and 10 minutes."""
    minutes = real_minutes(90)
    clock = MovedClock(minutes[0].open_time)
    candles = TickCandles("bitfinex", clock)
    candles.connected([BTC], clock.now() - MINUTE)
    ticks: list[tuple[datetime, float]] = []
    built_candles: dict[Interval, list[BuiltCandle]] = {interval: [] for interval in INTERVALS}
    offsets = (timedelta(0), 20 * SECOND, 40 * SECOND, 59.9 * SECOND)
    for minute in minutes:
        for offset, price in zip(offsets, minute[1:5], strict=True):
            time = minute.open_time + offset
            clock.move_to(time)
            candles.add(TickReceived("bitfinex", BTC, time, price, minute.volume / 4, len(ticks)))
            ticks.append((time, price))
            if offset == offsets[1]:
                for series, built in candles.close().items():
                    built_candles[series.interval] += built
    clock.move_to(clock.now() + 11 * MINUTE)
    for series, built in candles.close().items():
        built_candles[series.interval] += built
    built_minutes = [(candle.open_time, *prices(candle), candle.volume) for candle in built_candles[Interval.MINUTE_1]]
    assert built_minutes == [(*candle[:5], round(candle.volume, 8)) for candle in minutes]
    traded = in_order(ticks)
    for interval in INTERVALS:
        expected = by_pandas(traded, interval)
        assert {candle.open_time: prices(candle) for candle in built_candles[interval]} == expected
        assert len(built_candles[interval]) == len(expected) > 12_000
    assert not any(candle.partial or candle.late for built in built_candles.values() for candle in built)


def test_a_candle_is_complete_two_seconds_after_its_end() -> None:
    market = Market()
    market.connect()
    market.tick(10, 7.0)
    market.wait(61)
    assert market.closed == []
    market.wait(62)
    assert market.of() == [BuiltCandle(NOON, 7.0, 7.0, 7.0, 7.0, ticks=1, late=0, partial=False, volume=SIZE)]


def test_the_ticks_of_any_pair_show_the_time_where_the_clock_of_the_machine_is_wrong() -> None:
    """It is the clock of the exchange that counts, and all its pairs have the same one."""
    market = Market(wrong_by=timedelta(seconds=-30))
    market.tick(50, 7.0)
    for second in range(50, 60):
        market.tick(second, 7.0, ETH)
    market.wait(63)
    assert [candle.open_time for candle in market.of()] == [NOON]


def test_a_late_tick_is_counted_in_each_candle_of_its_time_and_not_merged() -> None:
    """Nor does it make a candle of a minute that was quiet when it was saved."""
    market = Market()
    market.connect()
    market.tick(10, 7.0)
    market.tick(80, 99.0, delay=100)
    market.tick(20, 99.0, delay=170)
    market.wait(700)
    assert [(candle.high, candle.ticks, candle.late) for candle in market.of()] == [(7.0, 1, 0), (7.0, 1, 1)]
    for interval in INTERVALS[1:]:
        assert [(candle.high, candle.late) for candle in market.of(interval)] == [(7.0, 2)]
    assert market.candles.counts["late"] == 2


def test_a_tick_that_was_repeated_after_its_minute_was_saved_is_not_late() -> None:
    """A stream may send the newest trades again after a subscription. One of that minute that is new was missed."""
    market = Market()
    market.tick(10, 7.0, number=4)
    market.tick(10, 7.0, delay=300, number=4)
    market.tick(10, 7.0, delay=300, number=5)
    market.wait(700)
    assert [(candle.ticks, candle.late) for candle in market.of()] == [(1, 0), (1, 1)]
    assert (market.candles.counts["late"], market.candles.counts["duplicates"]) == (1, 1)


@pytest.mark.parametrize(
    ("steps", "partial"),
    [
        # Between two ticks there was an interruption, in which another one may have been missed.
        ([(-60, "on"), (5, "tick"), (70, "off"), (80, "on"), (130, "tick")], {0: False, 2: False, "5m": True}),
        # A half-open connection is noticed late: it counts from the time until which nothing is missing.
        ([(-60, "on"), (55, "tick"), (59, "tick"), (61, "off since 59")], {0: True, "5m": True}),
        # Another pair was connected.
        ([(-60, "other"), (5, "tick")], {0: True, "5m": True}),
        ([(-60, "on"), (5, "tick")], {0: False, "5m": False}),
        # The first one after a connection, and the last one before an interruption.
        (
            [(30, "on"), (31, "tick"), (65, "tick"), (121, "tick"), (130, "off")],
            {0: True, 1: False, 2: True, "5m": True},
        ),
    ],
    ids=["between ticks", "noticed late", "never", "always", "ends"],
)
def test_a_candle_is_partial_unless_the_stream_was_connected_throughout(
    steps: list[tuple[float, str]], partial: dict[int | str, bool]
) -> None:
    market = Market()
    for seconds, step in steps:
        market.wait(seconds)
        match step:
            case "on":
                market.connect()
            case "tick":
                market.tick(seconds, 7.0)
            case "off":
                market.drop()
            case "other":
                market.candles.connected([ETH], market.clock.now())
            case _:
                market.candles.disconnected([BTC], NOON + 59 * SECOND)
    market.wait(700)
    minutes: dict[int | str, bool] = {(candle.open_time - NOON) // MINUTE: candle.partial for candle in market.of()}
    (longer,) = market.of(Interval.MINUTE_5)
    assert {**minutes, "5m": longer.partial} == partial


@pytest.mark.parametrize(
    ("change", "counter"),
    [
        *(({"price": price}, "invalid") for price in (math.nan, math.inf, -math.inf, 0.0, -0.0, -5.0, 1e300, 5e-324)),
        *(({"size": size}, "invalid") for size in (math.nan, math.inf, -1.0)),
        *(({"time": datetime(year, 1, 1, tzinfo=UTC)}, "past") for year in (1, 1970, 2010)),
        *(({"time": datetime(year, 1, 1, tzinfo=UTC)}, "future") for year in (2199, 2500, 9999)),
        ({"time": NOON - 15 * MINUTE}, "past"),
        ({"time": NOON + 96 * SECOND}, "future"),
    ],
    ids=str,
)
def test_a_tick_that_no_market_has_is_dropped_and_counted(change: dict[str, Any], counter: str) -> None:
    """Nor does its time complete a candle."""
    market = Market()
    market.tick(5, 7.0)
    market.wait(6)
    market.candles.add(TickReceived("poloniex", BTC, NOON + 6 * SECOND, 9.0, SIZE, 1)._replace(**change))
    market.wait(50)
    market.tick(51, 8.0)
    assert market.closed == []
    market.wait(100)
    assert [(*prices(candle), candle.ticks, candle.late) for candle in market.of()] == [(7.0, 8.0, 7.0, 8.0, 2, 0)]
    assert +market.candles.counts == {counter: 1}


def test_a_tick_that_is_almost_a_minute_ahead_does_not_complete_a_candle() -> None:
    """One of several servers of the exchange may have a wrong clock."""
    market = Market()
    for second in range(0, 60, 2):
        market.tick(second, 7.0)
        if second in {6, 20, 34}:
            market.add(NOON + timedelta(seconds=second + 59), 1.0, ETH)
    assert market.closed == []
    market.wait(100)
    assert [(candle.ticks, candle.late) for candle in market.of()] == [(30, 0)]


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_a_clock_of_the_machine_that_jumps_changes_nothing(hours: int) -> None:
    jumping, steady = Market(), Market()
    for market in (jumping, steady):
        market.connect()
        for second in range(0, 600, 5):
            if second == 100 and market is jumping:
                market.clock.wrong_by = timedelta(hours=hours)
            market.tick(second, 7.0 + second % 13)
        market.wait(1300)
    assert jumping.closed == steady.closed
    assert [candle.ticks for candle in jumping.of()] == [12] * 10


@pytest.mark.parametrize("minutes", [-600, -5, -1.5, 0.9, 1.5, 5, 600])
def test_a_clock_of_the_machine_that_is_wrong_costs_at_most_the_first_candle(minutes: float) -> None:
    """The first one is partial anyway."""
    market = Market(wrong_by=timedelta(minutes=minutes))
    market.wait(10)
    market.connect()
    for second in range(10, 300, 1):
        market.tick(second, 7.0)
    market.wait(400)
    whole = [candle for candle in market.of() if not candle.partial]
    assert [(candle.open_time, candle.ticks) for candle in whole] == [
        (NOON + number * MINUTE, 60) for number in range(1, 5)
    ]


def test_after_a_machine_was_asleep_the_clock_is_right_again() -> None:
    """The monotonic clock of Linux stands still meanwhile."""
    market = Market()
    market.connect()
    market.tick(5, 7.0)
    asleep = 3600
    market.wait(10)
    for second in range(10, 200):
        market.wait(second)
        market.add(NOON + timedelta(seconds=asleep + second), 8.0)
    market.wait(300)
    assert [candle.ticks for candle in market.of() if candle.open_time > NOON + 61 * MINUTE] == [60, 20]
    assert market.of()[0].open_time == NOON


def test_what_was_saved_long_ago_is_forgotten() -> None:
    """The memory does not grow with the time."""
    market = Market()
    for minute in range(100):
        market.tick(60 * minute, 7.0)
    market.wait(6200)
    market.add(NOON + 5 * MINUTE, 7.5)
    assert market.candles.counts["past"] == 1
    assert len(market.of()) == 100
