"""A clock that stands still until it is moved, and clocks of processes that agree with one of a test."""

import argparse
import time
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


def clock_options(clock: Clock) -> list[str]:
    """Return the options from which `read_clock` makes a clock that agrees with this one."""
    return ["--start", clock.now().isoformat(), "--at", str(time.time()), "--speed", str(clock.speed)]


def read_clock() -> tuple[Clock, list[str]]:
    """Return the clock of this process, and its other arguments.

    It showed ``--start`` when this machine's showed ``--at``, in seconds since 1970, and is ``--speed`` times as fast.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--start", type=datetime.fromisoformat)
    parser.add_argument("--at", type=float)
    parser.add_argument("--speed", type=float)
    traits, others = parser.parse_known_args()
    passed = timedelta(seconds=(time.time() - traits.at) * traits.speed)
    return Clock(traits.start + passed, traits.speed), others
