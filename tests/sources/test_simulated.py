import hashlib
import math
import statistics
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.history import read_history
from crypto_predict.market import DAY, Candle, Interval, Pair, Span, aggregate
from crypto_predict.sources.simulated import GENESIS, Simulated, simulated_pairs

BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")
PAIRS = [BTC, ETH, Pair("LTC", "USDT"), Pair("ETH", "BTC"), Pair("SHIB", "BTC"), Pair("JPY", "BTC"), Pair("XYZ", "EUR")]
TODAY = datetime(2025, 7, 1, tzinfo=UTC)
WEEKEND = frozenset({5, 6})


def candles(pair: Pair, interval: Interval, start: datetime, end: datetime, seed: int = 0) -> list[Candle]:
    """The candles that open from `start` until before `end`."""
    return list(Simulated(seed).candles(pair, interval, Span(start, end)))


@cache
def all_days(pair: Pair, seed: int = 0) -> tuple[Candle, ...]:
    """Every day from the genesis to `TODAY`."""
    return tuple(candles(pair, Interval.DAY_1, GENESIS, TODAY, seed))


def log_returns(days: Iterable[Candle]) -> list[float]:
    """The change of the log price over each day."""
    return [math.log(day.close / day.open) for day in days]


def digest(days: Iterable[Candle]) -> str:
    """A fingerprint of prices and volumes to the last bit."""
    return hashlib.sha256(repr([(d.open, d.high, d.low, d.close, d.volume) for d in days]).encode()).hexdigest()[:16]


def test_the_market_is_the_same_on_every_machine_and_every_python() -> None:
    """A model trained on it must be reproducible elsewhere, byte for byte."""
    assert digest(all_days(BTC)) == "2e178fcb9b62214c"
    assert digest(candles(BTC, Interval.MINUTE_1, TODAY - DAY, TODAY)) == "f78b6fda3acb75f5"


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_every_day_from_the_genesis_on_has_one_sound_candle_that_opens_where_the_day_before_closed(pair: Pair) -> None:
    days = all_days(pair)
    assert [day.open_time for day in days] == [GENESIS + count * DAY for count in range((TODAY - GENESIS) // DAY)]
    assert not [fault for day in days for fault in day.faults()]
    assert all(before.close == after.open for before, after in pairwise(days))


@given(st.integers(0, 3_070), st.integers(0, 30))
@settings(max_examples=20)
def test_a_day_does_not_depend_on_the_span_asked_for(first: int, days: int) -> None:
    """A retrain tomorrow must see the same past as today's."""
    start = GENESIS + first * DAY
    assert tuple(candles(BTC, Interval.DAY_1, start, start + days * DAY)) == all_days(BTC)[first:][:days]


@pytest.mark.parametrize("interval", [Interval.MINUTE_1, Interval.MINUTE_10, Interval.HOUR_1])
def test_a_part_of_a_day_equals_that_part_of_the_whole_day(interval: Interval) -> None:
    start, end = TODAY - timedelta(hours=30, minutes=7), TODAY - timedelta(hours=3, seconds=1)
    whole = candles(BTC, interval, TODAY - 3 * DAY, TODAY)
    assert candles(BTC, interval, start, end) == [candle for candle in whole if candle.open_time in Span(start, end)]


@given(st.sampled_from(PAIRS), st.integers(0, 3_000), st.integers(0, 5))
@settings(max_examples=12, deadline=None)
def test_a_day_is_exactly_the_sum_of_its_minutes(pair: Pair, first: int, seed: int) -> None:
    """To the last bit, the volume too: a store that adds up minutes must agree with one that reads days."""
    start = GENESIS + first * DAY
    minutes = candles(pair, Interval.MINUTE_1, start, start + 2 * DAY, seed)
    assert [minute.open_time for minute in minutes] == [start + count * timedelta(minutes=1) for count in range(2880)]
    assert not [fault for minute in minutes for fault in minute.faults()]
    assert all(before.close == after.open for before, after in pairwise(minutes)), "across midnight, too"
    assert list(aggregate(iter(minutes), Interval.DAY_1)) == candles(pair, Interval.DAY_1, start, start + 2 * DAY, seed)


@pytest.mark.parametrize("interval", [Interval.MINUTE_5, Interval.MINUTE_10, Interval.HOUR_1, Interval.DAY_1])
def test_every_longer_interval_adds_up_the_minutes(interval: Interval) -> None:
    minutes = candles(BTC, Interval.MINUTE_1, TODAY - 2 * DAY, TODAY)
    joined = candles(BTC, interval, TODAY - 2 * DAY, TODAY)
    assert len(joined) == 2 * DAY // interval.length
    assert list(aggregate(iter(minutes), interval)) == joined


def test_its_list_has_as_many_pairs_as_are_asked_for() -> None:
    """The first ones stay the first ones."""
    pairs = simulated_pairs(1_000)
    assert len(set(pairs)) == 1_000
    assert simulated_pairs(3) == pairs[:3] == (Pair("BTC", "USD"), Pair("ETH", "USD"), Pair("BNB", "USD"))
    assert simulated_pairs() == pairs[:200]


def test_every_seed_and_every_pair_is_a_different_market() -> None:
    """Two pairs whose returns were the same would make a comparison of them worthless."""
    markets = [log_returns(all_days(pair, seed)) for pair in (BTC, ETH, Pair("BTC", "USDT")) for seed in (0, 1)]
    for first, second in combinations(markets, 2):
        assert abs(statistics.correlation(first, second)) < 0.1


def test_before_the_genesis_and_in_an_empty_span_there_is_nothing() -> None:
    for interval in (Interval.DAY_1, Interval.MINUTE_1):
        assert candles(BTC, interval, datetime(2010, 1, 1, tzinfo=UTC), GENESIS) == []
    assert candles(BTC, Interval.DAY_1, datetime(2010, 1, 1, tzinfo=UTC), GENESIS + DAY) == list(all_days(BTC)[:1])
    assert candles(BTC, Interval.DAY_1, TODAY, TODAY) == []


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_the_annual_volatility_is_about_sixty_percent(pair: Pair) -> None:
    for seed in range(3):
        assert 0.45 < statistics.pstdev(log_returns(all_days(pair, seed))) * math.sqrt(365) < 0.75


def test_returns_have_fat_tails_and_volatility_clusters() -> None:
    """Jumps and stochastic volatility are there: a plain random walk would have kurtosis 3 and no memory."""
    returns = log_returns(all_days(BTC))
    mean, deviation = statistics.fmean(returns), statistics.pstdev(returns)
    assert statistics.fmean(((change - mean) / deviation) ** 4 for change in returns) > 3.5
    spreads = [math.log(day.high / day.low) for day in all_days(BTC)]
    weekly_later = statistics.correlation(spreads[:-7], spreads[7:])
    assert weekly_later > 0.2


def test_weekends_are_calm_and_thin() -> None:
    days = all_days(BTC)
    weekend = [day for day in days if day.open_time.weekday() in WEEKEND]
    week = [day for day in days if day.open_time.weekday() not in WEEKEND]
    turnovers = [statistics.fmean(day.volume for day in part) for part in (weekend, week)]
    volatilities = [statistics.pstdev(log_returns(part)) for part in (weekend, week)]
    assert turnovers[0] < 0.8 * turnovers[1]
    assert volatilities[0] < 0.9 * volatilities[1]


@pytest.mark.parametrize(
    ("pair", "level"),
    [(BTC, 30_000), (ETH, 2_000), (Pair("LTC", "USD"), 90), (Pair("ETH", "BTC"), 0.07), (Pair("BTC", "JPY"), 4e6)],
    ids=str,
)
def test_prices_stay_in_the_order_of_magnitude_of_the_real_ones(pair: Pair, level: float) -> None:
    for seed in range(3):
        days = all_days(pair, seed)
        assert level / 10 < min(day.low for day in days)
        assert max(day.high for day in days) < level * 10


def test_the_newest_close_is_the_limit_rounded_down_and_the_prices_are_simulated() -> None:
    source = Simulated(7)
    noon = datetime(2025, 6, 30, 12, 34, 56, tzinfo=UTC)
    assert source.newest_close(BTC, Interval.DAY_1, noon) == datetime(2025, 6, 30, tzinfo=UTC)
    assert source.newest_close(BTC, Interval.MINUTE_5, noon) == datetime(2025, 6, 30, 12, 30, tzinfo=UTC)
    assert (source.id, source.simulated) == ("simulated", True)


def test_it_can_be_read_as_a_history() -> None:
    history, _ = read_history([Simulated(0)], BTC, Interval.DAY_1, 1825, date(2025, 6, 30), TODAY + 30 * DAY)
    assert tuple(history.candles) == all_days(BTC)[-1825:]
    assert (history.gaps, history.quarantined, history.simulated) == ((), 0, True)
