"""Minutes of trades whose numbers follow each other."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.market import Candle, Pair
from crypto_predict.market.events import TickReceived
from crypto_predict.sources.network.numbered import CERTAIN, GRACE, REMEMBERED, NumberedMinutes

BTC = Pair("BTC", "USD")
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def trade(number: int, seconds: float, price: float = 1.0) -> TickReceived:
    """Return a trade so many seconds after noon."""
    return TickReceived("coinbase", BTC, NOON + timedelta(seconds=seconds), price, 0.25, number, number % 2 == 0)


class Market:
    """What a stream sends of one pair, on a clock that shows the seconds since noon."""

    def __init__(self) -> None:
        self.minutes = NumberedMinutes("coinbase")

    def candles(self, trades: Iterable[TickReceived] = (), at: float = 0.0) -> list[Candle]:
        """Return the minutes that are whole once these trades have come too."""
        for each in trades:
            self.minutes.add(each)
        return [candle for _, candle in self.minutes.whole(at)]

    def with_a_clock(self, number: int) -> int:
        """Send trades, one a second from 11:59:50 on, until the exchange's clock is certain; return the next number."""
        for second in range(-10, -10 + CERTAIN):
            assert self.candles([trade(number, second)], second) == []
            number += 1
        return number


def test_a_minute_whose_neighbours_are_known_is_whole_at_once() -> None:
    """No clock is asked: the numbers prove it."""
    market = Market()
    assert market.candles([trade(1, -1), trade(2, 0, 5.0), trade(3, 59, 4.0)]) == []
    assert market.candles([trade(4, 60)]) == [Candle(NOON, 5.0, 5.0, 4.0, 4.0, 0.5, 2.25, 2, 0.25, 1.25)]
    assert market.candles() == [], "it is returned once"


@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5])
def test_a_minute_is_not_returned_while_a_number_is_missing(missing: int) -> None:
    """Also one at its ends, which may be of either minute. What comes late completes it."""
    trades = [trade(1, -1), trade(2, 0), trade(3, 30), trade(4, 59), trade(5, 60), trade(6, 119)]
    market, absent = Market(), trades[missing - 1]
    assert market.candles([each for each in trades if each is not absent]) == []
    [candle] = market.candles([absent])
    assert (candle.open_time, candle.trades) == (NOON, 3)


def test_the_last_minute_of_a_quiet_market_is_whole_a_grace_after_its_end() -> None:
    """Nobody knows when the next trade comes."""
    market = Market()
    number = market.with_a_clock(1)
    assert market.candles([trade(number, 1)], 1) == [], "nobody knows whether 11:59 had earlier trades"
    end = 60 + GRACE / SECOND
    assert market.candles(at=end - 0.1) == []
    assert [candle.open_time for candle in market.candles(at=end)] == [NOON]


def test_without_enough_trades_no_clock_closes_a_minute() -> None:
    """That of this machine may be wrong."""
    market = Market()
    assert market.candles([trade(1, -1), trade(2, 1)], at=1) == []
    assert market.candles(at=10_000) == []


def test_one_wrong_time_does_not_close_a_minute_early_and_stops_nothing() -> None:
    """The trade comes again with its true time."""
    market = Market()
    number = market.with_a_clock(1)
    assert market.candles([trade(number, 1), trade(number + 1, 86_400)], 1) == []
    assert market.candles(at=2) == []
    [candle] = market.candles([trade(number + 1, 61)], 61)
    assert (candle.open_time, candle.trades) == (NOON, 1)


def test_a_late_trade_changes_its_minute_which_is_returned_again() -> None:
    """It had been closed by the clock. If a number is missing then, REST has the minute."""
    market = Market()
    number = market.with_a_clock(1)
    market.candles([trade(number, 1)], 1)
    [first] = market.candles(at=63)
    [second] = market.candles([trade(number + 1, 59, 9.0)], 64)
    assert (first.trades, second.trades, second.close) == (1, 2, 9.0)


def test_a_quiet_pair_is_whole_though_its_last_trade_was_long_ago() -> None:
    """The trade before is remembered as long as it takes."""
    market = Market()
    number = market.with_a_clock(1)
    later = 10 * REMEMBERED / SECOND
    assert market.candles(at=later) == []
    [candle] = market.candles([trade(number, later), trade(number + 1, later + 60)], later + 60)
    assert (candle.open_time, candle.trades) == (NOON + 10 * REMEMBERED, 1)


def test_a_missing_trade_is_logged_once_its_minute_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    market = Market()
    number = market.with_a_clock(1) + 1
    market.candles([trade(number, 1), trade(number + 1, 61), trade(number + 2, 121)], 121)
    assert caplog.messages == []
    market.candles(at=121 + REMEMBERED / SECOND)
    assert len(caplog.messages) == 1
    assert "12:00" in str(vars(caplog.records[0]))


@given(
    lengths=st.lists(st.integers(0, 4), min_size=2, max_size=8),
    lost=st.sets(st.integers(1, 20), max_size=2),
    seed=st.integers(0, 99),
    calls=st.integers(1, CERTAIN - 1),
)
def test_the_minutes_of_any_trades_in_any_order_are_those_without_a_missing_one(
    lengths: Sequence[int], lost: set[int], seed: int, calls: int
) -> None:
    """Trades may come twice, too. A minute is returned once, since no clock is certain."""
    seconds = [60 * minute + 10 * place for minute, length in enumerate(lengths) for place in range(length)]
    trades = [trade(number, second) for number, second in enumerate(seconds, start=1)]
    sent = [each for each in trades if each.id not in lost] * 2
    Random(seed).shuffle(sent)
    market, candles = Market(), list[Candle]()
    for call in range(calls):
        candles += market.candles(sent[call::calls])
    candles = list({candle.open_time: candle for candle in candles}.values())
    expected = []
    for minute in range(len(lengths)):
        numbers = [
            each.id for each in trades if each.time - NOON in (minute * MINUTE + n * 10 * SECOND for n in range(4))
        ]
        around = {*numbers, min(numbers) - 1, max(numbers) + 1} if numbers else set()
        if numbers and around <= {each.id for each in trades} and not around & lost:
            expected.append((NOON + minute * MINUTE, len(numbers)))
    assert sorted((candle.open_time, candle.trades) for candle in candles) == expected
