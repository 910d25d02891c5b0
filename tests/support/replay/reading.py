"""The live stream of an exchange, read from the exchange in motion on the replay server."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pkgutil import resolve_name
from typing import Any

from crypto_predict.market import Candle, Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.stream import Feed
from tests.support.replay.motion import MINUTE, Happening, Motion, Traits
from tests.support.replay.server import ReplayServer
from tests.support.replay.streams import Connection, StreamFault, burst, together
from tests.support.replay.venue import Venue

START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
QUICK = 20.0  # the speed of a feed that gives up a ping after a second
FAST = 60.0
STILL = 1e-6  # the speed of a market that sends nothing by itself

_DEADLINE = 180.0  # seconds, after which a test fails

Condition = Callable[[Sequence[FeedEvent]], bool]


class MovableClock(Clock):
    """A clock that a test can move on. Its timeouts bear with a busy machine, unless the test is about one."""

    moved = 0.0  # seconds
    patience = 30.0  # seconds of this machine, the least of a timeout

    def monotonic(self) -> float:
        """Return the seconds since construction, and those that it was moved."""
        return super().monotonic() + self.moved

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """Return a timeout."""
        return asyncio.timeout(max(seconds / self.speed, self.patience))


@dataclass(frozen=True)
class Market:
    """An exchange in motion, the server that serves it, and the clock of the feeds that read from it."""

    venue: Venue
    exchange: Any  # the exchange on the server, with its `streams`
    motion: Motion
    server: ReplayServer
    clock: MovableClock

    @property
    def host(self) -> str:
        """The host and port of the server."""
        return self.server.url.partition("//")[2]

    @property
    def settings(self) -> Settings:
        """The settings of this exchange."""
        return self.venue.exchange.settings(self.venue.environ(self.server))

    def feed(self, stream_url: str = "", **options: Any) -> Feed:
        """Return a feed, by default of the address of this exchange."""
        settings = replace(self.settings, stream_url=stream_url or self.settings.stream_url)
        feed: Feed = resolve_name(self.venue.exchange.feed)(settings, self.clock, **options)
        return feed

    def events(
        self,
        *faults: StreamFault,
        until: Condition = lambda _: False,
        when: Condition = lambda events: isinstance(events[-1], Heartbeat),
        pairs: Sequence[Pair] = (),
        feed: Feed | None = None,
    ) -> list[FeedEvent]:
        """Return the events of one call up to `until` or its end, by default of all pairs.

        The connections meet the faults together once `when`, which is at the first heartbeat.
        """
        return asyncio.run(self.reading(faults, until, when, pairs, feed))

    async def reading(
        self, faults: Sequence[StreamFault], until: Condition, when: Condition, pairs: Sequence[Pair], feed: Feed | None
    ) -> list[FeedEvent]:
        """Do what `events` does."""
        events: list[FeedEvent] = []
        async with (
            asyncio.timeout(_DEADLINE),
            aclosing((feed or self.feed()).events(pairs or self.motion.pairs)) as received,
        ):
            async for event in received:
                events.append(event)
                if until(events):
                    break
                if faults and when(events):
                    await asyncio.to_thread(self.exchange.streams.apply, together(*faults))
                    faults = ()
        return events

    def end(self, *faults: StreamFault, **options: Any) -> Interrupted:
        """Return the last event of a call, which alone is an interruption."""
        *others, end = self.events(*faults, **options)
        assert isinstance(end, Interrupted)
        assert not any(isinstance(event, Interrupted) for event in others)
        return end

    def malformed(self, *frames: str | bytes) -> str:
        """Return what is wrong with the format of the last of these messages, which ends the feed."""
        reason = self.end(*map(burst, frames)).reason
        prefix = f"{self.host} sent a message that is not in {self.venue.exchange.name}'s format: "
        assert reason.startswith(prefix)
        return reason.removeprefix(prefix)

    def sending(self, *happenings: Happening) -> StreamFault:
        """Return what sends these, as if they happened now."""

        def fault(connection: Connection) -> None:
            for happening in happenings:
                if (encoded := self.exchange.streams.encode(happening)) is not None:
                    connection.push(connection.wrap(*encoded))

        return fault


@contextmanager
def market(
    venue: Venue,
    speed: float = 1.0,
    *,
    moving: bool = False,
    pairs: Sequence[Pair] = (),
    tls: ssl.SSLContext | None = None,
    **traits: Any,
) -> Iterator[Market]:
    """Serve a market, by default of two pairs, that sends nothing by itself, or is `moving` at the feed's `speed`."""
    pairs = pairs or (venue.traded, replace(venue.traded, base="ETH"))
    motion = Motion(Clock(START, speed if moving else STILL), pairs, 0, START - 600 * MINUTE, Traits(**traits))
    exchange = venue.live(motion)
    with ReplayServer(exchange, tls) as server:
        yield Market(venue, exchange, motion, server, MovableClock(START, speed))


def candles_of(events: Sequence[FeedEvent], pair: Pair | None = None) -> list[Candle]:
    return [event.candle for event in events if isinstance(event, CandleClosed) and pair in {None, event.series.pair}]


def number_of(kind: type[FeedEvent], count: int) -> Condition:
    """Return the condition that so many events of this kind have come."""
    return lambda events: sum(isinstance(event, kind) for event in events) >= count
