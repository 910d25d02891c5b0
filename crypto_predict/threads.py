"""Blocking work in daemon threads: a network that does not answer never keeps the process from ending."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
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
