"""Training again and again: at once, then at each multiple of an interval, on the UTC clock.

Each training is a process of its own. Its memory is given back, and neither a crash of a library nor the end of all
memory ends the repetition. It ends with this process: its standard input is a pipe that this process holds open.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from crypto_predict.baked import schedule
from crypto_predict.baked.files import locked
from crypto_predict.baked.schedule import Failure, Schedule, schedule_beside
from crypto_predict.command_line import BAD_ARGUMENTS, DONE, FAILED, INTERRUPTED, REFUSED
from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH
from crypto_predict.market.clock import Clock
from crypto_predict.settings import masked
from crypto_predict.wording import duration

ATTEMPT = "TRAINING_ATTEMPT"  # variable of the process of one training: the instant at which it began, in UTC
# A thousand programs must not ask an exchange in the same second. The share is that of the interval.
SPREAD, SHARE = timedelta(minutes=5), 0.05
# From a failure to the next attempt; doubled with each failure, up to the most.
LEAST_WAIT, MOST_WAIT = timedelta(seconds=30), timedelta(hours=1)
LOOK = 60.0  # seconds between two looks at the clock, which may be set, or stand still while a machine sleeps
POLL = 0.1  # seconds from one look at a training to the next
ENDING = 2.0  # seconds that a training has after SIGTERM to remove its temporary files
# The gate refuses the same prices again within minutes; an exchange that was away may have other ones. The first wait
# after a refusal is that after so many other failures.
_REFUSAL = 5
INCOMPLETE = 75  # the exit code of a training that found no collected pairs: a new collector has not named them yet
EARLY = 5  # trainings in a row that soon follow such a one
_ERROR = "train.py: error: "
_FORMAT = "%Y-%m-%d %H:%M:%S UTC"
_TAIL = 16_384  # bytes of the log of a training in which its error is looked for

LIMIT = 3600.0  # seconds of this machine that a training may take; 36 pairs take a fifth of it

Attempt = Callable[[datetime], Awaitable[tuple[int, str]]]  # from its beginning to its exit code and why it failed

_log = logging.getLogger(__name__)


def repeat(  # noqa: PLR0913, PLR0917 a training, and how it is repeated
    every: timedelta,
    model: Path,
    command: Sequence[str],
    environ: Mapping[str, str],
    clock: Clock,
    limit: float = LIMIT,
) -> int:
    """Train until SIGTERM (exit code 0) or SIGINT (130) comes, also in the middle of a training; return the exit code.

    Each training is a `command` with this `environ` that writes the `model`, within `limit` seconds of this machine.
    If already the first attempt ends with 2, the arguments are wrong, and that is the exit code. Any other failure
    leaves the earlier model in place and is tried again. The schedule beside the model is written after each attempt,
    and removed at the end: nobody plans a training then.
    """
    path = schedule_beside(model)

    async def run() -> int:
        signals: list[int] = []  # the exit codes that they mean
        task = asyncio.create_task(_forever(every, path, partial(_attempt, model, command, environ, limit), clock))

        def end(code: int) -> None:
            signals.append(code)
            task.cancel()

        for number, code in ((signal.SIGTERM, DONE), (signal.SIGINT, INTERRUPTED)):
            asyncio.get_running_loop().add_signal_handler(number, end, code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        try:
            return await task
        except asyncio.CancelledError:
            _log.info("the training is not repeated any more")
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return signals[0]

    return asyncio.run(run())


async def _forever(every: timedelta, path: Path, attempt: Attempt, clock: Clock) -> int:
    """Train, and wait for the next training; return only if the arguments are wrong. `path` is that of the schedule."""
    failures, early, is_first = 0, 0, True
    while True:
        begun = clock.now()
        _log.info("a training begins at %s", f"{begun:{_FORMAT}}")
        code, reason = await attempt(begun)
        now, failure = clock.now(), None
        next_at = next_training(now, every)
        if code in {DONE, INCOMPLETE}:
            early = early + 1 if code == INCOMPLETE else 0
            failures = 0
            if 0 < early <= EARLY:
                next_at = min(next_at, now + waiting(early))
            _log.info("the training has ended; the next one begins at %s", f"{next_at:{_FORMAT}}")
        elif code == BAD_ARGUMENTS and is_first:
            return BAD_ARGUMENTS
        else:
            failures += 1
            failure = Failure(now, reason)
            if code != BAD_ARGUMENTS:  # they are as wrong in a minute
                next_at = min(next_at, now + waiting(failures + (_REFUSAL if code == REFUSED else 0)))
            text = "the training has failed, and the earlier model stays: %s; the next attempt begins at %s"
            _log.warning(text, reason, f"{next_at:{_FORMAT}}")
        is_first = False
        try:
            schedule.write(Schedule(every, next_at, failure), path)
        except OSError as error:
            _log.warning("the schedule %s cannot be written: %s", error.filename, error.strerror)
        while (seconds := (next_at - clock.now()).total_seconds()) > 0:
            await clock.sleep(min(seconds, LOOK))


def next_training(now: datetime, every: timedelta) -> datetime:
    """Return the next multiple of `every` after `now` (UTC), counted from 1970, and a random delay after it."""
    delay = random.uniform(0.1, 1) * min(SPREAD, SHARE * every)  # noqa: S311 no secret; candles need a while to settle
    return EPOCH + ((now - EPOCH) // every + 1) * every + delay


def waiting(failures: int) -> timedelta:
    """Return the time from the last of so many failures in a row to the next attempt."""
    longest = min(MOST_WAIT, LEAST_WAIT * (1 << min(failures - 1, 20)))
    return random.uniform(0.5, 1) * longest  # noqa: S311 no secret


async def _attempt(
    model: Path, command: Sequence[str], environ: Mapping[str, str], limit: float, begun: datetime
) -> tuple[int, str]:
    """Train once, in a process whose log is passed on to standard error; return its exit code and why it failed."""
    try:
        with contextlib.suppress(OSError), locked(model, "--output"):
            pass  # a training whose trainer was killed holds it until it notices
    except InvalidValue as error:
        return FAILED, str(error)
    try:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 it begins at once; it is this program again
            command,
            env={**environ, ATTEMPT: begun.isoformat()},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal interrupts this process, which ends the training
        )
    except OSError as error:
        return FAILED, f"the process of the training cannot be started: {error.strerror}"
    tail = bytearray()
    reading = threading.Thread(target=_pass_on, args=(process, tail), name="log", daemon=True)
    reading.start()
    try:
        async with asyncio.timeout(limit):
            while process.poll() is None:  # noqa: ASYNC110 asyncio waits for pipes that others may hold, too
                await asyncio.sleep(POLL)
        reading.join(1)  # a process that the training has left behind may keep the pipe open
    except TimeoutError:
        return FAILED, f"it took longer than {duration(timedelta(seconds=limit))}"
    finally:
        _end(process)
    code = process.returncode
    return code, "" if code in {DONE, INCOMPLETE} else reason_of(code, bytes(tail).decode("utf-8", "replace"))


def _pass_on(process: subprocess.Popen[bytes], tail: bytearray) -> None:
    """Write the log of a training to standard error as it comes, and keep its end in `tail`."""
    if process.stderr is None:
        return
    with process.stderr as log:
        while data := os.read(log.fileno(), 2**16):
            with contextlib.suppress(OSError):  # nobody reads it any more
                sys.stderr.buffer.write(data)
                sys.stderr.flush()
            tail += data
            del tail[:-_TAIL]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a training and whatever it has started, if it still runs, and close its pipe."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is not None:
        return
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDING)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def reason_of(code: int, log: str) -> str:
    """Return why a training has failed, in one line without secrets, from its exit code and the end of its log."""
    if code < 0:
        of_memory = ", perhaps since the memory of the machine was used up" if code == -signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{of_memory}"
    _, marker, message = log.rpartition(_ERROR)
    if not marker:  # a defect, whose traceback ends with the error
        message = log.rstrip().rpartition("\n")[2]
    return masked(" ".join(message.split()))[: schedule.MOST_REASON] or f"its process has ended with {code}"


def end_with_trainer() -> None:
    """In the process of a training: end like after SIGTERM as soon as the trainer has ended, however it ended.

    SIGTERM is handled like Ctrl-C, so that temporary files are removed. A second SIGTERM must not interrupt that.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGTERM, interrupt)

    def wait() -> None:
        while os.read(0, 2**10):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ENDING)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="trainer", daemon=True).start()
