"""The time that a command waits by: a port, so that a quarter of an hour of waiting is tested in no time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time and lets it pass."""

    def now(self) -> float:
        """Seconds since some moment in the past; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return once so many seconds have passed."""
        ...


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SkippingClock:
    """A clock for tests, on which time passes only while somebody sleeps, and that at once."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """The seconds slept so far."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the time pass without waiting."""
        self._now += seconds
