"""The pool of connections: time limits, scheduling of requests, and eviction."""

import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

REQUEST_SECONDS = 10.0  # from the first byte of a request to its last, and from a new connection to its first byte
STALL_SECONDS = 10.0  # in which the client takes no byte of an answer
IDLE_SECONDS = 120.0  # between two requests; less where another connection needs the place
LINGER_SECONDS = 2.0  # for a client to read the last answer and close
QUIET_SECONDS = 0.25  # all that an idle connection has when the server stops: a request may still be on its way
TURN_SECONDS = 1.0  # that a request waits for its turn at something slow
MOST_WAITING = 500  # requests for a turn
YOUNG_SECONDS = 0.05  # a connection that has waited for less is not dropped to make room

UNREAD_BYTES = 8 * 2**20  # of unsent answers to slow readers, over all connections
AT_HAND = 2  # requests queued in advance, so that a worker thread need not wait for the I/O thread


class Member(Protocol):
    """What a pool uses of a connection."""

    is_slow: bool  # its request may keep a worker thread for long

    def give_up(self) -> None:
        """Have the request answered without its turn."""

    def answered(self) -> None:
        """Send what a worker thread has written."""

    def send(self) -> None:
        """Send more of an answer, if that is possible."""

    def refuse(self, status: int, detail: str) -> None:
        """Refuse a request that is not complete."""

    def close(self) -> None:
        """Close, whatever it is waiting for."""


# Connections that wait for one thing, and since when by the monotonic clock. The longest wait is first.
Wait = dict[Member, float]


class SharedBytes:
    """The total size of byte strings, counted by reference: one that several connections hold counts once."""

    def __init__(self) -> None:
        self.size = 0
        self._holders: dict[int, int] = {}  # references by identity

    def hold(self, texts: Iterable[bytes]) -> None:
        """Add a reference to each text."""
        for text in texts:
            holders = self._holders.get(id(text), 0)
            self._holders[id(text)] = holders + 1
            if not holders:
                self.size += len(text)

    def release(self, texts: Iterable[bytes]) -> None:
        """Remove a reference to each text."""
        for text in texts:
            self._holders[id(text)] -= 1
            if not self._holders[id(text)]:
                del self._holders[id(text)]
                self.size -= len(text)


class Pool:
    """All connections, by what they wait for. Only the I/O thread changes them.

    Requests wait in queues that are served in turn: first requests of a connection, later ones, pipelined ones and slow
    ones. So however long one queue is, the others go on. Half of the threads at most are given to requests that may be
    slow, such as those of a database: the others wait for a turn before they are queued, and keep no thread meanwhile.
    One that waits for longer than `TURN_SECONDS`, or beyond `MOST_WAITING` others, is answered without a turn. `start`
    gives a connection to the worker threads, which call its `service` and then `wake`, to end the wait of the I/O
    thread. `draining` is set while the server is stopping.
    """

    def __init__(
        self, threads: int, start: Callable[[Any], None], wake: Callable[[], None], draining: threading.Event
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.draining = draining
        self.unread = SharedBytes()
        self.dropped = 0  # connections, for a time limit or to free a place or memory
        self.new: Wait = {}  # for a first request
        self.reading: Wait = {}  # for the rest of a request
        self.working: Wait = {}  # for a worker thread
        self.sending: Wait = {}  # for the client to read
        self.idle: Wait = {}  # for the next request
        self.lingering: Wait = {}  # for the client to close
        self._waits = (self.new, self.reading, self.working, self.sending, self.idle, self.lingering)
        self._free = threads + AT_HAND  # requests that can be started at the moment
        self._turns = max(1, threads // 2)  # of slow requests, that are left
        self._waiting = deque[Member]()  # for a turn
        self._start = start
        self._wake = wake
        self.answered = deque[Member]()  # handed back by worker threads
        self._queues = deque(deque[Member]() for _ in range(4))
        self._first, self._later, self._pipelined, self._slow = self._queues

    def __len__(self) -> int:
        return sum(map(len, self._waits))

    @property
    def busy(self) -> int:
        """Return how many connections have a request whose answer has not been sent."""
        return len(self.reading) + len(self.working) + len(self.sending)

    def schedule(self, connection: Member, *, is_first: bool, is_pipelined: bool) -> None:
        """Queue a connection with a request for a worker thread."""
        if connection.is_slow:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(connection)
                return
            connection.give_up()
        queue = self._pipelined if is_pipelined else self._first if is_first else self._later
        queue.append(connection)

    def hand_back(self, connection: Member) -> None:
        """Take a connection back from a worker thread."""
        self.answered.append(connection)
        self._wake()

    def work(self) -> None:
        """Send the answers of worker threads, and start queued requests."""
        for _ in range(len(self.answered)):  # later ones are sent after the next events
            self._free += 1
            connection = self.answered.popleft()
            self._turns += connection.is_slow
            connection.answered()
            while self.unread.size > UNREAD_BYTES and (slowest := _longest(self.sending)):
                self._drop(slowest)
        while self._waiting and self._turns > 0:
            self._turns -= 1
            self._slow.append(self._waiting.popleft())
        while self._free > 0 and any(self._queues):
            self._queues.rotate()
            if self._queues[0]:
                self._free -= 1
                self._start(self._queues[0].popleft())

    def expire(self) -> None:
        """Refuse or close the connections whose time limit has passed."""
        # The selector reports a socket as writable only when much of its buffer is free, so a slow reader would look
        # stalled. Trying often also keeps bytes taken before a stall from counting as progress during it.
        for slow in tuple(self.sending):
            slow.send()
        now = time.monotonic()
        while connection := _longest(self.reading, now - REQUEST_SECONDS):
            connection.refuse(408, f"a request must be complete {REQUEST_SECONDS:.0f} s after its first byte")
        while self._waiting and self.working.get(self._waiting[0], 0.0) <= now - TURN_SECONDS:  # 0: it has closed
            connection = self._waiting.popleft()
            connection.give_up()
            self._later.append(connection)
        while connection := _longest(self.sending, now - STALL_SECONDS):
            self._drop(connection)
        most = QUIET_SECONDS if self.draining.is_set() else IDLE_SECONDS
        for wait, seconds in ((self.new, REQUEST_SECONDS), (self.idle, IDLE_SECONDS), (self.lingering, LINGER_SECONDS)):
            while connection := _longest(wait, now - min(seconds, most)):
                connection.close()

    def make_room(self) -> bool:
        """Drop the connection that can best be spared. Return whether one could be dropped."""
        latest = time.monotonic() - YOUNG_SECONDS
        for waits in ((self.lingering,), (self.idle,), (self.new, self.reading), (self.sending,)):
            longest = [(wait[connection], connection) for wait in waits if (connection := _longest(wait, latest))]
            if longest:
                self._drop(min(longest, key=lambda pair: pair[0])[1])
                return True
        return False

    def _drop(self, connection: Member) -> None:
        self.dropped += 1
        connection.close()


def _longest(wait: Wait, latest: float = float("inf")) -> Member | None:
    """Return the connection that has waited longest, if it began to wait at `latest` or before."""
    for connection, since in wait.items():
        return connection if since <= latest else None
    return None
