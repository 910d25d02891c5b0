"""One stream under supervision: whatever ends it, it is connected again."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from random import Random
from typing import Protocol

from crypto_predict.errors import RefusedKeys, UnusableHistory
from crypto_predict.logs import event
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import (
    CandleFeed,
    FeedEvent,
    Heartbeat,
    Interrupted,
    PairRefused,
    Retiring,
    TickReceived,
)
from crypto_predict.wording import duration

SILENT = 45.0  # seconds without any event: exchanges and clients ping each other every 20 or 30
MUTE = 180.0  # seconds without data while the stream is alive; twice as many after each time in a row
LONGEST_MUTE = 3600.0  # since a market may really be quiet
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds, the bounds of the backoff
STABLE = 60.0  # seconds after which a connection that delivers ends the backoff
YOUNG = 5.0  # seconds of a connection that is not replaced though the exchange will close it: so may be the next
RENEWED = 300.0  # seconds after which a connection may be made anew for what it does not send
REFUSED_AGAIN = 900.0  # seconds after which a connection is made anew for pairs that were refused
HAND_OVERS = 3  # attempts to connect for other pairs beside the present connection, which is given up then
CLOSING = 1.0  # seconds of this machine to end a connection
REMINDED = 600.0  # seconds from one log line to the next while a stream cannot be connected

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """What becomes of the events of a stream. The methods are called in the event loop and do not wait."""

    def following(self, pairs: Sequence[Pair]) -> None:
        """Note the pairs for which a connection is about to be made."""

    def connected(self, pairs: Sequence[Pair], refused: Mapping[Pair, str]) -> None:
        """Note that a connection for these pairs is alive, and why it goes on without others."""

    def received(self, found: FeedEvent) -> None:
        """Take one event."""

    def interrupted(self, end: Interrupted) -> None:
        """Note that the stream is not connected."""

    def unusable(self, pair: Pair, reason: str) -> None:
        """Note that the exchange does not have the pair."""


class Backoff:
    """Exponential backoff with full jitter: many collectors do not come back at the same moment."""

    def __init__(self, random: Random) -> None:
        self.failures = 0  # in a row
        self._random = random

    def next(self) -> float:
        """Return the seconds to wait after one more failure."""
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self.failures, 10))
        self.failures += 1
        return self._random.uniform(0, longest)


class Supervisor:
    """Keep the stream of one source connected, for ever, for the pairs that are followed at the time.

    If pairs are added, a second connection is made for all. Once it is alive it takes the place of the first one, so
    that the other pairs miss nothing: meanwhile ticks of both count, as repeated ones have the same id. If the exchange
    does not accept a second one, the first one is ended for it.
    """

    def __init__(self, feed: CandleFeed, clock: Clock, listener: Listener, random: Random | None = None) -> None:
        self.reconnects = 0  # connections after an interruption
        self._feed, self._clock, self._listener = feed, clock, listener
        self._pairs: tuple[Pair, ...] = ()
        self._unusable: set[Pair] = set()  # which the exchange does not have, as long as they are asked for
        self._changed = asyncio.Event()
        self._is_renewal = False
        self._backoff = Backoff(random or Random())  # noqa: S311 jitter, not a secret
        self._mute = MUTE
        self._outage = _Outage(feed.id, clock)
        self._present: _Connection | None = None  # whose events count
        self._was_connected = False

    @property
    def pairs(self) -> Sequence[Pair]:
        """The pairs that are followed, sorted."""
        return self._pairs

    def follow(self, pairs: Collection[Pair]) -> None:
        """Follow these pairs from now on, and no others."""
        self._unusable &= set(pairs)
        ordered = tuple(sorted(set(pairs) - self._unusable))
        if ordered != self._pairs:
            self._pairs = ordered
            self._changed.set()

    def renew(self) -> None:
        """Make a new connection, which takes the place of the present one: that does not send everything."""
        if self._present is not None and self._present.seconds >= RENEWED:
            self._is_renewal = True
            self._changed.set()

    async def run(self) -> None:
        """Keep the stream connected, until this is cancelled."""
        while True:
            while not self._pairs:
                self._changed.clear()
                await self._changed.wait()
            self._listener.following(self._pairs)
            end = await self._stay_connected()
            if end is not None:
                self._listener.interrupted(end)
                seconds = self._backoff.next()
                self._outage.failed(end, seconds)
                await self._clock.sleep(seconds)

    async def _stay_connected(self) -> Interrupted | None:
        """Connect, and return why the connection has ended; None if it shall be made again at once for other pairs."""
        self._changed.clear()
        present = self._present = self._connect()
        try:
            while True:
                await _first(present.task, self._changed)
                if present.task.done():
                    return self._ended(present)
                self._changed.clear()
                if not self._pairs:
                    return None
                # Removed pairs are ignored up to the next connection.
                if set(self._pairs) <= set(present.pairs) and not self._is_renewal:
                    self._announce(present)
                    continue
                self._is_renewal = False
                successor = await self._hand_over(present)
                if successor is None:
                    return None
                present = successor
        finally:
            self._present = None
            await present.close()

    async def _hand_over(self, present: _Connection) -> _Connection | None:
        """Return a connection for the pairs of now that has taken the place of `present`; None if there cannot be."""
        for _ in range(HAND_OVERS):
            successor = self._connect()
            try:
                await _first(successor.task, successor.alive)
                if not successor.task.done():
                    if present.task.done() and (end := self._ended(present)) is not None:
                        self._listener.interrupted(end)
                    self._take_over(successor)
                    await present.close()
                    return successor
            except asyncio.CancelledError:
                await successor.close()
                raise
            if self._ended(successor) is None and set(self._pairs) <= set(present.pairs):
                return present  # the exchange does not have the new pairs
            await self._clock.sleep(self._backoff.next())
        return None

    def _connect(self) -> _Connection:
        return _Connection(self._feed, self._clock, self._pairs, self._mute, self._heard)

    def _heard(self, connection: _Connection, found: FeedEvent) -> None:
        """Take an event of a connection. The first one says that it is alive."""
        if connection is not self._present:
            if isinstance(found, TickReceived):
                self._listener.received(found)
            return
        if not connection.is_announced:
            self._take_over(connection)
        if isinstance(found, Retiring):
            if connection.seconds >= YOUNG:
                self._is_renewal = True
                self._changed.set()
            return
        if connection.delivers:
            self._mute = MUTE
            if connection.seconds >= STABLE:
                self._backoff.failures = 0
        if connection.refused and connection.seconds >= connection.refused_again:
            connection.refused_again += REFUSED_AGAIN
            self.renew()
        self._listener.received(found)

    def _take_over(self, connection: _Connection) -> None:
        self._present, connection.is_announced = connection, True
        self.reconnects += self._was_connected and self._outage.lasts
        self._was_connected = True
        self._outage.over(connection.pairs)
        self._announce(connection)

    def _announce(self, connection: _Connection) -> None:
        refused = {pair: reason for pair, reason in connection.refused.items() if pair in self._pairs}
        accepted = [pair for pair in connection.pairs if pair in self._pairs and pair not in refused]
        self._listener.connected(accepted, refused)

    def _ended(self, connection: _Connection) -> Interrupted | None:
        """Return why a connection has ended; None if the exchange does not have a pair, which is left out then."""
        error = connection.task.exception()
        if error is None:
            end = connection.task.result()
            if connection.is_mute:
                self._mute = min(2 * self._mute, LONGEST_MUTE)
            return end
        reason = str(error)
        if isinstance(error, UnusableHistory):
            if named := [pair for pair in connection.pairs if _is_named(pair, reason)]:
                self._unusable.update(named)
                self._pairs = tuple(pair for pair in self._pairs if pair not in self._unusable)
                for pair in named:
                    event(_log, logging.ERROR, "the exchange does not have the pair", source=self._feed.id, pair=pair)
                    self._listener.unusable(pair, reason)
                return None
        elif isinstance(error, RefusedKeys):
            self._backoff.failures = 10  # they are accepted after a restart at the earliest
        else:
            _log.error("%s: the stream has failed", self._feed.id, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
        return Interrupted(reason, connection.complete_until)


class _Connection:
    """One connection, in a task whose result is why it has ended."""

    def __init__(
        self,
        feed: CandleFeed,
        clock: Clock,
        pairs: Sequence[Pair],
        mute: float,
        heard: Callable[[_Connection, FeedEvent], None],
    ) -> None:
        self.pairs = pairs
        self.refused: dict[Pair, str] = {}  # the reasons, of those pairs without which it goes on
        self.refused_again = REFUSED_AGAIN  # seconds since the connection was begun
        self.alive = asyncio.Event()
        self.is_announced = False
        self.delivers = False  # data has arrived
        self.is_mute = False  # it was ended because no data has arrived
        self.complete_until = clock.now()  # UTC, the last event
        self._feed, self._clock, self._mute, self._heard = feed, clock, mute, heard
        self._began = clock.monotonic()
        self.task = asyncio.create_task(self._run())

    @property
    def seconds(self) -> float:
        """The time since the connection was begun."""
        return self._clock.monotonic() - self._began

    async def close(self) -> None:
        """End the connection, if it has not ended yet. One that does not end is left alone after a second."""
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=CLOSING)
        if self.task.done() and not self.task.cancelled():
            self.task.exception()  # was reported, or came with the end

    async def _run(self) -> Interrupted:
        try:
            async with (
                self._clock.timeout(SILENT) as patience,
                aclosing(self._feed.events(self.pairs)) as events,
            ):
                return await self._take(events, patience)
        except TimeoutError:
            if not patience.expired():
                raise
            return Interrupted(f"nothing was received for {SILENT:g} s", self.complete_until)

    async def _take(self, events: AsyncGenerator[FeedEvent], patience: asyncio.Timeout) -> Interrupted:
        loop = asyncio.get_running_loop()
        heard_at, data_at, data_until = self._began, self._began, self.complete_until
        async for found in events:
            if isinstance(found, Interrupted):
                return found
            if isinstance(found, PairRefused):
                self.refused[found.pair] = found.reason
                continue
            now = self._clock.monotonic()
            if now - heard_at >= 1:  # not for each of many events
                heard_at = now
                self.complete_until = self._clock.now()
                patience.reschedule(loop.time() + SILENT / self._clock.speed)
            is_data = not isinstance(found, Heartbeat | Retiring)
            if is_data or (isinstance(found, Heartbeat) and found.is_confirmed):
                data_at, data_until, self.delivers = now, self.complete_until, self.delivers or is_data
            elif now - data_at >= self._mute:
                self.is_mute = True
                return Interrupted(f"connected, but no data for {self._mute:g} s", data_until)
            self.alive.set()
            self._heard(self, found)
        return Interrupted("the stream ended without a reason", self.complete_until)


class _Outage:
    """One log line where an outage begins, another one where it ends, and few in between."""

    def __init__(self, source: str, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._reason: str | None = None  # None while connected
        self._began = self._logged = 0.0  # on the monotonic clock
        self._attempts = 0

    @property
    def lasts(self) -> bool:
        """Whether the stream is interrupted."""
        return self._attempts > 0

    def failed(self, end: Interrupted, seconds: float) -> None:
        """Note that the connection ended or could not be made; the next attempt follows in so many seconds."""
        now = self._clock.monotonic()
        if self._attempts == 0:
            self._began = now
        self._attempts += 1
        if end.reason == self._reason and now - self._logged < REMINDED:
            return
        self._reason, self._logged = end.reason, now
        facts = {"source": self._source, "reason": end.reason, "exchange_down": end.exchange_down}
        event(_log, logging.WARNING, "stream interrupted", **facts, retry_seconds=round(seconds, 1))

    def over(self, pairs: Sequence[Pair]) -> None:
        """Note that a connection is alive."""
        facts = {"source": self._source, "pairs": len(pairs), "attempts": self._attempts + 1}
        outage = duration(timedelta(seconds=self._clock.monotonic() - self._began)) if self._attempts else None
        event(_log, logging.INFO, "stream connected", **facts, **({"outage": outage} if outage else {}))
        self._reason, self._attempts = None, 0


async def _first(task: asyncio.Task[Interrupted], occurred: asyncio.Event) -> None:
    """Wait until the task is done or the event has occurred."""
    waiter = asyncio.create_task(occurred.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()


def _is_named(pair: Pair, text: str) -> bool:
    return re.search(rf"(?<![A-Z0-9]){re.escape(str(pair))}(?![A-Z0-9])", text) is not None
