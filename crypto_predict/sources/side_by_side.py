"""Questions at the same time.

Results and log lines come in the order of the questions, whichever is answered first. The threads see the context of
their caller: its deadlines (`session.answer_within`), and whether it is patient (`limits.patiently`).
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextvars import ContextVar
from typing import TypeVar

from crypto_predict.threads import started

Result = TypeVar("Result")

_PACKAGE = __name__.partition(".")[0]
_job: ContextVar[int | None] = ContextVar("job", default=None)  # the number of the one that this thread does


class _OrderedLines(logging.Handler):
    """Passes the records of this package on to the root logger, those of a job after those of the jobs before it."""

    def __init__(self, jobs: int) -> None:
        super().__init__()
        self._records: list[list[logging.LogRecord] | None] = [[] for _ in range(jobs)]  # None: they pass

    def emit(self, record: logging.LogRecord) -> None:
        number = _job.get()
        waiting = None if number is None else self._records[number]
        if waiting is None:
            logging.getLogger().handle(record)
        else:
            waiting.append(record)

    def pass_on(self, number: int) -> None:
        """Pass on the records of a job, and those that come later at once."""
        self.acquire()
        try:
            for record in self._records[number] or ():
                logging.getLogger().handle(record)
            self._records[number] = None
        finally:
            self.release()


def side_by_side(
    jobs: Sequence[Callable[[], Result]], at_once: int, done: Callable[[], object] = lambda: None
) -> list[Future[Result]]:
    """Do the jobs, so many at once, and return their outcomes. `done` is called here after each, in their order.

    The log lines of a job are held until the jobs before it have ended. An interrupt ends this at once; jobs that have
    not begun by then never do.
    """
    outcomes = [Future[Result]() for _ in jobs]
    waiting = deque(range(len(jobs)))
    package, lines = logging.getLogger(_PACKAGE), _OrderedLines(len(jobs))

    def work() -> None:
        while True:
            try:
                number = waiting.popleft()
            except IndexError:
                return
            _job.set(number)
            try:
                outcomes[number].set_result(jobs[number]())
            except BaseException as error:  # noqa: BLE001 raised again where the result is taken
                outcomes[number].set_exception(error)

    package.addHandler(lines)
    package.propagate = False
    try:
        for _ in range(min(at_once, len(jobs))):
            started(work, "question")
        for number, outcome in enumerate(outcomes):
            lines.pass_on(number)
            wait([outcome])
            done()
    finally:
        waiting.clear()
        package.propagate = True
        package.removeHandler(lines)
    return outcomes
