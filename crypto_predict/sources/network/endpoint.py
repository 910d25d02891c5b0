"""One request to an exchange, and its repetitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from crypto_predict.errors import SourceError, Unreachable
from crypto_predict.sources.network.limits import Allowance, RateBudget
from crypto_predict.sources.network.retry import Failure, RetryPolicy
from crypto_predict.sources.network.session import answer_within, host_of, seconds_left
from crypto_predict.sources.network.wire import Malformed

Answer = TypeVar("Answer")


class Endpoint:
    """Requests to one exchange, repeated as `policy` allows, within its rate budget. Several threads may share it."""

    def __init__(self, source: str, url: str, budget: RateBudget, policy: RetryPolicy) -> None:
        self._source, self._host = source, host_of(url)
        self._budget, self._policy = budget, policy

    def ask(
        self, send: Callable[[], object], read: Callable[[object], Answer], allowance: Allowance, weight: int = 1
    ) -> Answer:
        """Return what `read` makes of the answer that `send` returns.

        `send` makes one request of `weight` with a `BoundedSession` and returns the JSON, None if the answer is empty.
        `read` raises `Malformed` if the answer is not in the exchange's format.

        Raises:
            SourceError: The exchange cannot be reached, refuses or sends another format, or `allowance` is used up.
        """
        try:
            with answer_within(allowance.seconds()):
                return self._policy.run(
                    self._source, lambda: self._ask_once(send, read, allowance, weight), seconds_left
                )
        except SourceError:
            allowance.seconds()  # names the bound if that is what was exceeded
            raise

    def _may_wait(self, allowance: Allowance) -> float:
        """Return the seconds for which the rate budget may be waited for."""
        allowance.seconds()  # raises with the name of the bound
        if (seconds := seconds_left()) > 0:
            return seconds
        reason = f"{self._host} is asked as often as it allows already; try again in a minute"
        raise Failure(reason, again=False, becomes=Unreachable)

    def _ask_once(
        self, send: Callable[[], object], read: Callable[[object], Answer], allowance: Allowance, weight: int
    ) -> Answer:
        """Ask once. A `Failure` is a refusal, a missing answer, or one in another format."""
        self._budget.spend(weight, most=lambda: self._may_wait(allowance))
        answer: object = None
        try:
            answer = send()
            if answer is None:
                raise Malformed("an empty answer")
            return read(answer)
        except Malformed as error:
            fault = str(error)
        except (ValueError, RecursionError):  # from reading JSON; errors of HTTP are a Failure already
            fault = "no JSON, perhaps a page of a proxy in between"
        format_ = f"{self._source.capitalize()}'s format"
        reason = f"{self._host} answered 200, but not in {format_}: {fault}; try later or another source"
        raise Failure(reason, again=True, becomes=Unreachable if answer is None else SourceError)
