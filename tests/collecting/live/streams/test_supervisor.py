"""A stream under supervision, with a feed whose connections are scripts. `test_collector` has real ones."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import pytest

from crypto_predict.collecting.live.streams.supervisor import REFUSED_AGAIN, Following, StreamEvent, Supervisor
from crypto_predict.errors import RefusedKeys, UnusableHistory
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import FeedEvent, Heartbeat, Interrupted, PairRefused, Retiring, TickReceived
from tests.support.live import in_loop, when

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
BTC, ETH, SOL = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("SOL", "USDT")
SPEED = 60.0
CALM = 10.0  # where a machine that is busy for a few seconds must not look like a stream that is silent
FAST = 150.0  # where minutes must pass

Script = Callable[["Feed", Sequence[Pair]], AsyncGenerator[FeedEvent]]


class Feed:
    """A feed that follows one script after the other, and the last one for ever."""

    id, sends_candles, sends_quotes = "scripted", False, False

    def __init__(self, *scripts: Script, speed: float = SPEED) -> None:
        self.clock = Clock(START, speed)
        self.requested: list[tuple[Pair, ...]] = []  # the pairs of each connection
        self.open = self.most = 0  # connections at once
        self.began = self.clock.monotonic()
        self._scripts = list(scripts)

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Yield the events of the next script."""
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.requested.append(tuple(pairs))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            async for event in script(self, pairs):
                yield event
        finally:
            self.open -= 1


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def hear(self, event: StreamEvent) -> None:
        """Note an event, but for heartbeats."""
        match event:
            case Following():
                self.calls.append(("connected" if event.is_alive else "following", tuple(event.pairs)))
                self.calls += [("refused", pair) for pair in event.refused]
            case Interrupted():
                self.calls.append(("interrupted", event.reason))
            case Heartbeat():
                pass
            case _:
                self.calls.append(("received", event))

    def delisted(self, pair: Pair, reason: str) -> None:
        """Note that the exchange does not have a pair."""
        assert str(pair) in reason
        self.calls.append(("unusable", pair))

    def of(self, name: str) -> list[object]:
        """Return what was told in calls of this name."""
        return [what for called, what in self.calls if called == name]


async def alive(feed: Feed, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    """Send a tick of each pair every five seconds, for ever."""
    for number in count():
        yield Heartbeat(feed.clock.now())
        for pair in pairs:
            yield TickReceived(feed.id, pair, feed.clock.now(), 1.0, 1.0, number)
        await feed.clock.sleep(5)


async def silent(feed: Feed, _pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    yield Heartbeat(feed.clock.now())
    await asyncio.Event().wait()


async def mute(feed: Feed, _pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    while True:
        yield Heartbeat(feed.clock.now())
        await feed.clock.sleep(10)


async def refused(feed: Feed, _pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    yield Interrupted("refused", feed.clock.now(), exchange_down=True)


async def defective(feed: Feed, _pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    yield Heartbeat(feed.clock.now())
    raise ZeroDivisionError("a defect")


async def without_end(_feed: Feed, _pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    return
    yield


async def refusing_keys(_feed: Feed, _pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    raise RefusedKeys("scripted", "the keys are wrong")
    yield


async def knows_only_btc(feed: Feed, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    for pair in pairs:
        if pair != BTC:
            raise UnusableHistory("scripted", [f"it does not have the pair {pair}"])
    async for event in alive(feed, pairs):
        yield event


async def refuses_eth_at_first(feed: Feed, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    """Stream all others."""
    refused = [ETH] if feed.clock.monotonic() < feed.began + REFUSED_AGAIN - 1 else []
    for pair in refused:
        yield PairRefused(pair, "Subscription failed")
    async for event in alive(feed, [pair for pair in pairs if pair not in refused]):
        yield event


async def retiring_at_once(feed: Feed, _pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    """All servers may shut down."""
    yield Heartbeat(feed.clock.now())
    yield Retiring()
    yield Interrupted("gone", feed.clock.now())


@asynccontextmanager
async def supervising(feed: Feed, *pairs: Pair) -> AsyncGenerator[tuple[Supervisor, Heard]]:
    """Run a supervisor of these pairs, or of one, inside the context, for at most 30 seconds."""
    heard = Heard()
    supervisor = Supervisor(feed, feed.clock, heard.hear, heard.delisted)
    supervisor.follow(pairs or (BTC,))
    task = asyncio.create_task(supervisor.run())
    try:
        async with asyncio.timeout(30):
            yield supervisor, heard
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert feed.open == 0, "every connection is closed in the end"


def ticks_of(heard: Heard, pair: Pair) -> int:
    return sum(isinstance(tick, TickReceived) and tick.pair == pair for tick in heard.of("received"))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (silent, "nothing was received for 45 s"),
        (refused, "refused"),
        (defective, "ZeroDivisionError: a defect"),
        (without_end, "the stream ended without a reason"),
        (refusing_keys, "scripted: the keys are wrong"),
        (retiring_at_once, "gone"),
    ],
    ids=["silent", "refused", "defective", "without end", "keys", "retiring"],
)
@in_loop
async def test_whatever_ends_a_connection_another_one_is_made(script: Script, reason: str) -> None:
    feed = Feed(script, script, alive)
    async with supervising(feed) as (supervisor, heard):
        await when(lambda: ticks_of(heard, BTC))
    assert feed.most == 1, "none is made before there was a wait"
    assert heard.of("interrupted")[:2] == [reason, reason]
    assert heard.of("following") == [(BTC,)] * 3
    assert supervisor.reconnects >= (2 if script in {silent, defective} else 0)


@in_loop
async def test_a_market_that_is_really_quiet_is_connected_less_and_less_often() -> None:
    """Otherwise a thin market would be connected every three minutes for ever."""

    def mutes() -> list[object]:
        return [reason for reason in heard.of("interrupted") if "no data" in str(reason)]

    async with supervising(Feed(mute, speed=FAST)) as (_, heard):
        await when(lambda: len(mutes()) == 2)
    assert mutes() == [f"connected, but no data for {seconds} s" for seconds in (180, 360)]


async def retiring(feed: Feed, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
    """Announce the end after ten seconds, and deliver for ten more."""
    for number in range(5):
        yield Heartbeat(feed.clock.now())
        if number == 3:
            yield Retiring()
        for pair in pairs:
            yield TickReceived(feed.id, pair, feed.clock.now(), 1.0, 1.0, number)
        await feed.clock.sleep(5)
    await asyncio.Event().wait()


@in_loop
async def test_a_connection_that_will_end_is_replaced_before() -> None:
    """Binance announces that a server shuts down: there is neither an interruption nor a wait."""
    feed = Feed(retiring, alive, speed=CALM)
    async with supervising(feed) as (supervisor, heard):
        await when(lambda: len(feed.requested) == 2 and feed.open == 1 and len(heard.of("connected")) == 2)
    assert heard.of("interrupted") == []
    assert (feed.most, supervisor.reconnects) == (2, 0)


@in_loop
async def test_a_removed_pair_does_not_end_the_connection() -> None:
    feed = Feed(alive, speed=CALM)
    async with supervising(feed, BTC, ETH) as (supervisor, heard):
        await when(lambda: ticks_of(heard, ETH))
        supervisor.follow([BTC])
        await when(lambda: len(heard.of("connected")) == 2)
        supervisor.follow([])
        await when(lambda: feed.open == 0)
        supervisor.follow([SOL])
        await when(lambda: ticks_of(heard, SOL))
    assert feed.requested == [(BTC, ETH), (SOL,)]
    assert heard.of("connected") == [(BTC, ETH), (BTC,), (SOL,)]


@in_loop
async def test_a_pair_that_the_exchange_does_not_have_is_left_out_and_harms_no_other() -> None:
    """It may be there from the start, or be added beside a connection, which does not end for it."""
    feed = Feed(knows_only_btc, speed=CALM)
    async with supervising(feed, BTC, ETH) as (supervisor, heard):
        await when(lambda: ticks_of(heard, BTC))
        assert heard.of("unusable") == [ETH]
        supervisor.follow([BTC, ETH, SOL])  # the database is read before the new state is in it
        await when(lambda: SOL in heard.of("unusable"))
        before = ticks_of(heard, BTC)
        await when(lambda: ticks_of(heard, BTC) > before + 3)
    assert feed.requested == [(BTC, ETH), (BTC,), (BTC, SOL)]
    assert (heard.of("connected"), heard.of("interrupted"), supervisor.pairs) == ([(BTC,)], [], (BTC,))


@in_loop
async def test_a_pair_whose_subscription_is_refused_is_left_out_and_later_asked_for_again() -> None:
    """The others are streamed by the first connection, and by the one that takes its place."""
    feed = Feed(refuses_eth_at_first, speed=4 * FAST)
    async with supervising(feed, BTC, ETH) as (supervisor, heard):
        await when(lambda: ticks_of(heard, BTC))
        assert heard.calls[:3] == [("following", (BTC, ETH)), ("connected", (BTC,)), ("refused", ETH)]
        await when(lambda: ticks_of(heard, ETH))
    assert heard.of("unusable") == []
    assert heard.of("connected")[-1] == (BTC, ETH)
    assert (set(feed.requested), supervisor.pairs) == ({(BTC, ETH)}, (BTC, ETH))


@in_loop
async def test_an_added_pair_is_connected_beside_the_others_and_ticks_of_both_connections_count() -> None:
    """Otherwise a tick that the first had not delivered yet when it was closed would be missing."""

    async def early(feed: Feed, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        yield TickReceived(feed.id, BTC, feed.clock.now(), 77.0, 1.0, 1)
        async for event in alive(feed, pairs):
            yield event

    feed = Feed(alive, early, speed=CALM)
    async with supervising(feed) as (supervisor, heard):
        await when(lambda: ticks_of(heard, BTC))
        supervisor.follow([BTC, ETH])
        await when(lambda: ticks_of(heard, ETH) and len(heard.of("connected")) == 2)
    assert 77.0 in [tick.price for tick in heard.of("received") if isinstance(tick, TickReceived)]
    assert (heard.of("connected"), heard.of("interrupted")) == ([(BTC,), (BTC, ETH)], [])
    assert (feed.most, supervisor.reconnects) == (2, 0)
