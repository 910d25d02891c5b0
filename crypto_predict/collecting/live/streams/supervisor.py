"""One stream under supervision: whatever ends it, it is connected again."""

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from crypto_predict.errors import RefusedKeys, UnusableHistory
from crypto_predict.logs import event
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import FeedEvent, Heartbeat, Interrupted, PairRefused, Retiring, TickReceived
from crypto_predict.market.ports import CandleFeed
from crypto_predict.outages import Outage, backoff
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


@dataclass(frozen=True, slots=True)
class Following:
    """A connection for these pairs is about to be made, or is alive and goes on without the refused ones."""

    pairs: Sequence[Pair]
    is_alive: bool
    refused: Mapping[Pair, str]  # with the reasons


StreamEvent = FeedEvent | Following


class Supervisor:
    """Keep the stream of one source connected, for ever, for the pairs that are followed at the time.

    If pairs are added, a second connection is made for all. Once it is alive it takes the place of the first one, so
    that the other pairs miss nothing: meanwhile ticks of both count, as repeated ones have the same id. If the exchange
    does not accept a second one, the first one is ended for it. `hear` is called with every event, and `delisted` with
    a pair that the exchange does not have and the reason; both in the event loop, and they do not wait.
    """

    def __init__(
        self,
        feed: CandleFeed,
        clock: Clock,
        hear: Callable[[StreamEvent], None],
        delisted: Callable[[Pair, str], None],
    ) -> None:
        self.reconnects = 0  # connections after an interruption
        self._feed, self._clock, self._hear, self._delisted = feed, clock, hear, delisted
        self.pairs: tuple[Pair, ...] = ()  # that are followed, sorted
        self._unusable: set[Pair] = set()  # which the exchange does not have, as long as they are asked for
        self._changed = asyncio.Event()
        self._is_renewal = False
        self._failures = 0  # in a row; they end with a connection that is stable
        self._mute = MUTE
        self._outage = Outage(clock.monotonic, REMINDED)
        self._present: _Connection | None = None  # whose events count
        self._was_connected = False

    def follow(self, pairs: Collection[Pair]) -> None:
        """Follow these pairs from now on, and no others."""
        self._unusable &= set(pairs)
        ordered = tuple(sorted(set(pairs) - self._unusable))
        if ordered != self.pairs:
            self.pairs = ordered
            self._changed.set()

    def renew(self) -> None:
        """Make a new connection, which takes the place of the present one: that does not send everything."""
        if self._present is not None and self._present.seconds >= RENEWED:
            self._is_renewal = True
            self._changed.set()

    async def run(self) -> None:
        """Keep the stream connected, until this is cancelled."""
        while True:
            while not self.pairs:
                self._changed.clear()
                await self._changed.wait()
            self._hear(Following(self.pairs, is_alive=False, refused={}))
            end = await self._stay_connected()
            if end is not None:
                self._hear(end)
                seconds = self._backoff()
                if self._outage.failed(end.reason):
                    facts = {"source": self._feed.id, "reason": end.reason, "exchange_down": end.exchange_down}
                    event(_log, logging.WARNING, "stream interrupted", **facts, retry_seconds=round(seconds, 1))
                await self._clock.sleep(seconds)

    async def _stay_connected(self) -> Interrupted | None:
        """Connect, and return why the connection has ended; None if it shall be made again at once for other pairs."""
        self._changed.clear()
        present = self._present = _Connection(self._feed, self._clock, self.pairs, self._mute, self._receive)
        try:
            while True:
                await _first(present.task, self._changed)
                if present.task.done():
                    return self._ended(present)
                self._changed.clear()
                if not self.pairs:
                    return None
                # Removed pairs are ignored up to the next connection.
                if set(self.pairs) <= set(present.pairs) and not self._is_renewal:
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

    async def _hand_over(self, present: "_Connection") -> "_Connection | None":
        """Return a connection for the pairs of now that has taken the place of `present`; None if there cannot be."""
        for _ in range(HAND_OVERS):
            successor = _Connection(self._feed, self._clock, self.pairs, self._mute, self._receive)
            try:
                await _first(successor.task, successor.alive)
                if not successor.task.done():
                    if present.task.done() and (end := self._ended(present)) is not None:
                        self._hear(end)
                    self._take_over(successor)
                    await present.close()
                    return successor
            except asyncio.CancelledError:
                await successor.close()
                raise
            if self._ended(successor) is None and set(self.pairs) <= set(present.pairs):
                return present  # the exchange does not have the new pairs
            await self._clock.sleep(self._backoff())
        return None

    def _backoff(self) -> float:
        """Count a failure, and return the seconds to wait, with full jitter."""
        self._failures += 1
        return backoff(self._failures - 1, FIRST_WAIT, LONGEST_WAIT, least=0.0)

    def _receive(self, connection: "_Connection", message: FeedEvent) -> None:
        """Take an event of a connection. The first one says that it is alive."""
        if connection is not self._present:
            if isinstance(message, TickReceived):
                self._hear(message)
            return
        if not connection.is_announced:
            self._take_over(connection)
        if isinstance(message, Retiring):
            if connection.seconds >= YOUNG:
                self._is_renewal = True
                self._changed.set()
            return
        if connection.delivers:
            self._mute = MUTE
            if connection.seconds >= STABLE:
                self._failures = 0
        if connection.refused and connection.seconds >= connection.refused_again:
            connection.refused_again += REFUSED_AGAIN
            self.renew()
        self._hear(message)

    def _take_over(self, connection: "_Connection") -> None:
        self._present, connection.is_announced = connection, True
        attempts, facts = self._outage.failures + 1, dict[str, object]()
        if (seconds := self._outage.over()) is not None:
            self.reconnects += self._was_connected
            facts["outage"] = duration(timedelta(seconds=seconds))
        self._was_connected = True
        text, pairs = "stream connected", len(connection.pairs)
        event(_log, logging.INFO, text, source=self._feed.id, pairs=pairs, attempts=attempts, **facts)
        self._announce(connection)

    def _announce(self, connection: "_Connection") -> None:
        refused = {pair: reason for pair, reason in connection.refused.items() if pair in self.pairs}
        accepted = [pair for pair in connection.pairs if pair in self.pairs and pair not in refused]
        self._hear(Following(accepted, is_alive=True, refused=refused))

    def _ended(self, connection: "_Connection") -> Interrupted | None:
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
                self.pairs = tuple(pair for pair in self.pairs if pair not in self._unusable)
                for pair in named:
                    event(_log, logging.ERROR, "the exchange does not have the pair", source=self._feed.id, pair=pair)
                    self._delisted(pair, reason)
                return None
        elif isinstance(error, RefusedKeys):
            self._failures = 10  # they are accepted after a restart at the earliest
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
        receive: "Callable[[_Connection, FeedEvent], None]",
    ) -> None:
        self.pairs = pairs
        self.refused: dict[Pair, str] = {}  # the reasons, of those pairs without which it goes on
        self.refused_again = REFUSED_AGAIN  # seconds since the connection was begun
        self.alive = asyncio.Event()
        self.is_announced = False
        self.delivers = False  # data has arrived
        self.is_mute = False  # it was ended because no data has arrived
        self.complete_until = clock.now()  # UTC, the last event
        self._clock, self._mute, self._receive = clock, mute, receive
        self._began = clock.monotonic()
        self.task = asyncio.create_task(self._run(feed))

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

    async def _run(self, feed: CandleFeed) -> Interrupted:
        loop = asyncio.get_running_loop()
        heard_at, data_at, data_until = self._began, self._began, self.complete_until
        try:
            async with self._clock.timeout(SILENT) as patience, aclosing(feed.events(self.pairs)) as events:
                async for message in events:
                    if isinstance(message, Interrupted):
                        return message
                    if isinstance(message, PairRefused):
                        self.refused[message.pair] = message.reason
                        continue
                    now = self._clock.monotonic()
                    if now - heard_at >= 1:  # not for each of many events
                        heard_at, self.complete_until = now, self._clock.now()
                        patience.reschedule(loop.time() + SILENT / self._clock.speed)
                    is_data = not isinstance(message, Heartbeat | Retiring)
                    if is_data or (isinstance(message, Heartbeat) and message.is_confirmed):
                        data_at, data_until, self.delivers = now, self.complete_until, self.delivers or is_data
                    elif now - data_at >= self._mute:
                        self.is_mute = True
                        return Interrupted(f"connected, but no data for {self._mute:g} s", data_until)
                    self.alive.set()
                    self._receive(self, message)
        except TimeoutError:
            if not patience.expired():
                raise
            return Interrupted(f"nothing was received for {SILENT:g} s", self.complete_until)
        return Interrupted("the stream ended without a reason", self.complete_until)


async def _first(task: asyncio.Task[Interrupted], occurred: asyncio.Event) -> None:
    """Wait until the task is done or the event has occurred."""
    waiter = asyncio.create_task(occurred.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()


def _is_named(pair: Pair, text: str) -> bool:
    return re.search(rf"(?<![A-Z0-9]){re.escape(str(pair))}(?![A-Z0-9])", text) is not None
