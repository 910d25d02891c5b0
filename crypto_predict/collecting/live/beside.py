"""A live collector in a thread, beside a server in the same process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crypto_predict.collecting.live.collector import Collector
from crypto_predict.collecting.live.process import ENDING


@contextmanager
def running(collector: Collector, failed: Callable[[], object]) -> Iterator[None]:
    """Run the collector inside the context, which begins once its database is reserved, and stop it at the end.

    If it fails later, `failed` is called from its thread, and its error is raised at the end of the context.

    Raises:
        SeriesHeld, UnusableHistory, InvalidValue, DatabaseError: As `Collector.run`.
    """
    begun, errors = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            collector.run(begun.set)
        except BaseException as error:  # noqa: BLE001 raised again below
            errors.append(error)
            if begun.is_set():
                failed()
        begun.set()

    thread = threading.Thread(target=run, name="collector", daemon=True)
    thread.start()
    begun.wait()
    try:
        if not errors:
            yield
    finally:
        collector.stop()
        thread.join(ENDING)
    if errors:
        raise errors[0]
