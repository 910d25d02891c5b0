"""The stream of the invented market."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from crypto_predict.market import DAY, Candle, Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, QuoteReceived
from crypto_predict.market.ports import CandleFeed
from crypto_predict.sources.catalog import open_feeds
from crypto_predict.sources.simulated import GENESIS, Simulated
from crypto_predict.sources.simulated.stream import SimulatedFeed

MIDNIGHT = datetime(2024, 5, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BTC, ETH, RARE = Pair("BTC", "USD"), Pair("ETH", "BTC"), Pair("QQQ", "ZZZ")
PAIRS = (BTC, ETH, RARE)
DEADLINE = 180.0  # seconds, after which a test fails


class JumpingClock(Clock):
    """A clock that can be set."""

    jumped = timedelta(0)

    def now(self) -> datetime:
        """Return the current time, as it was set."""
        return super().now() + self.jumped


def taken(
    clock: Clock,
    done: Callable[[Sequence[FeedEvent]], bool],
    pairs: Sequence[Pair] = PAIRS,
    act: Callable[[Sequence[FeedEvent]], float | None] = lambda _: None,
    feed: CandleFeed | None = None,
) -> list[FeedEvent]:
    """Return the events until `done` or the end; after each of them, `act` is called, for seconds of the clock."""

    async def take() -> list[FeedEvent]:
        feed_events: list[FeedEvent] = []
        async with asyncio.timeout(DEADLINE), aclosing((feed or SimulatedFeed(0, clock)).events(pairs)) as events:
            async for event in events:
                feed_events.append(event)
                seconds = act(feed_events)
                if done(feed_events):
                    break
                await clock.sleep(seconds or 0.0)
        return feed_events

    return asyncio.run(take())


def closed(events: Sequence[FeedEvent], pair: Pair = BTC) -> list[Candle]:
    return [event.candle for event in events if isinstance(event, CandleClosed) and event.series.pair == pair]


def closings(count: int) -> Callable[[Sequence[FeedEvent]], bool]:
    return lambda events: all(len(closed(events, pair)) >= count for pair in PAIRS)


def rest(pair: Pair, start: datetime, minutes: int, seed: int = 0) -> list[Candle]:
    return list(Simulated(seed).candles(pair, Interval.MINUTE_1, Span(start, start + minutes * MINUTE)))


def assert_as_rest(events: Sequence[FeedEvent], pair: Pair = BTC, seed: int = 0) -> None:
    """Assert that every candle from the first one on has come once. The first day takes a moment to compute."""
    result = closed(events, pair)
    assert result == rest(pair, result[0].open_time, len(result), seed)


@pytest.mark.parametrize("seed", [0, 7])
def test_each_candle_comes_when_it_closes_and_is_the_one_of_rest_across_midnight_too(seed: int) -> None:
    clock = Clock(MIDNIGHT - 2.5 * MINUTE, 120)
    came_at: list[datetime] = []
    events = taken(clock, closings(4), act=lambda _: came_at.append(clock.now()), feed=SimulatedFeed(seed, clock))
    for pair in PAIRS:
        assert_as_rest(events, pair, seed)
        assert closed(events, pair)[0].open_time < MIDNIGHT <= closed(events, pair)[-1].open_time
    for event, at in zip(events, came_at, strict=True):
        if isinstance(event, CandleClosed):
            assert at >= event.candle.open_time + MINUTE


def test_quotes_lie_around_the_price_and_come_every_few_seconds() -> None:
    clock = Clock(MIDNIGHT + MINUTE, 30)
    events = taken(clock, closings(2))
    for pair in PAIRS:
        quotes = [event.quote for event in events if isinstance(event, QuoteReceived) and event.pair == pair]
        candle = closed(events, pair)[1]  # at the start, the first day takes a moment to compute
        within = [quote for quote in quotes if candle.open_time <= quote.time < candle.open_time + MINUTE]
        assert len(within) >= 5
        for quote in within:
            assert candle.low * 0.999 < quote.bid < quote.ask < candle.high * 1.001
            assert quote.bid_size > 0 < quote.ask_size
        assert all(before.time < after.time for before, after in pairwise(quotes))


def test_heartbeats_come_every_second_and_not_more_often() -> None:
    events = taken(Clock(MIDNIGHT, 20), lambda result: len(result) >= 30, pairs=())
    times = [event.time for event in events if isinstance(event, Heartbeat)]
    assert len(times) == 30
    assert len({time.replace(microsecond=0) for time in times}) == 30


def test_after_a_short_jump_of_the_clock_every_candle_comes_once() -> None:
    clock = JumpingClock(MIDNIGHT, 60)

    def jump(events: Sequence[FeedEvent]) -> None:
        if len(closed(events)) == 1:
            clock.jumped = 6 * MINUTE

    events = taken(clock, closings(9), act=jump)
    for pair in PAIRS:
        assert_as_rest(events, pair)


def test_a_long_jump_of_the_clock_ends_the_stream_and_rest_has_what_lies_in_between() -> None:
    clock = JumpingClock(MIDNIGHT, 60)

    def jump(events: Sequence[FeedEvent]) -> None:
        if closings(1)(events):
            clock.jumped = timedelta(hours=1)

    *events, end = taken(clock, lambda result: isinstance(result[-1], Interrupted), act=jump)
    assert isinstance(end, Interrupted)
    assert end.complete_until == closed(events)[-1].open_time + MINUTE
    assert not end.exchange_down
    assert "the clock has jumped to 2024-05-17 01:0" in end.reason


def test_a_clock_that_is_set_back_doubles_nothing_and_the_stream_lives_on() -> None:
    clock = JumpingClock(MIDNIGHT, 120)

    def jump(events: Sequence[FeedEvent]) -> None:
        if len(closed(events)) == 2:
            clock.jumped = -2 * MINUTE

    events = taken(clock, closings(4), act=jump)
    assert_as_rest(events)
    quotes = [event.quote.time for event in events if isinstance(event, QuoteReceived) and event.pair == BTC]
    assert quotes == sorted(quotes)
    beats = [event.time for event in events if isinstance(event, Heartbeat)]
    assert beats != sorted(beats)


def test_before_the_genesis_there_is_nothing_but_heartbeats() -> None:
    events = taken(Clock(GENESIS - DAY, 600), lambda result: len(result) >= 200)
    assert {type(event) for event in events} == {Heartbeat}


def test_a_slow_consumer_gets_every_candle() -> None:
    """The stream does not produce more than what is taken."""

    def act(events: Sequence[FeedEvent]) -> float:
        return 90.0 if isinstance(events[-1], CandleClosed) else 0.0

    assert_as_rest(taken(Clock(MIDNIGHT, 240), lambda events: len(closed(events)) == 4, [BTC], act))


def test_the_stream_of_the_environment_is_that_of_the_source_that_is_collected() -> None:
    feed = open_feeds([Simulated.id], {}, Clock(MIDNIGHT, 120))[Simulated.id]
    assert (feed.id, feed.sends_candles, feed.sends_quotes) == (Simulated.id, True, True)
    assert_as_rest(taken(Clock(), closings(1), feed=feed))
