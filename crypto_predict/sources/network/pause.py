"""When an exchange that has refused this machine may be asked again: one time for each exchange in this process.

An exchange counts the requests of an address, whatever they are for: a history, the newest candles, the top of the
book, a pair that is added. So all of them keep the same pause: every `BoundedSession`, and the handshakes of streams.
"""

import http.client
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import NamedTuple

from crypto_predict.market import EPOCH
from crypto_predict.sources.network.retry import RetryPolicy, retry_after

TOO_MANY, BANNED, BLOCKED = 429, 418, 403  # the last one by a firewall, for the address of this machine
# The first pause where the exchange does not give one, and the longest; each refusal in a row doubles it. Both are
# multiples of `RetryPolicy.first_pause`.
_DEFAULTS = {TOO_MANY: (1, 12), BANNED: (24, 51_840), BLOCKED: (12, 720)}
_IN_A_ROW = 120.0  # seconds after a pause in which another refusal follows it
REFUSALS = frozenset(_DEFAULTS)
_OF_ADDRESS = frozenset({BANNED, BLOCKED})  # of this machine, its handshakes included
LONGEST = 259_200.0  # seconds, the longest ban of Binance: more is not believed
_ALONE = 30.0  # seconds for which others wait for the answer to the first question after a pause
_PRODUCTION = RetryPolicy()


class Refused(NamedTuple):
    """An exchange must not be asked now."""

    seconds: float  # that are left, more than 0
    status: int  # of the refusal
    until: datetime  # UTC, by the clock of this machine when the refusal came

    @property
    def answer(self) -> str:
        """The status with its name."""
        return f"{self.status} {http.client.responses[self.status]}"

    def __str__(self) -> str:
        return f"is not asked before {self.until:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(slots=True)
class _Kind:
    """What is known of requests, or of handshakes."""

    end: float = -math.inf  # seconds on the monotonic clock
    newest: tuple[int, datetime] = (0, EPOCH)  # status and `Refused.until`
    row: int = 0  # refusals


class Pause:
    """The pause of one exchange. Several threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._first, self._is_doubtful = Lock(), False  # no answer has come since the newest refusal of a request
        self._kinds = {False: _Kind(), True: _Kind()}  # of requests, and of handshakes of streams

    def refused(
        self, status: int, headers: Mapping[str, str], first: float = _PRODUCTION.first_pause, *, stream: bool = False
    ) -> None:
        """Note an answer whose `status` is one of `REFUSALS`: to a request, or to the handshake of a `stream`.

        A 429 concerns either requests or handshakes, which are limited apart. `first` are the seconds of the first
        pause after a 429 without ``Retry-After``.
        """
        given = retry_after(headers)
        with self._lock:
            kind, now = self._kinds[stream], time.monotonic()
            if now >= kind.end:  # otherwise the request was under way when the first refusal came
                kind.row = kind.row + 1 if now < kind.end + _IN_A_ROW else 1
            if given is None:
                multiple, most = _DEFAULTS[status]
                given = first * min(multiple * 2.0 ** min(kind.row - 1, 20), most)
            end = now + min(given, LONGEST)
            until = datetime.now(UTC) + timedelta(seconds=end - now)
            self._is_doubtful = self._is_doubtful or not stream or status in _OF_ADDRESS
            for concerned in self._kinds.values() if status in _OF_ADDRESS else (kind,):
                if end > concerned.end:
                    concerned.end, concerned.newest = end, (status, until)

    @contextmanager
    def question(self, seconds: float) -> Iterator[Refused | None]:
        """Ask inside the context, unless it gives why the exchange must not be asked.

        The first question after a pause goes alone: the exchange may refuse again. Others wait for its answer, at most
        so many `seconds`.
        """
        goes_first = self.now() is None and self._is_doubtful and self._first.acquire(timeout=min(seconds, _ALONE))
        try:
            if goes_first and not self._is_doubtful:  # another one was answered meanwhile
                self._first.release()
                goes_first = False
            yield self.now()
        finally:
            if goes_first:
                self._first.release()

    def answered(self) -> None:
        """Note that a request was not refused."""
        self._is_doubtful = False

    def now(self, *, stream: bool = False) -> Refused | None:
        """Return why the exchange must not be asked now, or connected to for a `stream`; None if it may be."""
        with self._lock:
            end, newest = self._kinds[stream].end, self._kinds[stream].newest
        left = end - time.monotonic()
        return Refused(left, *newest) if left > 0 else None


_pauses: dict[str, Pause] = {}  # by host; of the process, because an exchange knows no smaller unit


def pause_of(host: str) -> Pause:
    """Return the pause of the exchange whose requests go to this host and port."""
    return _pauses.setdefault(host, Pause())  # atomic, as `defaultdict` is not


def forget(host: str) -> None:
    """Forget the pause of an exchange, in whose place another server answers."""
    _pauses.pop(host, None)
