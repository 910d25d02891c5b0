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

from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, PairRefused
from crypto_predict.sources.coinbase import EXCHANGE
from crypto_predict.sources.coinbase.stream import CoinbaseFeed
from tests.support.replay import streams
from tests.support.replay.coinbase import VENUE, CoinbaseInMotion, error_frame
from tests.support.replay.motion import MINUTE, Motion, Traits
from tests.support.replay.server import ReplayServer

BTC, ETH, LTC = (Pair(base, "USD") for base in ("BTC", "ETH", "LTC"))
START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
QUICK = 60.0  # seconds of the market in one of this machine
DEADLINE = 60.0  # seconds, after which a test fails

MATCH = {  # as documented
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
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def match(number: int, time: str, **values: str) -> str:
    """Return the message of a trade at a time of the day."""
    return json.dumps({**MATCH, "trade_id": number, "time": f"2024-05-17T{time}Z", **values})


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


def candles_of(events: Sequence[FeedEvent]) -> list[CandleClosed]:
    return [event for event in events if isinstance(event, CandleClosed)]


def test_every_minute_is_built_of_its_trades_from_the_first_one_on() -> None:
    """The last trade before the subscription shows that none is missing, so no minute waits for REST."""
    with coinbase(QUICK, quiet=0.0) as market:
        events = market.events(until=lambda events: len(candles_of(events)) >= 6)
        truth = {
            (pair, candle.open_time): candle
            for pair in (BTC, ETH)
            for candle in market.motion.truth(pair, Span(START - MINUTE, START + 9 * MINUTE))
        }
    for closed in candles_of(events):
        expected = truth[closed.series.pair, closed.candle.open_time]
        assert closed.candle[:6] == expected[:6]
        assert closed.candle.trades == expected.trades
        assert closed.candle[8] == expected[8], "the maker's side is the other one"
        assert closed.candle.quote_volume == pytest.approx(expected.quote_volume)
    assert {closed.series.pair for closed in candles_of(events)} == {BTC, ETH}
    assert candles_of(events)[0].candle.open_time <= START + MINUTE


def test_a_minute_is_closed_by_the_next_trade_and_unknown_messages_are_left_out() -> None:
    """New types of messages may come at any time, and a pair that was not subscribed is nobody's."""
    frames = [
        json.dumps({"type": "status", "products": []}),
        json.dumps({"type": "heartbeat", "last_trade_id": 0, "product_id": "BTC-USD"}),
        match(9, "11:59:59.9", price="7"),
        match(11, "12:00:59.999999", price="401", size="0.1", side="buy"),
        match(2, "12:00:59", product_id="XRP-USD"),
        json.dumps(MATCH),
        match(12, "12:01:00"),
    ]
    with coinbase(QUICK, quiet=1.0) as market:
        bursts = map(streams.burst, frames)
        [closed] = candles_of(market.events(*bursts, until=lambda events: bool(candles_of(events))))
    assert closed.series == SeriesKey("coinbase", BTC, Interval.MINUTE_1)
    turnover = round(400.23 * 5.23512 + 401 * 0.1, 8)
    bought = round(400.23 * 5.23512, 8)
    assert closed.candle == Candle(NOON, 400.23, 401, 400.23, 401, 5.33512, turnover, 2, 5.23512, bought)


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
            pairs=(BTC, ETH, LTC),
            until=lambda events: {closed.series.pair for closed in candles_of(events)} == {BTC, LTC},
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
    assert candles_of(events) == []
    assert [after.time > before.time for before, after in pairwise(beats(events))] == [True] * 4


def test_a_connection_whose_pings_are_not_answered_ends() -> None:
    with coinbase(QUICK) as market:
        end = market.events(streams.silence)[-1]
    assert isinstance(end, Interrupted)
    assert end.reason.endswith("did not answer a ping within 15 s")
