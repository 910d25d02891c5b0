"""Live collecting as a process: signals, and an end within three seconds."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from crypto_predict.command_line import DONE, FAILED, INTERRUPTED

ENDING = 2.8  # seconds after a signal: then the process ends, whatever still waits for a network


class Ending:
    """The end by SIGTERM (exit code 0) or SIGINT (130). A second signal ends the process at once.

    Use it in the main thread. Before `when_asked` was called, a signal is a `KeyboardInterrupt`.
    """

    def __init__(self, last_words: Callable[[], None]) -> None:
        self.code = DONE  # of a run that ends now
        self._last_words = last_words  # writes the log before the process ends by force
        self._stop: Callable[[], None] | None = None
        self._is_asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def when_asked(self, stop: Callable[[], None]) -> None:
        """Call `stop` from the handler of the first signal."""
        self._stop = stop

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._is_asked:
            os._exit(self.code or FAILED)
        self._is_asked = True
        self.code = INTERRUPTED if number == signal.SIGINT else DONE
        timer = threading.Timer(ENDING, self._end)
        timer.daemon = True
        timer.start()
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop()

    def _end(self) -> None:
        self._last_words()
        os._exit(self.code)
