import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.gate.quality import anchor_faults, history_faults
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.market import DAY, Candle, Interval, Pair, Span
from crypto_predict.sources.simulated import GENESIS, Simulated
from tests.support.histories import START, history_of, make_candle, make_history, wandering
from tests.support.markets import real_days

pytestmark = pytest.mark.repeats

LIMITS = GateThresholds()


def faults(candles: Sequence[Candle], days: int = 1825) -> list[str]:
    """Return the reasons of the gate against these candles, right after the last one has closed."""
    return history_faults(history_of(candles), LIMITS, candles[-1].open_time + DAY, days)


@pytest.mark.parametrize("base", ["BTC", "ETH", "BNB", "LTC"])
def test_no_day_of_real_history_is_refused(base: str) -> None:
    """Any day could have been that of a release, in a market of half a year or of more than five; tries every sixth."""
    history = history_of(real_days(base))
    refused = [
        (limit, result)
        for end in range(len(history.candles), 179, -6)
        for limit in [history.candles[end - 1].open_time + DAY]
        for start in {max(0, end - 1825), end - 180}
        if (result := history_faults(replace(history, candles=history.candles[start:end]), LIMITS, limit, 1825))
    ]
    assert (len(history.candles) > 2_700, history.gaps) == (True, ())
    assert refused == []


def closes_alone(candles: Sequence[Candle]) -> list[Candle]:
    """What a file of closes says about these days."""
    return [c._replace(open=c.close, high=c.close, low=c.close, volume=0.0) for c in candles]


@pytest.mark.parametrize("base", ["BTC", "ETH", "BNB", "LTC"])
def test_no_closes_of_real_history_are_refused(base: str) -> None:
    """Without ranges a crash looks like a jump, so that only its size counts."""
    candles = closes_alone(real_days(base))
    refused = [
        end for end in range(len(candles), 179, -60) for start in {max(0, end - 1825)} if faults(candles[start:end])
    ]
    assert refused == []


@pytest.mark.parametrize("scale", [0.002, 1.0])
def test_closes_in_another_unit_are_refused_and_quiet_ones_are_not(scale: float) -> None:
    """A coin whose price moves by more than 1 % on one day in ten is not a shuffled one."""
    candles = closes_alone([make_candle(START + n * DAY, wandering(n) ** scale) for n in range(400)])
    assert faults(candles) == []
    candles[200] = closes_alone([make_candle(candles[200].open_time, candles[200].close * 10)])[0]
    [fault] = faults(candles)
    assert fault.startswith("jump: on 2 days the price does not continue the day before")


@pytest.mark.parametrize("base", ["BTC", "ETH", "BNB", "LTC"])
def test_march_2020_is_not_refused(base: str) -> None:
    """The market lost 40 to 50 % within one day; a gate that refuses then is useless."""
    candles = [candle for candle in real_days(base) if candle.open_time < datetime(2020, 3, 13, tzinfo=UTC)]
    crash = candles[-1]
    assert crash.close / candles[-2].close < 0.63
    assert faults(candles) == []


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("pair", ["BTC/USD", "SHIB/USD", "ETH/BTC"])
def test_no_simulated_market_is_refused(pair: str, seed: int) -> None:
    """`make run` without a network trains on one, with every check."""
    span = Span(GENESIS, datetime(2026, 11, 21, tzinfo=UTC))
    assert faults(list(Simulated(seed).candles(Pair.parse(pair), Interval.DAY_1, span))) == []


def with_way(*closes: float) -> list[Candle]:
    """The hand-made history, continued by these factors from close to close."""
    before = list(make_history(400).candles)
    for close in closes:
        before.append(make_candle(before[-1].open_time + DAY, before[-1].close * close, before[-1].close))
    return before


@pytest.mark.parametrize(
    "way",
    [(0.6,), (0.6, 1.4), (1.7, 0.6), (0.5, 0.5, 0.5), (2.0, 2.0), (0.8,) * 10, (0.15, 0.9)],
    ids=["-40 %", "and back", "a spike", "three halvings", "doubled twice", "ten days down", "-85 %"],
)
def test_a_crash_through_every_price_is_not_refused(way: tuple[float, ...]) -> None:
    assert faults(with_way(*way)) == []


def test_the_same_crash_between_two_candles_is_refused() -> None:
    """No market that never closes loses 40 % at midnight."""
    candles = with_way(0.6)
    torn = [*candles[:-1], make_candle(candles[-1].open_time, candles[-1].close)]
    [fault] = faults(torn)
    assert fault.startswith("jump: on 1 day the price does not continue the day before")


@pytest.mark.parametrize(("first", "last", "torn"), [(100, 101, False), (100, 104, True), (100, 110, True)])
def test_swapped_rows_are_found_even_in_a_calm_market(first: int, last: int, *, torn: bool) -> None:
    candles = list(make_history(400, lambda day: 100 * (1 + 0.04 * math.sin(day))).candles)
    days = candles[first:last]
    moved = [c._replace(open_time=day.open_time) for c, day in zip(days[::-1], days, strict=True)]
    result = faults([*candles[:first], *moved, *candles[last:]])
    assert [fault[:5] for fault in result] == ["torn:"] * torn


def test_a_wick_is_accepted_with_the_volume_for_it() -> None:
    """Real crashes went through whole order books, down to a thousandth of the price, and recovered within minutes."""
    candles = list(make_history(400).candles)
    low = candles[300]._replace(low=candles[300].low / 1000)
    [fault] = faults([*candles[:300], low, *candles[301:]])
    assert fault.startswith("range: on 1 day prices span a factor of 8 or more without the volume for it")
    traded = low._replace(volume=3 * low.volume)
    assert faults([*candles[:300], traded, *candles[301:]]) == []
    bought = traded._replace(low=candles[300].low, high=traded.high * 100)
    assert [fault[:6] for fault in faults([*candles[:300], bought, *candles[301:]])] == ["range:"]


@pytest.mark.parametrize(
    ("hours", "stale"), [(0, False), (24, False), (47.9, False), (48, True), (49, True), (10_000, True)]
)
def test_one_missing_day_is_not_stale_at_any_hour_and_two_are_at_every_hour(hours: float, *, stale: bool) -> None:
    history = make_history(400)
    result = history_faults(history, LIMITS, history.candles[-1].open_time + DAY + timedelta(hours=hours), 1825)
    assert [fault[:5] for fault in result] == ["stale"] * stale
    assert hours < 10_000 or "days before 2023-03-28 16:00; less than 2 days are allowed (--until" in result[0]


@pytest.mark.parametrize(
    ("candles", "days", "short"),
    [(180, 1825, False), (179, 1825, True), (90, 100, False), (89, 100, True), (30, 30, False), (27, 30, False)],
)
def test_half_a_year_is_enough_and_so_are_the_requested_days(candles: int, days: int, *, short: bool) -> None:
    result = faults(make_history(candles).candles, days)
    assert [fault[:9] for fault in result] == ["too short"] * short


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({200}, []),
        ({200, 201}, []),
        ({50, 100, 200, 300}, []),
        ({50, 100, 200, 300, 350}, ["gaps: 5 of 400 candles are missing"]),
        ({200, 201, 202}, ["gap: 3 candles are missing in a row from 2021-07-20 on"]),
        (set(range(200, 206)), ["gaps: 6 of 400 candles", "gap: 6 candles are missing in a row"]),
    ],
)
def test_few_missing_candles_are_tolerated(missing: set[int], expected: list[str]) -> None:
    assert faults(make_history(40, missing=frozenset({7})).candles, days=40) == []  # in a short history, too
    result = faults(make_history(400, missing=frozenset(missing)).candles)
    assert [fault[: len(start)] for fault, start in zip(result, expected, strict=True)] == expected


def test_a_change_of_unit_is_found_across_a_gap() -> None:
    candles = make_history(400, lambda day: wandering(day) * (10 if day >= 200 else 1), frozenset({200})).candles
    inside = [c._replace(open=c.close) if c.open_time == START + 201 * DAY else c for c in candles]
    assert [fault[:5] for fault in faults(inside)] == ["jump:"]


def test_a_market_may_move_over_a_missing_day() -> None:
    candles = with_way(0.7, 0.7, 1.0)
    assert faults([*candles[:-2], candles[-1]]) == []


@pytest.mark.parametrize(("days", "flat"), [(6, False), (7, True)])
def test_six_equal_closes_are_tolerated(days: int, *, flat: bool) -> None:
    candles = make_history(400, lambda day: wandering(300 if 300 <= day < 300 + days else day)).candles
    trembling = [c._replace(high=c.high * (1 + n * 1e-6), volume=float(n)) for n, c in enumerate(candles)]
    assert [fault[:5] for fault in faults(trembling)] == ["flat:"] * flat


@pytest.mark.parametrize(("tick", "flat"), [(2.0, False), (200.0, False), (4000.0, True)])
def test_a_coarse_tick_is_accepted_and_a_very_coarse_one_is_not(tick: float, *, flat: bool) -> None:
    """Coins at 0.00000123 move in steps of a percent."""

    def rounded(price: float) -> float:
        return tick * round(price / tick)

    candles = [
        Candle(c.open_time, rounded(c.open), rounded(c.high), rounded(c.low), rounded(c.close), c.volume + n)
        for n, c in enumerate(make_history(700).candles)
    ]
    assert any("flat" in fault for fault in faults(candles)) is flat


@pytest.mark.parametrize(("days", "still"), [(6, False), (7, True)])
def test_a_market_may_hardly_move_for_six_days(days: int, *, still: bool) -> None:
    candles = with_way(*([1 + 1e-9, 1 - 1e-9] * days)[:days])
    assert [fault[:12] for fault in faults(candles)] == ["almost flat:"] * still


@pytest.mark.parametrize(("days", "straight"), [(10, False), (11, True)])
@pytest.mark.parametrize("growth", [0.99, 1.004, 1.03])
def test_ten_equal_moves_are_tolerated(growth: float, days: int, *, straight: bool) -> None:
    assert [fault[:9] for fault in faults(with_way(*[growth] * days))] == ["straight:"] * straight


@pytest.mark.parametrize("factor", [0.4, 0.9, 1.1, 2.5])
def test_a_line_of_prices_is_straight_however_steep(factor: float) -> None:
    """A steep line has unequal moves in logarithms."""
    line = [1 + (factor - 1) * n / 15 for n in range(16)]
    result = faults(with_way(*[after / before for before, after in itertools.pairwise(line)]))
    assert [fault[:36] for fault in result] == ["straight: the moves of 15 days in a "]


@pytest.mark.parametrize("seed", range(20))
def test_a_coarse_tick_is_not_taken_for_a_line(seed: int) -> None:
    """Coins at 0.00000123 move by the same step again and again, and not at all on one day in ten."""
    random, price, prices = Random(seed), 0.0, [100]
    for _ in range(1825):
        price = 0.99 * price + 0.03 * random.gauss(0, 1)
        prices.append(round(100 * math.exp(price)))
    days = [make_candle(START + n * DAY, *pair[::-1]) for n, pair in enumerate(itertools.pairwise(prices))]
    assert faults([c._replace(high=c.high * (1 + n * 1e-6), volume=float(n)) for n, c in enumerate(days)]) == []


@pytest.mark.parametrize("base", ["BTC", "ETH", "BNB", "LTC"])
@pytest.mark.parametrize("first", [700, 1500])
def test_a_month_of_a_real_market_that_runs_backwards_is_refused(base: str, first: int) -> None:
    candles = real_days(base)[:1825]
    month = candles[first : first + 30]
    turned = [c._replace(open_time=day.open_time) for c, day in zip(month[::-1], month, strict=True)]
    result = faults([*candles[:first], *turned, *candles[first + 30 :]])
    assert any(fault.startswith("detached: a day of 30 in a row") for fault in result)


def test_a_history_of_closes_alone_is_accepted() -> None:
    """Open, high and low made up from the close cannot be compared with the day before."""
    closes = [make_candle(START + day * DAY, wandering(day)) for day in range(400)]
    assert faults(closes) == []
    assert faults([c._replace(open=c.close, high=c.close, low=c.close) for c in closes]) == []


@given(st.floats(min_value=1e-300, max_value=1e300), st.floats(min_value=1e-300, max_value=1e300))
def test_prices_of_any_size_are_judged_without_an_error(first: float, second: float) -> None:
    candles = [make_candle(START + day * DAY, first if day < 100 else second) for day in range(200)]
    assert history_faults(history_of([]), LIMITS, START, 1825) == ["no usable candle is left"]
    sound = [candle for candle in candles if not candle.faults()]
    assert all(isinstance(fault, str) for fault in history_faults(history_of(sound), LIMITS, START, 1825))


def hour(number: int, price: float, opened: float) -> Candle:
    """An hourly candle of the day after the last one."""
    return make_candle(START + DAY + timedelta(hours=number), price, opened)


LAST = make_candle(START, 100.0)


@pytest.mark.parametrize("prices", [[], [100.0], [104.0, 90.0, 60.0], [300.0, 20.0], [100.0] * 23])
def test_a_newest_price_reached_by_trades_is_accepted(prices: list[float]) -> None:
    hours = [hour(n, price, before) for n, (before, price) in enumerate(zip([100.0, *prices], prices, strict=False))]
    assert anchor_faults(hours, LAST, LIMITS) == []


@pytest.mark.parametrize("price", [10_000.0, 1_000.0, 160.0, 60.0, 10.0, 1.0])
def test_a_newest_price_out_of_nowhere_or_an_impossible_one_is_refused(price: float) -> None:
    """A unit error or a bad tick in the very last price would move every forecast."""
    [fault] = anchor_faults([hour(0, 101.0, 100.0), hour(1, price, price)], LAST, LIMITS)
    assert fault.startswith("jump: the hour of 2021-01-02 01:00 goes from")
    [fault] = anchor_faults([hour(0, price, 100.0)._replace(close=math.nan)], LAST, LIMITS)
    assert fault == "the hour of 2021-01-02 00:00 is impossible: close nan is not a positive number"
