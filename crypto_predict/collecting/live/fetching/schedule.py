"""What is fetched from one source, and when."""

from collections import Counter
from enum import Enum
from math import inf
from threading import Condition

from crypto_predict.market import SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.outages import backoff

FAILED = (5.0, 300.0)  # seconds until a series is asked for again after an error of its own, and the most after many
WAITS = (1.0, 20.0)  # seconds before a source that was away is asked again: doubled, and at random


class Kind(Enum):
    """The part of a series that a job fetches. Each kind has its own threads, so that none waits for another one."""

    TAIL = "the newest end of a series"
    HISTORY = "what is missing before, and gaps"


_Job = tuple[Kind, SeriesKey]


class Schedule:
    """The jobs of one source, one of each kind for each series. Safe to share between threads.

    While the source is away, one thread asks it and the others wait. All durations are seconds of the market.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[_Job, float] = {}  # seconds on the clock
        self._busy: set[_Job] = set()
        self._again: dict[_Job, float] = {}  # when jobs are due that were planned while they ran
        self._failed: Counter[_Job] = Counter()  # times in a row
        self._changed = Condition()
        self._is_closed = False
        self._failures = 0  # of the source, in a row
        self._away_until = 0.0
        self._running = 0  # jobs

    def plan(self, kind: Kind, series: SeriesKey, delay: float = 0.0) -> None:
        """Let a job be done after `delay`, or sooner if it is planned sooner."""
        with self._changed:
            due = self._clock.monotonic() + delay
            job = kind, series
            self._due[job] = min(self._due.get(job, due), due)
            if job in self._busy:
                self._again[job] = min(self._again.get(job, due), due)
            self._changed.notify_all()

    def drop(self, series: SeriesKey) -> None:
        """Forget the jobs of a series."""
        with self._changed:
            for job in [(kind, series) for kind in Kind]:
                self._busy.discard(job)
                for table in (self._due, self._again, self._failed):
                    table.pop(job, None)

    def has(self, kind: Kind, series: SeriesKey) -> bool:
        """Return whether such a job is planned or running."""
        with self._changed:
            return (kind, series) in self._due

    def first(self, kind: Kind) -> tuple[float, SeriesKey | None]:
        """Return the time until the first job of this kind may begin, and its series.

        Infinity and None without one, and while another thread finds out whether the source is back.
        """
        with self._changed:
            if self._failures and self._running:
                return inf, None
            idle = [(due, job[1]) for job, due in self._due.items() if job[0] is kind and job not in self._busy]
            due, series = min(idle, key=lambda job: job[0], default=(inf, None))
            return max(0.0, max(due, self._away_until) - self._clock.monotonic()), series

    def next(self, kind: Kind) -> SeriesKey | None:
        """Wait for the job of this kind that is due first, and return its series; None once the schedule is closed.

        The caller must report its end with `done` or `failed`.
        """
        with self._changed:
            while not self._is_closed:
                delay, series = self.first(kind)
                if series is not None and not delay:
                    self._busy.add((kind, series))
                    self._running += 1
                    return series
                self._changed.wait(None if delay == inf else delay / self._clock.speed)
            return None

    def done(self, kind: Kind, series: SeriesKey, delay: float) -> None:
        """Note that a job was done; it is due again after `delay`."""
        with self._changed:
            self._failures, self._away_until = 0, 0.0
            self._end(kind, series, delay, failed=False)

    def failed(self, kind: Kind, series: SeriesKey, delay: float | None = None) -> None:
        """Note that a job could not be done because of its series or the database; it is due again after `delay`.

        Without one, that grows with each failure in a row.
        """
        with self._changed:
            grown = backoff(self._failed[kind, series], *FAILED, least=1.0)
            self._end(kind, series, grown if delay is None else delay, failed=True)

    def source_failed(self, kind: Kind, series: SeriesKey, at_least: float) -> None:
        """Note that a job could not be done because the source is away, and asks to wait `at_least` so long."""
        with self._changed:
            wait = max(at_least, backoff(self._failures, *WAITS))
            self._failures += 1
            self._away_until = self._clock.monotonic() + wait
            # Another job finds out next: the source may be away for this series alone.
            own = backoff(self._failed[kind, series], *WAITS)
            self._end(kind, series, max(wait, own), failed=True)

    def close(self) -> None:
        """Let all threads that wait, and those that will, get None."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _end(self, kind: Kind, series: SeriesKey, delay: float, *, failed: bool) -> None:
        self._running -= 1
        self._changed.notify_all()
        job = kind, series
        if job not in self._busy:  # it was dropped meanwhile, and perhaps planned anew
            return
        self._busy.remove(job)
        self._failed[job] = self._failed[job] + 1 if failed else 0
        due, again = self._clock.monotonic() + delay, self._again.pop(job, inf)
        self._due[job] = due if failed else min(due, again)
