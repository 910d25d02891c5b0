"""A clock that stands still until it is moved."""

from datetime import datetime, timedelta

from crypto_predict.market.clock import Clock


class MovedClock(Clock):
    """A clock that a test moves. The time of the machine may be set apart from it."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.elapsed = 0.0  # seconds
        self.wrong_by = timedelta(0)  # the time of the machine

    def move_to(self, moment: datetime) -> None:
        """Move forward to a moment, by the right time."""
        assert self._start is not None
        self.elapsed = max(self.elapsed, (moment - self._start).total_seconds())

    def now(self) -> datetime:
        """Return the time of the machine."""
        return super().now() + self.wrong_by

    def monotonic(self) -> float:
        """Return the seconds by which the clock was moved."""
        return self.elapsed
