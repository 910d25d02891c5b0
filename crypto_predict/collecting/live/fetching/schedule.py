"""What is fetched from one source, and when."""

from dataclasses import dataclass
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


@dataclass(slots=True)
class _Job:
    due: float  # seconds on the clock
    is_running: bool = False
    again: float | None = None  # when it is due after it has run, if it was planned while it ran
    failures: int = 0  # in a row


class Schedule:
    """The jobs of one source, one of each kind for each series. Safe to share between threads.

    While the source is away, one thread asks it and the others wait. All durations are seconds of the market.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[Kind, dict[SeriesKey, _Job]] = {kind: {} for kind in Kind}
        self._changed = Condition()
        self._is_closed = False
        self._failures = 0  # of the source, in a row
        self._away_until = 0.0
        self._running = 0  # jobs

    def plan(self, kind: Kind, series: SeriesKey, delay: float = 0.0) -> None:
        """Let a job be done after `delay`, or sooner if it is planned sooner."""
        with self._changed:
            due = self._clock.monotonic() + delay
            job = self._jobs[kind].setdefault(series, _Job(due))
            job.due = min(job.due, due)
            if job.is_running:
                job.again = due if job.again is None else min(job.again, due)
            self._changed.notify_all()

    def drop(self, series: SeriesKey) -> None:
        """Forget the jobs of a series."""
        with self._changed:
            for jobs in self._jobs.values():
                jobs.pop(series, None)

    def has(self, kind: Kind, series: SeriesKey) -> bool:
        """Return whether such a job is planned or running."""
        with self._changed:
            return series in self._jobs[kind]

    def first(self, kind: Kind) -> tuple[float, SeriesKey | None]:
        """Return the time until the first job of this kind may begin, and its series.

        Infinity and None without one, and while another thread finds out whether the source is back.
        """
        with self._changed:
            if self._failures and self._running:
                return inf, None
            idle = [(job.due, series) for series, job in self._jobs[kind].items() if not job.is_running]
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
                    self._jobs[kind][series].is_running = True
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
            job = self._jobs[kind].get(series)
            grown = backoff(0 if job is None else job.failures, *FAILED, least=1.0)
            self._end(kind, series, grown if delay is None else delay, failed=True)

    def source_failed(self, kind: Kind, series: SeriesKey, at_least: float) -> None:
        """Note that a job could not be done because the source is away, and asks to wait `at_least` so long."""
        with self._changed:
            wait = max(at_least, backoff(self._failures, *WAITS))
            self._failures += 1
            self._away_until = self._clock.monotonic() + wait
            job = self._jobs[kind].get(series)
            # Another job finds out next: the source may be away for this series alone.
            own = backoff(0 if job is None else job.failures, *WAITS)
            self._end(kind, series, max(wait, own), failed=True)

    def close(self) -> None:
        """Let all threads that wait, and those that will, get None."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _end(self, kind: Kind, series: SeriesKey, delay: float, *, failed: bool) -> None:
        self._running -= 1
        self._changed.notify_all()
        job = self._jobs[kind].get(series)
        if job is None or not job.is_running:  # it was dropped meanwhile, and perhaps planned anew
            return
        job.is_running = False
        job.failures = job.failures + 1 if failed else 0
        job.due = self._clock.monotonic() + delay
        if job.again is not None:
            job.due, job.again = (job.due if failed else min(job.due, job.again)), None
