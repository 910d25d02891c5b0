"""The pool of connections: time limits, scheduling of requests, and eviction."""

from __future__ import annotations

import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

REQUEST_SECONDS = 10.0  # from the first byte of a request to its last, and from a new connection to its first byte
STALL_SECONDS = 10.0  # in which the client takes no byte of an answer
IDLE_SECONDS = 120.0  # between two requests; less where another connection needs the place
LINGER_SECONDS = 2.0  # for a client to read the last answer and close
YOUNG_SECONDS = 0.05  # a connection that has waited for less is not dropped to make room

UNREAD_BYTES = 8 * 2**20  # of unsent answers to slow readers, over all connections
AT_HAND = 2  # requests queued in advance, so that a worker thread need not wait for the I/O thread


class Member(Protocol):
    """The methods of a connection that a pool calls."""

    def begin(self) -> None:
        """Hand over the request that has arrived, if it is complete."""

    def send_answer(self) -> None:
        """Send what a worker thread has written."""

    def send_more(self) -> None:
        """Send more of an answer, if that is possible."""

    def expire(self) -> None:
        """Handle the end of the time limit."""

    def drop(self) -> None:
        """Close before the client is done, and count that."""

    def close(self) -> None:
        """Close, whatever it is waiting for."""


@dataclass(eq=False, slots=True)
class Wait:
    """The connections that wait for one thing, each for at most `seconds`."""

    seconds: float
    since: dict[Member, float] = field(default_factory=dict)  # of the monotonic clock; the longest wait is first

    def longest(self, latest: float = float("inf")) -> Member | None:
        """Return the connection that has waited longest, if it began to wait at `latest` or before."""
        for connection, since in self.since.items():
            return connection if since <= latest else None
        return None


class Pool:
    """All connections, by what they wait for. Only the I/O thread changes them.

    When all threads are busy, requests wait in three queues that are served in turn: first requests of a connection,
    later ones, and pipelined ones. So however long one queue is, the others go on.

    Args:
        threads: The number of worker threads.
        hand_over: Gives a connection to the worker threads, which call its `service`.
        wake: Ends the wait of the I/O thread; called by worker threads.
        draining: Set while the server is stopping.
    """

    def __init__(
        self, threads: int, hand_over: Callable[[Any], None], wake: Callable[[], None], draining: threading.Event
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.free = threads + AT_HAND  # requests that can be handed over at the moment
        self.draining = draining
        self.unread = SharedBytes()
        self.dropped = 0  # connections, for a time limit or to free a place or memory
        self.new = Wait(REQUEST_SECONDS)  # for a first request
        self.reading = Wait(REQUEST_SECONDS)  # for the rest of a request
        self.working = Wait(float("inf"))  # for a worker thread
        self.sending = Wait(STALL_SECONDS)  # for the client to read
        self.idle = Wait(IDLE_SECONDS)  # for the next request
        self.lingering = Wait(LINGER_SECONDS)  # for the client to close
        self._waits = (self.new, self.reading, self.working, self.sending, self.idle, self.lingering)
        self._hand_over = hand_over
        self._wake = wake
        self._answered: deque[Member] = deque()
        self._first, self._known, self._ahead = deque[Member](), deque[Member](), deque[Member]()
        self._turns = deque([self._first, self._known, self._ahead])

    def __len__(self) -> int:
        return sum(len(wait.since) for wait in self._waits)

    @property
    def busy(self) -> int:
        """Return how many connections have a request whose answer has not been sent."""
        return sum(len(wait.since) for wait in (self.reading, self.working, self.sending))

    @property
    def has_answers(self) -> bool:
        """Whether worker threads have handed back connections."""
        return bool(self._answered)

    def hand_over(self, connection: Member) -> None:
        """Give a connection with a request to the worker threads."""
        self.free -= 1
        self._hand_over(connection)

    def line_up(self, connection: Member, *, is_first: bool, is_ahead: bool) -> None:
        """Queue a connection until a request can be handed over."""
        kind = self._ahead if is_ahead else self._first if is_first else self._known
        kind.append(connection)

    def hand_back(self, connection: Member) -> None:
        """Take a connection back from a worker thread."""
        self._answered.append(connection)
        self._wake()

    def send_answers(self) -> None:
        """Send the answers of worker threads, and hand over queued requests."""
        for _ in range(len(self._answered)):  # later ones are sent after the next events
            self.free += 1
            self._answered.popleft().send_answer()
            while self.unread.size > UNREAD_BYTES and (slowest := self.sending.longest()):
                slowest.drop()

        while self.free > 0 and (connection := self._next_in_line()):
            connection.begin()

    def _next_in_line(self) -> Member | None:
        for _ in range(len(self._turns)):
            self._turns.rotate()
            if self._turns[0]:
                return self._turns[0].popleft()
        return None

    def expire(self) -> None:
        """Refuse or close the connections whose time limit has passed."""
        # The selector reports a socket as writable only when much of its buffer is free, so a slow reader would look
        # stalled. Trying often also keeps bytes taken before a stall from counting as progress during it.
        for slow in tuple(self.sending.since):
            slow.send_more()
        now = time.monotonic()
        for wait in self._waits:
            while connection := wait.longest(now - wait.seconds):
                connection.expire()

    def make_room(self) -> bool:
        """Drop the connection that can best be spared. Return whether one could be dropped."""
        latest = time.monotonic() - YOUNG_SECONDS
        for waits in ((self.lingering,), (self.idle,), (self.new, self.reading), (self.sending,)):
            longest = [(wait.since[one], one) for wait in waits if (one := wait.longest(latest))]
            if longest:
                min(longest, key=lambda pair: pair[0])[1].drop()
                return True
        return False

    def close_quiet(self, seconds: float) -> None:
        """Close each connection that for so many seconds has waited for a request, or for its client to close."""
        latest = time.monotonic() - seconds
        for wait in (self.new, self.idle, self.lingering):
            while connection := wait.longest(latest):
                connection.close()


class SharedBytes:
    """The total size of byte strings, counted by reference: one that several connections hold counts once."""

    def __init__(self) -> None:
        self.size = 0
        self._holders: dict[int, int] = {}  # references by identity

    def hold(self, text: bytes) -> None:
        """Add a reference."""
        holders = self._holders.get(id(text), 0)
        self._holders[id(text)] = holders + 1
        if not holders:
            self.size += len(text)

    def release(self, text: bytes) -> None:
        """Remove a reference."""
        holders = self._holders.pop(id(text)) - 1
        if holders:
            self._holders[id(text)] = holders
        else:
            self.size -= len(text)
