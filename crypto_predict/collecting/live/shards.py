"""Which shards this process collects: its own, and as a guest those that no process collects.

Each shard has two reservations, which end with the process that has them: the claim of the process that was started for
it, and the right to collect its pairs. A shard without a collector for `GONE` is taken by one of the others. A guest
that sees a claim gives the shard back: it stops following the pairs, stores what has arrived, and releases the
reservation. Only then does the claiming process follow them.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from crypto_predict.errors import DatabaseError, SeriesHeld
from crypto_predict.logs import event
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import Shard, ShardState
from crypto_predict.market.ports import Reservations, ShardReader

LOOKED = 5.0  # seconds from one look at the shards to the next

# All in seconds of the market. A restart, also of the database, is over within the first of them.
GONE = 30.0  # without a collector, after which another process takes a shard, in the order of a circle
STAGGER = 10.0  # how much later the farthest process of the circle does
PER_GUEST = 5.0  # how much later for each shard that it has taken already, so that several go to several processes
LATEST = 45.0  # whatever the sum

_NOBODY = ShardState(Shard(), "", "", is_guest=False)
_log = logging.getLogger(__name__)


class ShardDatabase(Reservations, ShardReader, Protocol):
    """Where shards are reserved."""


@dataclass(frozen=True, slots=True)
class _Held:
    renew: Callable[[], None]
    release: Callable[[], None]


class Shards:
    """The shards of one process. A pair is `in` them while it is collected here; other methods but that block.

    `own` is the shard that it was started for. `waits_for` names the guest that still collects it, or is empty.
    """

    def __init__(self, database: ShardDatabase, own: Shard, clock: Clock) -> None:
        self.own, self.waits_for = own, ""
        self.collected: frozenset[Shard] = frozenset()
        self._database, self._clock = database, clock
        self._held: dict[Shard, _Held] = {}  # and those that are being given back
        self._gone: dict[Shard, float] = {}  # seconds on the clock, since when nobody collects a shard
        self._is_reserved = False  # inside `reserved`
        self._renew_claim: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def __contains__(self, pair: Pair) -> bool:
        return any(pair in shard for shard in self.collected)

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Claim the own shard inside the context, and take it at once if nobody collects it.

        Raises:
            SeriesHeld: Another process was started for it, or for a shard with some of its pairs.
        """
        with self._database.claim(self.own) as self._renew_claim:
            try:
                with self._lock:
                    self._is_reserved = True
                    self._take_own()
                yield
            finally:
                with self._lock:  # a thread that is still at work must not take them again
                    self._is_reserved = False
                self.release(tuple(self._held))

    def renew(self) -> None:
        """Reserve again what was lost with a connection. A shard that another process took meanwhile is not collected.

        Raises:
            SeriesHeld: As in `reserved`.
        """
        with self._lock:
            if not self._is_reserved:
                return
            self._renew_claim()
            for shard, held in list(self._held.items()):
                try:
                    held.renew()
                except SeriesHeld as error:
                    self._release(shard)
                    text = "shard lost while the database was away"
                    event(_log, logging.WARNING, text, shard=shard, reason=error.reason)
            if self.own not in self._held:
                self._take_own()

    def look(self) -> Sequence[Shard]:
        """Take what is due, and return the shards to give back; nothing here follows their pairs any more.

        Call `release` with them once what has arrived is stored. Raises what `renew` does.
        """
        try:
            self.renew()
            states = {state.shard: state for state in self._database.shards()}
        except DatabaseError:
            self._gone.clear()  # nobody can renew a reservation now
            raise
        with self._lock:
            if self._is_reserved:
                self._take_others(states)
            leaving = [shard for shard in self._held if shard != self.own and states.get(shard, _NOBODY).claimed_by]
            self.collected = frozenset(self._held) - frozenset(leaving)
        return leaving

    def release(self, shards: Sequence[Shard]) -> None:
        """Release these shards."""
        with self._lock:
            for shard in self._held.keys() & shards:  # without what was lost meanwhile
                self._release(shard)
                if shard != self.own:
                    event(_log, logging.INFO, "shard given back", shard=shard)

    def _take_own(self) -> None:
        """Take the own shard, unless a guest still collects it, which will give it back."""
        try:
            self._take(self.own)
        except SeriesHeld:
            states = self._database.shards()  # none of a file; without the process that has just released it
            rivals = [state for state in states if state.collector and self.own.overlaps(state.shard)]
            if not states or any(state.shard != self.own or not state.is_guest for state in rivals):
                raise
            for guest in rivals:
                if self.waits_for != guest.collector:
                    text = "its shard is collected by another process, which is asked to give it back"
                    event(_log, logging.WARNING, text, shard=self.own, process=guest.collector)
                self.waits_for = guest.collector
        else:
            if self.waits_for:
                event(_log, logging.INFO, "shard is back", shard=self.own)
            self.waits_for = ""

    def _take_others(self, states: Mapping[Shard, ShardState]) -> None:
        """Take the shards that nobody has collected for long enough."""
        if not states or self.own not in self._held:
            return
        now, of = self._clock.monotonic(), self.own.of
        for number in range(1, of + 1):
            shard = Shard(number, of)
            state = states.get(shard, _NOBODY)
            if state.collector or state.claimed_by:
                self._gone.pop(shard, None)
            elif (seconds := now - self._gone.setdefault(shard, now)) >= self._patience(shard):
                try:
                    self._take(shard)
                except SeriesHeld:  # by another one that was faster, or by a collector with another number of shards
                    continue
                event(_log, logging.WARNING, "shard taken over", shard=shard, seconds=round(seconds, 1))

    def _patience(self, shard: Shard) -> float:
        """Return how many seconds a shard is without a collector before this process takes it."""
        distance = (self.own.number - shard.number) % self.own.of / self.own.of
        return min(LATEST, GONE + STAGGER * distance + PER_GUEST * (len(self._held) - 1))

    def _take(self, shard: Shard) -> None:
        with ExitStack() as stack:
            renew = stack.enter_context(self._database.hold_collector(shard))
            self._held[shard] = _Held(renew, stack.pop_all().close)
        self._gone.pop(shard, None)
        self.collected |= {shard}

    def _release(self, shard: Shard) -> None:
        self.collected -= {shard}
        self._held.pop(shard).release()
