"""The clock of an exchange, read from the ``Date`` of its answers."""

from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic

from crypto_predict.market import EPOCH
from crypto_predict.sources.network.session import answered

_TOLERANCE = 3.0  # seconds; an estimate further ahead of a `Date` is wrong: a clock was set, or drifts


class AnswerClock:
    """The time of an exchange's clock to a fraction of a second. Several threads may share it.

    A ``Date`` is rounded down to a second, so the clock is at least at it when the answer arrives. Of all answers, the
    one that was rounded and delayed least is right for the others, too: the monotonic clock of this machine adds what
    has passed since. So the times of two answers in one second differ, and the later one is the later time.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None  # seconds since 1970 minus those of the monotonic clock
        self._lock = Lock()

    def arrived(self) -> datetime:
        """Return the time (UTC) of the answer that this thread has just received.

        Without any ``Date``, also on earlier answers, it is that of this machine's clock.
        """
        date, now = answered(), monotonic()
        with self._lock:
            if date is not None:
                ahead = (date - EPOCH).total_seconds() - now
                if self._ahead is None or not self._ahead - _TOLERANCE <= ahead <= self._ahead:
                    self._ahead = ahead
            return datetime.now(UTC) if self._ahead is None else EPOCH + timedelta(seconds=now + self._ahead)
