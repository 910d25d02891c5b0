"""Processes that train pairs side by side.

A worker gets a pair, answers with its outcome, and gets the next. It ends with this process, however that ends. One
that dies is replaced, and its pair is tried once more.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from tqdm import tqdm

from crypto_predict.errors import CryptoPredictError
from crypto_predict.market import Pair
from crypto_predict.training.fleet.progress import Outcome

ATTEMPTS = 2  # at a pair whose worker dies

Train = Callable[[Pair], Outcome]
Answer = Outcome | CryptoPredictError | OSError

_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the threads and locks of libraries
_log = logging.getLogger(__name__)


class _Worker:
    """A process, and the pair that it trains."""

    def __init__(self, train: Train) -> None:
        self.pair: Pair | None = None
        self.connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, train), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, pair: Pair) -> None:
        """Have a pair trained."""
        self.pair = pair
        with suppress(BrokenPipeError):  # it has died, which its answer shows
            self.connection.send(pair)

    def answer(self) -> Answer | None:
        """Return the outcome of its pair, or the error that stops all; None if it has died."""
        try:
            answer: Answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return None
        self.pair = None
        return answer

    def end(self) -> str:
        """End the process with those that it has started; return in words how it ended."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.ident or 0, signal.SIGKILL)
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"its worker has ended with {code}"
        of_memory = ", perhaps since the memory of the machine was used up" if code == -signal.SIGKILL else ""
        return f"its worker was ended by {signal.Signals(-code).name}{of_memory}"


def side_by_side(
    train: Train, pairs: Sequence[Pair], workers: int, lost: Callable[[Pair, str], Outcome]
) -> Iterator[tuple[Pair, Outcome]]:
    """Yield each pair with its outcome as they come; `train` is pickled, and called in one of so many processes.

    A pair whose worker dies `ATTEMPTS` times gets the outcome that `lost` returns for it and the reason. Closing the
    iterator ends all workers.

    Raises:
        CryptoPredictError: Of `train`, which ends all.
        OSError: The same, or a process cannot be started.
    """
    waiting, deaths, crew = deque(pairs), Counter[Pair](), list[_Worker]()
    try:
        while waiting or any(worker.pair for worker in crew):
            while waiting and len(crew) < workers:
                crew.append(_Worker(train))
            for worker in crew:
                if worker.pair is None and waiting:
                    worker.begin(waiting.popleft())
            ready = wait([worker.connection for worker in crew if worker.pair])
            for worker in [worker for worker in crew if worker.connection in ready]:
                pair, answer = worker.pair, worker.answer()
                if isinstance(answer, Exception):
                    raise answer
                if answer is None and pair is not None:
                    crew.remove(worker)
                    answer = _after_death(pair, worker.end(), deaths, waiting, lost)
                if answer is not None and pair is not None:
                    yield pair, answer
    finally:
        for worker in crew:
            worker.end()


def _after_death(
    pair: Pair, reason: str, deaths: Counter[Pair], waiting: deque[Pair], lost: Callable[[Pair, str], Outcome]
) -> Outcome | None:
    """Have the pair of a dead worker tried again; return its outcome if that was the last attempt."""
    deaths[pair] += 1
    if deaths[pair] == ATTEMPTS:
        return lost(pair, f"{reason}, {ATTEMPTS} times")
    _log.warning("%s: %s; it is tried again", pair, reason)
    waiting.append(pair)
    return None


def _work(connection: Connection, train: Train) -> None:
    """Train pairs until the process that asks for them ends. A defect of the program ends the worker."""
    os.setpgrp()  # Ctrl-C in a terminal interrupts the process that asks, which ends its workers
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own one is shared with other processes
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    with suppress(EOFError):
        while True:
            pair = connection.recv()
            try:
                answer: Answer = train(pair)
            except (CryptoPredictError, OSError) as error:
                answer = error
            connection.send(answer)


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)
