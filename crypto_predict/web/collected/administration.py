"""Changes of what is collected, for clients that know the token of the administrator."""

import hashlib
import hmac
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from http import HTTPStatus
from ipaddress import IPv6Network
from threading import Lock, Thread
from typing import TypeVar

from crypto_predict.errors import InvalidValue, SourceError, UnusableHistory, shown
from crypto_predict.market import Pair
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import PairRegistry
from crypto_predict.settings import TOKEN_BYTES, masked
from crypto_predict.web.collected.database import WAIT_SECONDS, Overloaded
from crypto_predict.web.http.errors import WebError
from crypto_predict.web.http.response import Headers

WINDOW_SECONDS = 60.0  # in which wrong tokens are counted
MOST_WRONG, MOST_WRONG_OF_ALL = 10, 100  # tokens in a window, of one address and of all
MOST_TRUSTED = 100  # addresses that are remembered
LATER_SECONDS = 30  # until a change that failed is tried again
MOST_SECONDS = 35.0  # that a change may take; up to three exchanges are asked meanwhile

T = TypeVar("T")
Connect = Callable[[], AbstractContextManager[PairRegistry]]  # opens the registry for one change


class AdministrationOff(WebError):
    """This service does not change what is collected."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self) -> None:
        super().__init__(
            "pairs cannot be changed here: the server has no token in ADMIN_TOKEN, or not the packages of collect.py"
        )


class Unauthorized(WebError):
    """The token is missing, or is not that of the administrator (`is_wrong`)."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, *, is_wrong: bool) -> None:
        super().__init__(
            "the token of this request is wrong"
            if is_wrong
            else "this request needs the header Authorization: Bearer TOKEN"
        )
        self._error = ', error="invalid_token"' if is_wrong else ""  # RFC 6750, section 3

    @property
    def headers(self) -> Headers:
        """What kind of token is expected."""
        return [("WWW-Authenticate", f'Bearer realm="pairs"{self._error}')]


class TooManyGuesses(WebError):
    """Too many wrong tokens have come, from this address or from all; for `retry_seconds` no more are compared."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"too many wrong tokens: none is accepted from this address for {retry_seconds} s")
        self.retry_seconds = retry_seconds


class NotTraded(WebError):
    """No source has `pair`, for these `reasons`."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    parameter = "pair"

    def __init__(self, pair: Pair, reasons: Sequence[str]) -> None:
        super().__init__(f"pair: {shown(str(pair))} cannot be collected: {'; '.join(reasons)}")


class ExchangeUnavailable(WebError):
    """The source could not be asked whether it has a pair, because of `reason`."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_seconds = LATER_SECONDS

    def __init__(self, reason: str) -> None:
        super().__init__(f"the exchange could not be asked, so nothing was changed: {reason}")


class Unfinished(WebError):
    """A change takes too long; it may still be made."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_seconds = LATER_SECONDS

    def __init__(self, seconds: float) -> None:
        super().__init__(f"this takes longer than {seconds:.0f} seconds and may still be done: ask again")


class Guesses:
    """Limits how often a token can be guessed. Safe to share between threads.

    In `WINDOW_SECONDS` an address may be wrong `MOST_WRONG` times, and all together `MOST_WRONG_OF_ALL` times, except
    addresses that have sent the right token before: an attack from elsewhere does not lock the administrator out. The
    address is that of the connection, which a client cannot choose as it can ``X-Forwarded-For``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()  # guards the fields below
        self._ends_at = 0.0  # the window
        self._wrong = Counter[str]()  # of this window, by network
        self._trusted: dict[str, None] = {}  # networks, the oldest first

    def count(self, address: str, is_right: Callable[[], bool]) -> bool:
        """Return whether a token is right, and count it if it is not.

        Raises:
            TooManyGuesses: The token must not be looked at.
        """
        network, now = _network(address), self._clock()
        with self._lock:
            if now >= self._ends_at:
                self._wrong.clear()
                self._ends_at = now + WINDOW_SECONDS
            too_many = self._wrong.total() >= MOST_WRONG_OF_ALL and network not in self._trusted
            if too_many or self._wrong[network] >= MOST_WRONG:
                raise TooManyGuesses(math.ceil(self._ends_at - now))
            if is_right():
                self._trusted[network] = None
                if len(self._trusted) > MOST_TRUSTED:
                    del self._trusted[next(iter(self._trusted))]
                return True
            self._wrong[network] += 1
            return False


class Administration:
    """The changes that an administrator may make, one at a time. Safe to share between threads.

    `connect` opens the registry for one change, so that a database that was away needs no care.
    """

    def __init__(self, token: str, connect: Connect, most_seconds: float = MOST_SECONDS) -> None:
        self._digest = _digest(os.fsencode(token))
        self._connect = connect
        self._most_seconds = most_seconds
        self._idle = Lock()
        self._guesses = Guesses()

    def check(self, authorization: str | None, address: str | None) -> None:
        """Check a header field ``Authorization``, in a time that does not depend on how much of the token is right.

        Raises:
            TooManyGuesses: The client at `address` may not guess at the moment; its token was not looked at.
            Unauthorized: It is missing, malformed or wrong.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(is_wrong=False)
        given = token.strip(" ").encode("latin-1", "replace")  # the bytes that were sent, as WSGI passes them

        def is_right() -> bool:
            return len(given) <= TOKEN_BYTES and hmac.compare_digest(_digest(given), self._digest)

        if not self._guesses.count(address or "", is_right):
            raise Unauthorized(is_wrong=True)

    def add(self, pair: Pair, source: str | None = None, since: datetime | None = None) -> CollectedSeries:
        """Collect a pair, from the first source that has it unless one is named, since an instant (UTC).

        Raises:
            DatabaseError: The database cannot be used.
            ExchangeUnavailable: The source could not be asked.
            InvalidValue: `source` is not one that is collected.
            NotTraded: No source has the pair.
            Overloaded, Unfinished: Another change is being made, or this one takes too long.
        """
        try:
            return self._change(lambda registry: registry.add(pair, source, since))
        except UnusableHistory as error:
            raise NotTraded(pair, [masked(fault) for fault in error.faults]) from error
        except SourceError as error:
            raise ExchangeUnavailable(masked(str(error))) from error

    def remove(self, pair: Pair, source: str | None = None) -> Sequence[CollectedSeries]:
        """Stop collecting a pair, by default from every source, and return the series that it had.

        Raises:
            DatabaseError: The database cannot be used.
            InvalidValue: The pair is not collected, or not from that source.
            Overloaded, Unfinished: Another change is being made, or this one takes too long.
        """
        return self._change(lambda registry: registry.remove(pair, source))

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


def _network(address: str) -> str:
    """Return the network of a client: it can choose among all addresses of IPv6 with the same first 64 bits."""
    if ":" not in address:
        return address
    return str(IPv6Network((address.partition("%")[0], 64), strict=False))


def _digest(token: bytes) -> bytes:
    """Return a digest, so that a comparison does not reveal the length of a token either."""
    return hashlib.sha256(token).digest()
