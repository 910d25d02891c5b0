"""What one history may still take of a source, and the rate limit of an exchange."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from crypto_predict.errors import SourceError
from crypto_predict.sources.exchange import Bounds

RESERVE = 5  # one fifth of every budget is left to requests that are not patient

_patient: ContextVar[bool] = ContextVar("patient", default=False)


@contextmanager
def patiently() -> Iterator[None]:
    """Leave a fifth of every rate budget to the requests outside of this context, which then hardly wait for it."""
    token = _patient.set(True)
    try:
        yield
    finally:
        _patient.reset(token)


class Allowance:
    """What one history may still take of `source`. A `SourceError` names the setting of the bound that is exceeded."""

    def __init__(self, source: str, bounds: Bounds) -> None:
        self._source, self._bounds = source, bounds
        self._end = time.monotonic() + bounds.seconds
        self._candles = 0

    def seconds(self) -> float:
        """Return the seconds that are left, more than 0."""
        left = self._end - time.monotonic()
        if left <= 0:
            reason = f"it took longer than {self._bounds.seconds} s for one history, of which {self._candles:,} candles"
            raise SourceError(self._source, f"{reason} came; SOURCE_SECONDS allows more")
        return left

    def take(self, candles: int) -> None:
        """Count candles that were received."""
        self._candles += candles
        if self._candles > self._bounds.candles:
            reason = f"it sent more than {self._bounds.candles:,} candles for one history"
            raise SourceError(self._source, f"{reason}; SOURCE_CANDLES allows more")


class RateBudget:
    """Limit the weight of the requests that begin in any `seconds`. Several threads may share it.

    Requests that begin `patiently` use four fifths of the weight at most, of which the others take what they need.
    """

    def __init__(
        self,
        weight: int,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._weight, self._seconds = weight, seconds
        self._spent: deque[tuple[float, int]] = deque()  # seconds on the clock and weight, oldest first
        self._lock = Lock()
        self._clock, self._sleep = clock, sleep

    def spend(self, weight: int = 1, most: Callable[[], float] = lambda: math.inf) -> None:
        """Wait until a request of `weight` may begin, and count it; `most` returns the longest sleep in seconds."""
        while (wait := self._wait_or_spend(weight)) > 0:
            self._sleep(min(wait, most()))

    def counted(self, weight: int) -> None:
        """Count what the exchange has counted in addition: other programs may share this machine's address."""
        with self._lock:
            now = self._clock()
            if (others := weight - self._used(now)) > 0:
                self._spent.append((now, others))

    def _wait_or_spend(self, weight: int) -> float:
        """Count the request and return 0, or return the seconds until the oldest request is forgotten."""
        with self._lock:
            now = self._clock()
            reserved = self._weight // RESERVE if _patient.get() else 0
            if self._used(now) + weight > self._weight - reserved and self._spent:
                return self._spent[0][0] + self._seconds - now
            self._spent.append((now, weight))
            return 0

    def _used(self, now: float) -> int:
        """Forget the requests whose time is over, and return the weight of the others."""
        while self._spent and self._spent[0][0] + self._seconds <= now:
            self._spent.popleft()
        return sum(weight for _, weight in self._spent)
