"""Changes of what is collected, for clients that know the token of the administrator."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from threading import Lock, Thread
from typing import TypeVar

from crypto_predict.errors import CryptoPredictError, InvalidValue, SourceError, UnusableHistory, shown
from crypto_predict.market import Pair
from crypto_predict.market.ports import CollectedSeries, PairRegistry
from crypto_predict.settings import TOKEN_BYTES, masked
from crypto_predict.web.collected.database import WAIT_SECONDS, Overloaded
from crypto_predict.web.collected.questions import NewPair, RemovedPair

MOST_SECONDS = 35.0  # that a change may take; up to three exchanges are asked meanwhile

T = TypeVar("T")
Connect = Callable[[], AbstractContextManager[PairRegistry]]  # opens the registry for one change


class AdministrationOff(CryptoPredictError):
    """This service does not change what is collected."""

    def __init__(self) -> None:
        super().__init__(
            "pairs cannot be changed here: the server has no token in ADMIN_TOKEN, or not the packages of collect.py"
        )


class Unauthorized(CryptoPredictError):
    """The token is missing, or is not that of the administrator (`is_wrong`)."""

    def __init__(self, *, is_wrong: bool) -> None:
        super().__init__(
            "the token of this request is wrong"
            if is_wrong
            else "this request needs the header Authorization: Bearer TOKEN"
        )
        self.is_wrong = is_wrong


class NotTraded(CryptoPredictError):
    """No source has `pair`, for these `reasons`."""

    def __init__(self, pair: Pair, reasons: Sequence[str]) -> None:
        super().__init__(f"pair: {shown(str(pair))} cannot be collected: {'; '.join(reasons)}")


class ExchangeUnavailable(CryptoPredictError):
    """The source could not be asked whether it has a pair, because of `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the exchange could not be asked, so nothing was changed: {reason}")


class Unfinished(CryptoPredictError):
    """A change takes too long; it may still be made."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"this takes longer than {seconds:.0f} seconds and may still be done: ask again")


class Administration:
    """The changes that an administrator may make, one at a time. Safe to share between threads.

    `connect` opens the registry for one change, so that a database that was away needs no care.
    """

    def __init__(self, token: str, connect: Connect, most_seconds: float = MOST_SECONDS) -> None:
        self._digest = _digest(os.fsencode(token))
        self._connect = connect
        self._most_seconds = most_seconds
        self._idle = Lock()

    def check(self, authorization: str | None) -> None:
        """Check a header field ``Authorization``, in a time that does not depend on how much of the token is right.

        Raises:
            Unauthorized: It is missing, malformed or wrong.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(is_wrong=False)
        given = token.strip(" ").encode("latin-1", "replace")  # the bytes that were sent, as WSGI passes them
        if len(given) > TOKEN_BYTES or not hmac.compare_digest(_digest(given), self._digest):
            raise Unauthorized(is_wrong=True)

    def add(self, question: NewPair) -> CollectedSeries:
        """Follow a pair.

        Raises:
            DatabaseError: The database cannot be used.
            ExchangeUnavailable: The source could not be asked.
            InvalidValue: `source` is not one that is collected.
            NotTraded: No source has the pair.
            Overloaded, Unfinished: Another change is being made, or this one takes too long.
        """
        try:
            return self._change(lambda registry: registry.add(*question))
        except UnusableHistory as error:
            raise NotTraded(question.pair, [masked(fault) for fault in error.faults]) from error
        except SourceError as error:
            raise ExchangeUnavailable(masked(str(error))) from error

    def remove(self, question: RemovedPair) -> Sequence[CollectedSeries]:
        """Stop collecting a pair, and return the series that it had.

        Raises:
            DatabaseError: The database cannot be used.
            InvalidValue: The pair is not collected, or not from that source.
            Overloaded, Unfinished: Another change is being made, or this one takes too long.
        """
        return self._change(lambda registry: registry.remove(*question))

    def _change(self, change: Callable[[PairRegistry], T]) -> T:
        """Make a change in a thread of its own, which does not keep the program from ending."""
        if not self._idle.acquire(timeout=WAIT_SECONDS):
            raise Overloaded
        outcome = Future[T]()

        def work() -> None:
            try:
                with ExitStack() as stack:
                    outcome.set_result(change(self._open(stack)))
            except BaseException as error:  # noqa: BLE001 raised in the thread that waits
                outcome.set_exception(error)
            finally:
                self._idle.release()

        Thread(target=work, name="administration", daemon=True).start()
        try:
            return outcome.result(self._most_seconds)
        except TimeoutError as error:
            raise Unfinished(self._most_seconds) from error

    def _open(self, stack: ExitStack) -> PairRegistry:
        try:
            return stack.enter_context(self._connect())
        except InvalidValue as error:  # a setting of this server, not a member of the request
            raise ExchangeUnavailable(masked(str(error))) from error


def _digest(token: bytes) -> bytes:
    """Return a digest, so that a comparison does not reveal the length of a token either."""
    return hashlib.sha256(token).digest()
