"""A clock that stands still until it is moved, and programs whose clock agrees with one of a test.

``python -m tests.support.clocks api --start 2024-05-17T12:00:00+00:00 --at EPOCH --speed 600 ...`` is ``api.py ...``
with such a clock: it showed ``--start`` when this machine's showed ``--at``, in seconds since 1970, and is ``--speed``
times as fast.
"""

import argparse
import os
import sys
import time
from datetime import datetime, timedelta
from pkgutil import resolve_name

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


def program_at(clock: Clock, program: str) -> list[str]:
    """Return the arguments of Python for ``api``, ``collect`` or ``train`` with a clock that agrees with this one."""
    options = ["--start", clock.now().isoformat(), "--at", str(time.time()), "--speed", str(clock.speed)]
    return ["-m", "tests.support.clocks", program, *options]


def main() -> int:
    """Run the program that the arguments name; return its exit code."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("program")
    parser.add_argument("--start", type=datetime.fromisoformat)
    parser.add_argument("--at", type=float)
    parser.add_argument("--speed", type=float)
    traits, others = parser.parse_known_args()
    passed = timedelta(seconds=(time.time() - traits.at) * traits.speed)
    return int(resolve_name(f"{traits.program}:main")(others, os.environ, Clock(traits.start + passed, traits.speed)))


if __name__ == "__main__":
    sys.exit(main())
