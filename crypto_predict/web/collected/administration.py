"""Changes of what is collected, for clients that know the token of the administrator."""

import hmac
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from hashlib import sha256
from ipaddress import IPv6Network
from threading import Lock, Thread
from typing import TypeVar

from crypto_predict.errors import InvalidValue, SourceError, UnusableHistory, shown
from crypto_predict.market import Pair
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import PairRegistry
from crypto_predict.settings import TOKEN_BYTES, masked
from crypto_predict.web.collected.database import WAIT_SECONDS, Overloaded
from crypto_predict.web.http.problems import Problem

WINDOW_SECONDS = 60.0  # in which wrong tokens are counted
MOST_WRONG, MOST_WRONG_OF_ALL = 10, 100  # tokens in a window, of one address and of all
MOST_TRUSTED = 100  # addresses that are remembered
LATER_SECONDS = 30  # until a change that failed is tried again
MOST_SECONDS = 35.0  # that a change may take; exchanges are asked meanwhile

T = TypeVar("T")
Connect = Callable[[], AbstractContextManager[PairRegistry]]  # opens the registry for one change


def unauthorized(*, is_wrong: bool) -> Problem:
    """Return the problem of a token that is missing, or is not that of the administrator."""
    missing = "this request needs the header Authorization: Bearer TOKEN"
    challenge = 'Bearer realm="pairs"' + ', error="invalid_token"' * is_wrong  # RFC 6750, section 3
    detail = "the token of this request is wrong" if is_wrong else missing
    return Problem(401, detail, headers=[("WWW-Authenticate", challenge)])


def too_many_guesses(seconds: int) -> Problem:
    """Return the problem of too many wrong tokens; for these seconds no more are compared."""
    detail = f"too many wrong tokens: none is accepted from this address for {seconds} s"
    return Problem(429, detail, retry_seconds=seconds)


def not_traded(pair: Pair, reasons: Sequence[str]) -> Problem:
    """Return the problem of a pair that no source has, for these reasons."""
    return Problem(422, f"pair: {shown(str(pair))} cannot be collected: {'; '.join(reasons)}", "pair")


def exchange_unavailable(reason: str) -> Problem:
    """Return the problem of a source that could not be asked whether it has a pair."""
    detail = f"the exchange could not be asked, so nothing was changed: {reason}"
    return Problem(503, detail, retry_seconds=LATER_SECONDS)


class Administration:
    """The changes that an administrator may make, one at a time. Safe to share between threads.

    Tokens cannot be guessed: in `WINDOW_SECONDS` an address may be wrong `MOST_WRONG` times, and all together
    `MOST_WRONG_OF_ALL` times, except addresses that have sent the right token before: an attack from elsewhere does not
    lock the administrator out. The address is that of the connection, which a client cannot choose as it can
    ``X-Forwarded-For``.
    """

    def __init__(
        self,
        token: str,
        connect: Connect,
        most_seconds: float = MOST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._digest = sha256(os.fsencode(token)).digest()
        self._connect, self._most_seconds, self._clock = connect, most_seconds, clock
        self._idle = Lock()
        self._lock = Lock()  # guards the fields below
        self._ends_at = 0.0  # the window
        self._wrong = Counter[str]()  # of this window, by network
        self._trusted: dict[str, None] = {}  # networks, the oldest first

    def check(self, authorization: str | None, address: str | None) -> None:
        """Raise a `Problem` if a header field ``Authorization`` is not right, or `address` may not guess at the moment.

        The time that this takes does not depend on how much of the token is right.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorized(is_wrong=False)
        given = token.strip(" ").encode("latin-1", "replace")  # the bytes that were sent, as WSGI passes them
        network, now = _network(address or ""), self._clock()
        with self._lock:
            if now >= self._ends_at:
                self._wrong.clear()
                self._ends_at = now + WINDOW_SECONDS
            too_many = self._wrong.total() >= MOST_WRONG_OF_ALL and network not in self._trusted
            if too_many or self._wrong[network] >= MOST_WRONG:
                raise too_many_guesses(math.ceil(self._ends_at - now))
            # Of digests, so that the comparison does not reveal the length of the token either.
            if len(given) > TOKEN_BYTES or not hmac.compare_digest(sha256(given).digest(), self._digest):
                self._wrong[network] += 1
                raise unauthorized(is_wrong=True)
            self._trusted[network] = None
            if len(self._trusted) > MOST_TRUSTED:
                del self._trusted[next(iter(self._trusted))]

    def add(self, pair: Pair, source: str | None = None, since: datetime | None = None) -> CollectedSeries:
        """Collect a pair since an instant (UTC), from the first source that has it unless one is named.

        If none has it or can be asked, or it takes too long, raise a `Problem`; of an unknown `source`, `InvalidValue`.
        """
        try:
            return self._change(lambda registry: registry.add(pair, source, since))
        except UnusableHistory as error:
            raise not_traded(pair, [masked(fault) for fault in error.faults]) from error
        except SourceError as error:
            raise exchange_unavailable(masked(str(error))) from error

    def remove(self, pair: Pair, source: str | None = None) -> Sequence[CollectedSeries]:
        """Stop collecting a pair, from every source unless one is named; without its series raise `InvalidValue`."""
        return self._change(lambda registry: registry.remove(pair, source))

    def _change(self, change: Callable[[PairRegistry], T]) -> T:
        """Make a change in a thread of its own, which does not keep the program from ending."""
        if not self._idle.acquire(timeout=WAIT_SECONDS):
            raise Overloaded
        outcome = Future[T]()

        def work() -> None:
            try:
                with ExitStack() as stack:
                    try:
                        registry = stack.enter_context(self._connect())
                    except InvalidValue as error:  # a setting of this server, not a member of the request
                        raise exchange_unavailable(masked(str(error))) from error
                    outcome.set_result(change(registry))
            except BaseException as error:  # noqa: BLE001 raised in the thread that waits
                outcome.set_exception(error)
            finally:
                self._idle.release()

        Thread(target=work, name="administration", daemon=True).start()
        try:
            return outcome.result(self._most_seconds)
        except TimeoutError as error:
            detail = f"this takes longer than {self._most_seconds:.0f} seconds and may still be done: ask again"
            raise Problem(503, detail, retry_seconds=LATER_SECONDS) from error


def _network(address: str) -> str:
    """Return the network of a client: it can choose among all addresses of IPv6 with the same first 64 bits."""
    if ":" not in address:
        return address
    return str(IPv6Network((address.partition("%")[0], 64), strict=False))
