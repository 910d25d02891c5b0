"""The clock that live collecting goes by."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The time of the market, by default that of this machine. A faster one lets a test live through days.

    All durations are seconds of the market.
    """

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        self.speed = speed  # seconds of the market in one second of this machine
        self._start = start  # UTC, at construction; None: follow the clock of the system, also when it is set
        self._began = time.monotonic()

    def now(self) -> datetime:
        """Return the current time in UTC. It may jump, since clocks are set."""
        if self._start is None:
            return datetime.now(UTC)
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return the seconds since construction, which never jump."""
        return (time.monotonic() - self._began) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """Return ``asyncio.timeout`` after so many seconds."""
        return asyncio.timeout(seconds / self.speed)
