"""How every exchange is asked: how long, how often, how fast, and when to give up.

`RetryPolicy` repeats a question whose answer failed in a way that may pass: no connection, silence, 429, 5xx, an answer
that is not in the exchange's format. Any other refusal is final at once. `Pace` keeps below an exchange's limit on
requests, and `Allowance` bounds what one history may take. Whatever fails for good becomes a `SourceError`.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import stamina

from crypto_predict.errors import SourceError
from crypto_predict.settings import SourceSettings

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)
logging.getLogger("stamina").setLevel(logging.ERROR)  # `back_off` tells of each retry, and why


class Failure(Exception):
    """One attempt failed, for a `reason` that a person understands and that holds no key.

    It never leaves the sources: `RetryPolicy.run` turns it into a `SourceError`.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool,
        retry_after: float | None = None,
        becomes: type[SourceError] = SourceError,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again  # whether another attempt may succeed
        self.becomes = becomes  # what it is when it stays
        self.retry_after = retry_after  # seconds the exchange asked to wait; None: it did not ask


@dataclass(frozen=True, slots=True)
class Limits:
    """What an exchange allows."""

    page: int  # candles in one answer
    per_minute: int  # requests in any 60 seconds


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to wait, when to ask again and when to give up. Every time is in seconds.

    One question ends after `attempts * answer_timeout + (attempts - 1) * longest_retry_after` at the latest: seven
    minutes unless set otherwise, against an exchange that uses up every bound there is. A silent one is given up
    after two.
    """

    attempts: int = 4  # the first one included
    first_wait: float = 0.5  # doubled after each attempt; up to as much again is added at random
    longest_wait: float = 8.0
    longest_retry_after: float = 60.0  # an exchange that asks for more is given up, since asking earlier earns a ban
    connect_timeout: float = 3.0
    read_timeout: float = 30.0  # without a single byte
    answer_timeout: float = 60.0  # for the whole answer, however slowly it drips

    def within(self, seconds: float) -> RetryPolicy:
        """This policy for so many seconds: no single wait is longer."""
        return replace(
            self,
            longest_wait=min(self.longest_wait, seconds),
            longest_retry_after=min(self.longest_retry_after, seconds),
        )

    def run(self, source: str, ask: Callable[[], Answer]) -> Answer:
        """Give what `ask` gives, asking again as this policy says.

        Raises:
            SourceError: `ask` raised a `Failure` that is final, or one too many; of the kind that the failure names.
        """
        tried = 0
        try:
            for attempt in stamina.retry_context(
                on=self.back_off,
                attempts=self.attempts,
                timeout=None,  # bounded by attempts, each of which is bounded in time
                wait_initial=self.first_wait,
                wait_max=self.longest_wait,
                wait_jitter=self.first_wait,
            ):
                with attempt:
                    tried = attempt.num
                    return ask()
        except Failure as failure:
            raise failure.becomes(source, self._reason(failure, tried)) from failure
        raise AssertionError("unreachable: the last attempt returns or raises")

    def back_off(self, error: Exception) -> bool | float:
        """What follows a failed attempt: False, give up; True, wait as usual; a number, wait so many seconds."""
        if not isinstance(error, Failure) or not error.again or self._asks_too_much(error):
            return False
        _log.warning("an attempt failed: %s", error.reason)
        return True if error.retry_after is None else max(error.retry_after, self.first_wait)

    def _asks_too_much(self, failure: Failure) -> bool:
        return failure.retry_after is not None and failure.retry_after > self.longest_retry_after

    def _reason(self, failure: Failure, tried: int) -> str:
        if failure.again and self._asks_too_much(failure):
            wish, most = failure.retry_after, self.longest_retry_after
            return f"{failure.reason}; it asks to wait {wish:g} s, longer than the {most:g} s this program waits"
        return f"{failure.reason} (tried {tried} times)" if tried > 1 else failure.reason


class Allowance:
    """What one history may still take of the source called `source`: time, and candles.

    Raises:
        SourceError: From any method, when the time is over or there are more candles; it names the setting.
    """

    def __init__(self, source: str, settings: SourceSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._settings = settings
        self._clock = clock
        self._end = clock() + settings.seconds
        self._candles = 0

    def seconds(self) -> float:
        """The seconds that are left, more than 0."""
        left = self._end - self._clock()
        if left <= 0:
            most = self._settings.seconds
            reason = f"it took longer than {most} s for one history, of which {self._candles:,} candles came"
            raise SourceError(self._source, f"{reason}; SOURCE_SECONDS allows more")
        return left

    def take(self, candles: int) -> None:
        """Count so many candles more."""
        self._candles += candles
        if self._candles > self._settings.candles:
            reason = f"it sent more than {self._settings.candles:,} candles for one history"
            raise SourceError(self._source, f"{reason}; SOURCE_CANDLES allows more")


class Pace:
    """Lets at most `per_minute` requests begin in any 60 seconds; for one thread."""

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._begun: deque[float] = deque(maxlen=per_minute)  # seconds on the clock, oldest first
        self._clock = clock
        self._sleep = sleep

    def wait(self, most: Callable[[], float] = lambda: math.inf) -> None:
        """Return as soon as a request may begin, and count it; `most` seconds are slept at once, or it raises."""
        while len(self._begun) == self._begun.maxlen and (left := self._begun[0] + 60 - self._clock()) > 0:
            self._sleep(min(left, most()))
        self._begun.append(self._clock())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a ``Retry-After`` header asks to wait; None where there is none that can be understood.

    A date is compared with the answer's own ``Date``, so that a wrong clock on either side does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    due = _http_date(text)
    if due is None:
        return None
    asked = _http_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (due - asked).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
