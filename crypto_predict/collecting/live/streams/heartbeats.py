"""When a stream was connected: spans of its states, ready to be stored."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from crypto_predict.logs import event
from crypto_predict.market import Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.market.events import Interrupted

JUMP = timedelta(seconds=5)  # a clock that differs more from the time that has passed was set

_log = logging.getLogger(__name__)

Store = Callable[[str, Sequence[Pair], StreamSpan], None]


class Heartbeats:
    """The states of the stream of one source, from one change or call of `flush` to the next.

    A connection counts as connected from its first heartbeat on, but only once data has arrived: one that stays mute
    was never connected to anything.
    """

    def __init__(self, source: str, clock: Clock, store: Store) -> None:
        self._source, self._clock, self._store = source, clock, store
        self._pairs: tuple[Pair, ...] = ()
        self._state = StreamState.DISCONNECTED
        self._reason = "the collector has just started"
        self._proven = False  # whether the state is certain; if not, it is not stored yet
        self._now, self._monotonic = clock.now(), clock.monotonic()
        self._until = self._now  # up to which states are stored
        self._beat = self._now  # the last sign of life
        self._data = self._now  # the last data
        self.certain = self._state, self._now, self._reason  # the newest certain state, since when (UTC), and why

    def following(self, pairs: Sequence[Pair]) -> None:
        """Note the pairs for which a connection is about to be made."""
        self.flush()
        self._pairs = tuple(pairs)

    def connected(self, pairs: Sequence[Pair]) -> None:
        """Note that a connection for `pairs` is alive; if the stream was connected already, it takes its place."""
        now = self._read_clock()
        self._beat = now
        if self._proven:
            self._advance(now)
        if self._state is not StreamState.CONNECTED:
            self._state, self._reason, self._proven = StreamState.CONNECTED, "", False
            self._until = now
        self._pairs = tuple(pairs)

    def beat(self) -> None:
        """Note a sign of life."""
        self._beat = self._read_clock()

    def data(self) -> None:
        """Note that data has arrived."""
        self._data = self._beat
        if self._state is StreamState.CONNECTED and not self._proven:
            self._proven = True
            self.certain = self._state, self._beat, ""

    def interrupted(self, end: Interrupted) -> None:
        """Note the end of a connection, or that none could be made."""
        now = self._read_clock()
        if self._proven and self._state is not StreamState.CONNECTED:
            self._advance(now)
        elif self._proven:
            lost = min(now, max(end.complete_until, self._data))
            self._advance(lost)
            self._until = lost  # what was stored beyond is replaced
        self._state = StreamState.EXCHANGE_DOWN if end.exchange_down else StreamState.DISCONNECTED
        self._reason, self._proven = end.reason, True
        state, since, _ = self.certain
        self.certain = self._state, since if state is self._state else now, end.reason

    def flush(self) -> None:
        """Store the present state up to now; that of a connection up to its last sign of life."""
        now = self._read_clock()
        if self._proven:
            self._advance(self._beat if self._state is StreamState.CONNECTED else now)

    def _read_clock(self) -> datetime:
        """Return the present. If the clock was set, the state ends where the old time ended and goes on at the new."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        expected = self._now + timedelta(seconds=monotonic - self._monotonic)
        self._now, self._monotonic = now, monotonic
        if abs(now - expected) > JUMP:
            event(_log, logging.WARNING, "the clock was set", source=self._source, by=str(now - expected))
            if self._proven:
                self._advance(expected)
            self._until = self._beat = self._data = now
        return now

    def _advance(self, until: datetime) -> None:
        if until > self._until and self._pairs:
            self._store(self._source, self._pairs, StreamSpan(Span(self._until, until), self._state, self._reason))
        self._until = max(self._until, until)
