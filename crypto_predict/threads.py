"""Blocking work in daemon threads: a network that does not answer never keeps the process from ending."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread
from typing import TypeVar

Result = TypeVar("Result")


def started(work: Callable[[], Result], name: str) -> Future[Result]:
    """Begin `work` in a thread of its own, with the context variables of the caller."""
    outcome: Future[Result] = Future()
    outcome.set_running_or_notify_cancel()  # from now on nobody who waits can cancel it

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 raised again where the result is awaited
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    Thread(target=copy_context().run, args=(run,), name=name, daemon=True).start()
    return outcome


async def in_thread(work: Callable[[], Result], name: str) -> Result:
    """Return the result of `work`, or raise its error, while the event loop goes on.

    If the caller is cancelled, the work goes on and its result is dropped.
    """
    return await asyncio.wrap_future(started(work, name))


@contextmanager
def running(
    run: Callable[[Callable[[], object]], object],
    stop: Callable[[], object],
    failed: Callable[[], object],
    seconds: float,
    name: str,
) -> Iterator[None]:
    """Call `run` in a thread inside the context, which begins once `run` has called its argument.

    At the end `stop` is called, and `run` has so many seconds to return. If it fails inside the context, `failed` is
    called from its thread, and its error is raised at the end; an error before the context begins is raised at once.
    """
    begun = Event()

    def work() -> None:
        try:
            run(begun.set)
        except BaseException:
            if begun.is_set():
                failed()
            raise

    outcome = started(work, name)
    outcome.add_done_callback(lambda _: begun.set())
    begun.wait()
    try:
        if not outcome.done() or outcome.exception() is None:
            yield
    finally:
        stop()
        wait([outcome], seconds)
    if outcome.done():
        outcome.result()
