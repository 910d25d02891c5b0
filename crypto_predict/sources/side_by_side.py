"""Questions at the same time.

Results and log lines come in the order of the questions, whichever is answered first. The threads see the context of
their caller: its deadlines (`session.answer_within`), and whether it is patient (`limits.patiently`).
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TypeVar

from crypto_predict.threads import started

Result = TypeVar("Result")

_PACKAGE = __name__.partition(".")[0]


def side_by_side(
    jobs: Sequence[Callable[[], Result]], at_once: int, done: Callable[[], object] = lambda: None
) -> list[Future[Result]]:
    """Do the jobs, so many at once, and return their outcomes. `done` is called here after each, in their order.

    The log lines of a job are held until the jobs before it have ended. An interrupt ends this at once; jobs that have
    not begun by then never do.
    """
    outcomes = [Future[Result]() for _ in jobs]
    lines = [_Lines() for _ in jobs]
    waiting = deque(range(len(jobs)))

    def work() -> None:
        while True:
            try:
                number = waiting.popleft()
            except IndexError:
                return
            _lines.set(lines[number])
            _settle(jobs[number], outcomes[number])

    with _holding_lines():
        try:
            for _ in range(min(at_once, len(jobs))):
                started(work, "question")
            for outcome, line in zip(outcomes, lines, strict=True):
                line.release()
                wait([outcome])
                done()
        finally:
            waiting.clear()
    return outcomes


def _settle(work: Callable[[], Result], outcome: Future[Result]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001 raised again where the result is taken
        outcome.set_exception(error)


class _Lines:
    """The log lines of one job."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: list[logging.LogRecord] | None = []  # None: they pass

    def add(self, record: logging.LogRecord) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append(record)
                return
        logging.getLogger().handle(record)

    def release(self) -> None:
        with self._lock:
            for record in self._held or ():
                logging.getLogger().handle(record)
            self._held = None


_lines: ContextVar[_Lines | None] = ContextVar("lines", default=None)  # of the job that this thread does


class _Holder(logging.Handler):
    """Passes the records of this package on to the handlers of the root logger, those of jobs in their order."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _lines.get()
        if lines is None:
            logging.getLogger().handle(record)
        else:
            lines.add(record)


@contextmanager
def _holding_lines() -> Iterator[None]:
    package, holder = logging.getLogger(_PACKAGE), _Holder()
    if not package.propagate:  # the lines are held already: those of a job in a job are lines of the outer one
        yield
        return
    package.addHandler(holder)
    package.propagate = False
    try:
        yield
    finally:
        package.propagate = True
        package.removeHandler(holder)
