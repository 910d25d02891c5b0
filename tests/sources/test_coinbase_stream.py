"""Coinbase's stream: its wire format, and what only it does. `test_poloniex_stream` has the rest of a trade stream."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import FeedEvent, Heartbeat, Interrupted, PairRefused, TickReceived
from crypto_predict.sources.coinbase import EXCHANGE
from crypto_predict.sources.coinbase.stream import CoinbaseFeed
from tests.support.replay import streams
from tests.support.replay.coinbase import VENUE, CoinbaseInMotion, error_frame
from tests.support.replay.motion import MINUTE, Motion, Traded, Traits
from tests.support.replay.server import ReplayServer

BTC, ETH, LTC = (Pair(base, "USD") for base in ("BTC", "ETH", "LTC"))
START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
QUICK = 60.0  # seconds of the market in one of this machine
DEADLINE = 60.0  # seconds, after which a test fails

MATCH = {
    "type": "match",
    "trade_id": 10,
    "sequence": 50,
    "maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8",
    "taker_order_id": "132fb6ae-456b-4654-b4e0-d681ac05cea1",
    "time": "2024-05-17T12:00:27.028459Z",
    "product_id": "BTC-USD",
    "size": "5.23512",
    "price": "400.23",
    "side": "sell",
}
TICK = TickReceived("coinbase", BTC, datetime(2024, 5, 17, 12, 0, 27, 28459, UTC), 400.23, 5.23512, 10)


@dataclass(frozen=True)
class Market:
    """The exchange in motion, on a server."""

    exchange: CoinbaseInMotion
    motion: Motion
    server: ReplayServer

    def events(
        self,
        *faults: streams.StreamFault,
        pairs: Sequence[Pair] = (BTC, ETH),
        until: Callable[[Sequence[FeedEvent]], bool] = lambda _: False,
    ) -> list[FeedEvent]:
        """Return the events of one connection, up to `until`; after its first heartbeat the faults are applied."""
        return asyncio.run(self._events(faults, pairs, until))

    async def _events(
        self,
        faults: Sequence[streams.StreamFault],
        pairs: Sequence[Pair],
        until: Callable[[Sequence[FeedEvent]], bool],
    ) -> list[FeedEvent]:
        feed = CoinbaseFeed(EXCHANGE.settings(VENUE.environ(self.server)), self.motion.clock)
        events: list[FeedEvent] = []
        async with asyncio.timeout(DEADLINE), aclosing(feed.events(pairs)) as received:
            async for event in received:
                events.append(event)
                if sum(isinstance(event, Heartbeat) for event in events) == 1 and isinstance(event, Heartbeat):
                    for fault in faults:
                        await asyncio.to_thread(self.exchange.streams.apply, fault)
                if until(events):
                    break
        return events


@contextmanager
def coinbase(speed: float = 1.0, **traits: Any) -> Iterator[Market]:
    motion = Motion(Clock(START, speed), (BTC, ETH, LTC), 0, START - 600 * MINUTE, Traits(**traits))
    exchange = CoinbaseInMotion(motion)
    with ReplayServer(exchange) as server:
        yield Market(exchange, motion, server)


def ticks_of(events: Sequence[FeedEvent]) -> list[TickReceived]:
    return [event for event in events if isinstance(event, TickReceived)]


def test_each_trade_is_a_tick_and_the_ids_of_a_pair_follow_each_other() -> None:
    """A missing id would be a missing trade."""
    with coinbase(QUICK, quiet=0.0) as market:
        ticks = ticks_of(market.events(until=lambda events: len(ticks_of(events)) >= 8))
        traded = [each for each in market.motion.happenings(START, START + 9 * MINUTE) if isinstance(each, Traded)]
    expected = {(pair, trade.time): (trade.price, trade.size) for pair, trade in traded}
    assert [expected[tick.pair, tick.time] for tick in ticks] == [(tick.price, tick.size) for tick in ticks]
    for pair in (BTC, ETH):
        numbers = [tick.id for tick in ticks if tick.pair == pair]
        assert [after - before for before, after in pairwise(numbers)] == [1] * (len(numbers) - 1)
    assert {tick.pair for tick in ticks} == {BTC, ETH}


def test_the_documented_match_is_a_tick_and_unknown_messages_are_left_out() -> None:
    """New types of messages may come at any time, and a pair that was not subscribed is nobody's."""
    frames = [
        {"type": "status", "products": []},
        {"type": "heartbeat", "last_trade_id": 0, "product_id": "BTC-USD"},
        {**MATCH, "product_id": "XRP-USD"},
        MATCH,
    ]
    with coinbase() as market:
        bursts = [streams.burst(json.dumps(frame)) for frame in frames]
        events = market.events(streams.together(streams.mute, streams.unmute, *bursts, streams.closed()))
    assert TICK in ticks_of(events)
    assert not [tick for tick in ticks_of(events) if tick.pair not in (BTC, ETH)]


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        ("[]", "no JSON object"),
        ("{", "no JSON object"),
        (json.dumps({**MATCH, "product_id": None}), "a trade without a product"),
        (json.dumps({**MATCH, "time": "noon"}), "'time' is missing or not a time with its zone"),
        (json.dumps({**MATCH, "time": "2024-05-17T12:00:27"}), "'time' is missing or not a time with its zone"),
        (json.dumps({**MATCH, "price": "x"}), "'price' is missing or not a number"),
        (json.dumps({**MATCH, "trade_id": None}), "'trade_id' is missing or not a whole number"),
        (json.dumps({"type": "subscriptions"}), "subscriptions without lists of products"),
    ],
)
def test_a_message_in_another_format_ends_the_feed_with_its_fault(frame: str, fault: str) -> None:
    with coinbase() as market:
        end = market.events(streams.burst(frame))[-1]
    assert isinstance(end, Interrupted)
    assert end.reason.endswith(f"sent a message that is not in Coinbase's format: {fault}")


@pytest.mark.parametrize("reason", ["{} is not a valid product", "an internal fault"])
def test_a_product_that_is_refused_does_not_stop_the_others(reason: str) -> None:
    """Its name may be missing in the answer."""
    with coinbase(QUICK, quiet=0.0) as market:
        market.exchange.refused, market.exchange.reason = {"ETH-USD"}, reason
        events = market.events(
            pairs=(BTC, ETH, LTC), until=lambda events: {tick.pair for tick in ticks_of(events)} == {BTC, LTC}
        )
    [refused] = [event for event in events if isinstance(event, PairRefused)]
    assert refused.pair == ETH
    assert f'answered "Failed to subscribe: {reason.format("ETH-USD")}"' in refused.reason


def test_an_error_ends_the_feed_with_its_reason() -> None:
    with coinbase() as market:
        end = market.events(streams.burst(error_frame("Server error", "try later")))[-1]
    assert isinstance(end, Interrupted)
    assert 'answered "Server error: try later"' in end.reason


def test_a_quiet_market_is_alive_as_long_as_pings_are_answered() -> None:
    """No trade comes for minutes, and the exchange itself sends nothing then."""

    def beats(events: Sequence[FeedEvent]) -> list[Heartbeat]:
        return [event for event in events if isinstance(event, Heartbeat)]

    with coinbase(QUICK, quiet=1.0) as market:
        events = market.events(until=lambda events: len(beats(events)) >= 5)
    assert ticks_of(events) == []
    assert [after.time > before.time for before, after in pairwise(beats(events))] == [True] * 4


def test_a_connection_whose_pings_are_not_answered_ends() -> None:
    with coinbase(QUICK) as market:
        end = market.events(streams.silence)[-1]
    assert isinstance(end, Interrupted)
    assert end.reason.endswith("did not answer a ping within 15 s")
