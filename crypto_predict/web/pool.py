"""All connections: what each of them waits for, whose turn it is, and which one must go."""

from __future__ import annotations

import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

REQUEST_SECONDS = 10.0  # for a request from its first byte to its last, and for a new connection to begin one
STALL_SECONDS = 10.0  # without a byte of an answer being taken
IDLE_SECONDS = 120.0  # between two requests, while nobody else needs the place
LINGER_SECONDS = 2.0  # for a client to read the last answer and close
YOUNG_SECONDS = 0.05  # what has waited for less is not dropped to make room

UNREAD_BYTES = 8 * 2**20  # of answers that wait for slow readers, over all connections
AT_HAND = 2  # requests beside those that worker threads work on


class Member(Protocol):
    """What a pool asks of a connection."""

    def begin(self) -> None:
        """Hand over the request that has arrived, if it is whole."""

    def send_answer(self) -> None:
        """Send what a worker thread has written."""

    def send_more(self) -> None:
        """Send more of an answer, if that is possible."""

    def expire(self) -> None:
        """Give up what it waits for."""

    def drop(self) -> None:
        """Close although the client may still want something."""

    def close(self) -> None:
        """Close, whatever it is waiting for."""


@dataclass(eq=False, slots=True)
class Wait:
    """Something that connections wait for, at most so many `seconds`."""

    seconds: float
    since: dict[Member, float] = field(default_factory=dict)  # of the monotonic clock; the longest wait is first

    def longest(self, latest: float = float("inf")) -> Member | None:
        """The connection that has waited longest, if it has since `latest` or before."""
        for connection, since in self.since.items():
            return connection if since <= latest else None
        return None


class Pool:
    """All connections, by what they wait for. Only the I/O thread changes them.

    Where more of them have a request than there are threads, they take turns by kind: those with their first request,
    those that have been answered before, and those that have sent several requests at once. However many there are of
    one kind, they do not keep the others waiting.

    Args:
        threads: How many requests are worked on at once.
        hand_over: Gives a connection to the worker threads, which call its `service`.
        wake: Ends the wait of the I/O thread; called by worker threads.
        draining: Set while the server is stopping.
    """

    def __init__(
        self, threads: int, hand_over: Callable[[Any], None], wake: Callable[[], None], draining: threading.Event
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.free = threads + AT_HAND  # requests that worker threads take at the moment
        self.draining = draining
        self.unread = SharedBytes()
        self.dropped = 0  # for want of a place, of memory or of patience
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
        """How many have a request that is not read, answered and sent yet."""
        return sum(len(wait.since) for wait in (self.reading, self.working, self.sending))

    @property
    def has_answers(self) -> bool:
        """Whether worker threads have handed back anything."""
        return bool(self._answered)

    def hand_over(self, connection: Member) -> None:
        """Give a connection with a request to the worker threads."""
        self.free -= 1
        self._hand_over(connection)

    def line_up(self, connection: Member, *, is_first: bool, is_ahead: bool) -> None:
        """Let a connection wait until the worker threads take another request."""
        kind = self._ahead if is_ahead else self._first if is_first else self._known
        kind.append(connection)

    def hand_back(self, connection: Member) -> None:
        """Take a connection back from a worker thread."""
        self._answered.append(connection)
        self._wake()

    def send_answers(self) -> None:
        """Send what worker threads have answered, and give them more."""
        for _ in range(len(self._answered)):  # what comes while they are sent waits for the events in between
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
        """Refuse or close whatever has waited too long."""
        # The selector names a connection when much can be sent; who reads slowly makes room for little at a time. That
        # has to be seen soon: what was taken at the beginning of a stall would otherwise prolong it.
        for slow in tuple(self.sending.since):
            slow.send_more()
        now = time.monotonic()
        for wait in self._waits:
            while connection := wait.longest(now - wait.seconds):
                connection.expire()

    def make_room(self) -> bool:
        """Drop the connection that can best be spared. False if there is none."""
        latest = time.monotonic() - YOUNG_SECONDS
        for waits in ((self.lingering,), (self.idle,), (self.new, self.reading), (self.sending,)):
            longest = [(wait.since[one], one) for wait in waits if (one := wait.longest(latest))]
            if longest:
                min(longest, key=lambda pair: pair[0])[1].drop()
                return True
        return False

    def close_quiet(self, seconds: float) -> None:
        """Close each connection that has waited so long for a request, or for its client to close."""
        latest = time.monotonic() - seconds
        for wait in (self.new, self.idle, self.lingering):
            while connection := wait.longest(latest):
                connection.close()


class SharedBytes:
    """Measures texts that are held by somebody, each once however many hold it."""

    def __init__(self) -> None:
        self.size = 0
        self._holders: dict[int, int] = {}  # by identity

    def hold(self, text: bytes) -> None:
        """Measure a text."""
        holders = self._holders.get(id(text), 0)
        self._holders[id(text)] = holders + 1
        if not holders:
            self.size += len(text)

    def release(self, text: bytes) -> None:
        """Forget it, unless somebody else holds it."""
        holders = self._holders.pop(id(text)) - 1
        if holders:
            self._holders[id(text)] = holders
        else:
            self.size -= len(text)
