"""When to wait, when to ask an exchange again, and when to give up."""

import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from crypto_predict.errors import SourceError
from crypto_predict.outages import backoff

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)
_noticed: ContextVar[Callable[[], object]] = ContextVar("noticed", default=lambda: None)


@contextmanager
def noticing_trouble(notice: Callable[[], object]) -> Iterator[None]:
    """Call `notice` for each attempt of this context that fails and is repeated."""
    token = _noticed.set(notice)
    try:
        yield
    finally:
        _noticed.reset(token)


@dataclass(eq=False)
class Failure(Exception):
    """One attempt failed. `RetryPolicy.run` turns it into a `SourceError`. The reason does not contain secrets."""

    reason: str
    again: bool = field(kw_only=True)  # whether another attempt may succeed
    retry_after: float | None = field(kw_only=True, default=None)  # seconds that the exchange asks to wait
    becomes: type[SourceError] = field(kw_only=True, default=SourceError)  # raised after the last attempt
    pair_is_unknown: bool = field(kw_only=True, default=False)  # the exchange does not have the pair
    most: int | None = field(kw_only=True, default=None)  # attempts, if fewer than those of the policy make sense


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How one request to an exchange is repeated. Every time is in seconds.

    Attempts fail in ways that may pass: no connection, silence, 429, 5xx, an answer in another format. Other refusals
    are final. The waits that the exchange asks for take at most `longest_retry_after` together, since another exchange
    answers sooner.
    """

    attempts: int = 4  # the first one included
    first_wait: float = 0.5  # doubled after each attempt; up to as much again is added at random
    longest_wait: float = 8.0
    longest_retry_after: float = 60.0  # give up if an exchange asks for more: asking earlier earns a ban
    first_pause: float = 5.0  # after 429 without Retry-After; see `pause`
    connect_timeout: float = 3.0
    read_timeout: float = 30.0  # without a single byte
    answer_timeout: float = 60.0  # for the whole answer

    def run(self, source: str, ask: Callable[[], Answer], seconds: Callable[[], float] = lambda: math.inf) -> Answer:
        """Return what `ask` returns. Repeat it after a `Failure` that may pass, within the `seconds` that are left.

        After a final failure, or the last attempt, the error that the failure names is raised.
        """
        attempt, waited = 0, 0.0  # seconds, as the exchange asked
        while True:
            attempt += 1
            try:
                return ask()
            except Failure as failure:
                wait, longest = failure.retry_after, min(self.longest_retry_after - waited, max(0.0, seconds()))
                is_last = not failure.again or attempt >= (failure.most or self.attempts)
                if is_last or (wait or 0.0) > longest or longest <= 0:
                    raise _given_up(failure, source, attempt, longest) from failure
                _log.warning("an attempt failed: %s", failure.reason)
            _noticed.get()()
            if wait is None:
                pause = min(backoff(attempt, self.first_wait, self.longest_wait), max(self.first_wait, seconds()))
            else:
                pause = max(wait, self.first_wait)
                waited += wait
            time.sleep(pause)


def _given_up(failure: Failure, source: str, attempts: int, longest: float) -> SourceError:
    """Return the error after the last attempt, when the exchange could have asked for `longest` seconds."""
    reason = f"{failure.reason} (tried {attempts} times)" if attempts > 1 else failure.reason
    if failure.again and failure.retry_after is not None and failure.retry_after > longest:
        wait = f"it asks to wait {math.ceil(failure.retry_after)} s, longer than the {longest:.3g} s"
        reason = f"{failure.reason}; {wait} this program waits"
    return failure.becomes(source, reason)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait; None if it is missing or malformed.

    A date is compared with the ``Date`` of the answer, so that a wrong clock on either side does not matter.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    due, answered = http_date(text), http_date(headers.get("Date", "")) or datetime.now(UTC)
    return None if due is None else max(0.0, (due - answered).total_seconds())


def http_date(text: str) -> datetime | None:
    """Return the time (UTC) of a header such as ``Date``; None if it is malformed."""
    try:
        instant = parsedate_to_datetime(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
