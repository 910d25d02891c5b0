"""Outages of exchanges and databases: how long to wait before the next attempt, and when to log one."""

import random
import time
from collections.abc import Callable
from math import inf
from threading import Lock


def backoff(failures: int, first: float, longest: float, least: float = 0.5) -> float:
    """Return the seconds until the next attempt after so many failures in a row before this one.

    They double from `first` to `longest`, and are drawn at random between the share `least` and all of that, so that
    many programs do not come back at the same moment.
    """
    most = min(longest, first * 2 ** min(failures, 20))
    return random.uniform(least * most, most)  # noqa: S311 when to try again, not a secret


class Outage:
    """Whether something is away, and since when. Safe to share between threads.

    An outage is logged where it begins, where its reason changes and where it ends, and few times in between: callers
    log if `failed` returns true, and if `over` returns a time.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic, reminded: float = inf) -> None:
        """Begin without an outage; one that lasts is logged again after `reminded` seconds of the clock `seconds`."""
        self.failures = 0  # in a row
        self._seconds, self._reminded = seconds, reminded
        self._reason = ""
        self._began = self._logged = 0.0
        self._lock = Lock()

    @property
    def lasts(self) -> float:
        """The seconds since the first failure; 0 without an outage."""
        with self._lock:
            return self._seconds() - self._began if self.failures else 0.0

    def failed(self, reason: str = "") -> bool:
        """Count a failure; return whether it is to be logged."""
        with self._lock:
            now = self._seconds()
            is_new = not self.failures or reason != self._reason or now - self._logged >= self._reminded
            if not self.failures:
                self._began = now
            self.failures += 1
            if is_new:
                self._reason, self._logged = reason, now
            return is_new

    def over(self) -> float | None:
        """Note a success; return how many seconds the outage lasted, None if there was none."""
        with self._lock:
            if not self.failures:
                return None
            self.failures = 0
            return self._seconds() - self._began
