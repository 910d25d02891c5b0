"""A `requests` session with bounded answers and plain errors, for the SDK of any exchange."""

import http.client
import io
import json
import math
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import MAXYEAR, UTC, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ContentDecodingError, Timeout
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError

from crypto_predict.errors import RefusedKeys, SourceError, Unreachable
from crypto_predict.market import EPOCH
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.pause import REFUSALS, TOO_MANY, Refused, pause_of
from crypto_predict.sources.network.retry import Failure, RetryPolicy, http_date, retry_after
from crypto_predict.sources.network.wire import sanitizer

# A full page of 10,000 candles has 1.3 to 1.8 million bytes after decompression.
LONGEST_ANSWER = 4 * 2**20
# A full page has 180,000 of the bytes that begin or separate the values of JSON. An answer of nothing but {} would take
# 35 times its length in memory.
MOST_VALUES = 320_000

_CHUNK = 2**16  # bytes
_MAY_PASS = (requests.ConnectionError, Timeout, ChunkedEncodingError, ContentDecodingError)
_ADVICE = {
    401: "it requires keys, and none are set: use another source",
    403: "access is refused, perhaps because of your location: use another source",
    404: "nothing is at this address: check the address that is set for this exchange",
    407: "the proxy requires a password: check HTTPS_PROXY",
    418: "it has banned this machine for a while after too many requests: use another source",
    429: "too many requests: try again later",
    451: "it refuses requests from your location: use another source",
}
_REFUSALS_OF_PLACE = REFUSALS | {407, 451}  # for every request from this location
_TOLERANCE = 3.0  # seconds; an estimate further ahead of a `Date` is wrong: a clock was set, or drifts
_NAME_AGAIN = 1.0  # seconds until a name is looked up once more, if the first failure was temporary

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))  # seconds on the monotonic clock

_answered: ContextVar[datetime | None] = ContextVar("answered", default=None)


def answered() -> datetime | None:
    """Return when the exchange sent the last answer that this thread has received, by its ``Date``, in whole seconds.

    None if it does not say so, or if the answer was cached.
    """
    return _answered.get()


def seconds_left() -> float:
    """Return the seconds in which the answers in this context must have come."""
    return max(0.0, _deadline.get() - time.monotonic())


@contextmanager
def answer_within(seconds: float) -> Iterator[float]:
    """Bound the answers in this context: all together take at most `seconds`. Give the seconds that are left."""
    now = time.monotonic()
    token = _deadline.set(min(_deadline.get(), now + seconds))
    try:
        yield _deadline.get() - now
    finally:
        _deadline.reset(token)


class BoundedSession(requests.Session):
    """A session whose answers are complete, successful (2xx), JSON, and bounded in time and size.

    Everything else is a `Failure` that names the host. Several threads may share a session. Its messages mask the keys,
    and the passwords and user names in the address of the exchange and in those of proxies.

    Nothing is sent while the host has asked this process to wait, see `pause`. `received` is called with the headers of
    each answer, refusals included.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        policy: RetryPolicy,
        received: Callable[[Mapping[str, str]], object] = bool,
        unknown_pair: Collection[str] = (),
    ) -> None:
        """Ask what messages call `name`. `unknown_pair` as in `Exchange`."""
        super().__init__()
        self.dated: tuple[datetime, float] | None = None  # the newest answer with a time of the exchange's clock
        self._ahead = -math.inf  # of the exchange's clock: seconds since 1970 minus those of the monotonic clock
        self._lock = Lock()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _DeadlineAdapter())
        self._name, self._policy, self._received = name, policy, received
        self._unknown_pair = frozenset(unknown_pair)
        self._url = settings.api_url
        self._key_names = " and ".join(settings.keys)
        self._sanitize = sanitizer(settings.keys.values(), settings.api_url, *getproxies().values())

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send a request and read the whole answer."""
        host = host_of(str(url))
        with pause_of(host).question(seconds_left()) as refused:
            if refused is not None:
                raise _paused(host, refused)
            return self._ask(host, method, url, *args, **options)

    def now(self) -> datetime:
        """Return the time (UTC) of the exchange's clock, to a fraction of a second; at first that of this machine's.

        The later one of two calls returns the later time, also within a second.
        """
        with self._lock:
            ahead = self._ahead
        return datetime.now(UTC) if ahead == -math.inf else EPOCH + timedelta(seconds=time.monotonic() + ahead)

    def read(self, path: str, query: Mapping[str, str | int]) -> object:
        """Return the JSON of the answer of an exchange without an SDK: a refusal may have the status 200."""
        answer: object = self.get(f"{self._url}{path}", params=query).json()
        code, message = _refusal(answer)
        if code is not None:
            reason = f"{host_of(self._url)} refused with code {self._sanitize(str(code))}"
            unknown = self._pair_is_unknown(code, message)
            raise Failure(f'{reason} "{self._sanitize(str(message))}"', again=not unknown, pair_is_unknown=unknown)
        return answer

    def malformed(self, fault: str, becomes: type[SourceError] = SourceError) -> Failure:
        """Return the failure of an answer that is not in the exchange's format."""
        reason = f"{host_of(self._url)} answered 200, but not in {self._name}'s format: {fault}"
        return Failure(f"{reason}; try later or another source", again=True, becomes=becomes)

    def _ask(self, host: str, *args: Any, **options: Any) -> requests.Response:
        with answer_within(self._policy.answer_timeout) as seconds:
            try:
                response = self._fetch(host, *args, **options)
            # A malformed address of the exchange or of a proxy is a ValueError or, without a host, a TypeError.
            except (OSError, HTTPError, ValueError, TypeError) as error:
                # `from None`, because the error may contain the headers, and with them the keys.
                raise self._failed(host, error, seconds) from None
        # The answer of a cache was sent before. To the year 9999 nothing can be added.
        date = None if "Age" in response.headers else http_date(response.headers.get("Date", ""))
        date = None if date is None or date.year == MAXYEAR else date
        _answered.set(date)
        if date is not None:
            self._note(date, time.monotonic())
        self._received(response.headers)
        if response.status_code // 100 != 2:
            raise self._refused(host, response)
        pause_of(host).answered()
        if response.json() is None:
            is_empty = response.content.strip() in {b"", b"null"}
            fault = "an empty answer" if is_empty else "no JSON, perhaps a page of a proxy in between"
            raise self.malformed(fault, Unreachable)
        return response

    def _note(self, date: datetime, arrived: float) -> None:
        """Note the time of an answer, and when it arrived. The former is rounded down to a second.

        The exchange's clock is at least at it. The answer that was rounded and delayed least is right for the others.
        """
        ahead = (date - EPOCH).total_seconds() - arrived
        with self._lock:
            self.dated = date, arrived
            if not self._ahead - _TOLERANCE <= ahead <= self._ahead:
                self._ahead = ahead

    def _fetch(self, host: str, *args: Any, **options: Any) -> requests.Response:
        timeout = (self._policy.connect_timeout, self._policy.read_timeout)
        # A redirect could lead to any host; an answer that redirects is refused instead.
        bounded = {**options, "timeout": timeout, "stream": True, "allow_redirects": False}
        response = super().request(*args, **bounded)
        body = bytearray()
        with response:
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    raise Failure(f"{host} sent more than {LONGEST_ANSWER // 2**20} MiB in one answer", again=False)
        if sum(map(body.count, (b"{", b"[", b",", b":"))) > MOST_VALUES:
            raise Failure(f"{host} sent more than {MOST_VALUES:,} values in one answer", again=False)
        response._content = bytes(body)  # noqa: SLF001 requests has no public way to keep what was read in chunks
        # With Python's own module: `requests` prefers simplejson where it is installed, which refuses NaN.
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        response.json = lambda **_: answer  # type: ignore[method-assign]  # SDKs read it again
        return response

    def _failed(self, host: str, error: Exception, seconds: float) -> Failure:
        """Translate an error of requests, urllib3 or the operating system."""
        chain: list[BaseException] = [error]
        while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
            chain.append(cause)
        root = chain[-1]
        detail = self._sanitize(str(root))
        may_pass = isinstance(error, _MAY_PASS)
        if time.monotonic() >= _deadline.get():
            reason = f"did not finish its answer within {seconds:.3g} s"
        elif isinstance(error, ConnectTimeout):
            reason = f"did not accept a connection within {self._policy.connect_timeout:g} s; check the network"
        elif isinstance(error, Timeout) or isinstance(root, TimeoutError):
            reason = f"sent nothing for {self._policy.read_timeout:g} s"
        elif isinstance(error, ContentDecodingError):
            reason = "sent an answer that cannot be decompressed"
        elif any(isinstance(cause, NewConnectionError) for cause in chain):
            reason = f"cannot be reached: {detail}; check the network and the address"
        else:
            reason = f"did not deliver: {detail} ({type(root).__name__})"
        becomes = Unreachable if may_pass else SourceError
        if isinstance(root, socket.gaierror):
            # A name that does not exist will not in a second; where the network has just come up, it may.
            is_temporary = root.errno == socket.EAI_AGAIN
            wait = _NAME_AGAIN if is_temporary else None
            return Failure(f"{host} {reason}", again=is_temporary, retry_after=wait, becomes=becomes, most=2)
        return Failure(f"{host} {reason}", again=may_pass, becomes=becomes)

    def _refused(self, host: str, response: requests.Response) -> Failure:
        status = response.status_code
        reason = f"{host} answered {status} {http.client.responses.get(status, '')}".rstrip()
        code, message = _refusal(response.json())
        if message:
            reason += f' "{self._sanitize(message)}"'
        becomes: type[SourceError] = SourceError
        if self._key_names and status in {401, 403}:
            becomes = RefusedKeys
            reason += f": it does not accept the keys in {self._key_names}; correct them, or unset both"
        elif status // 100 == 3:
            reason += ": it has moved; check the address that is set for this exchange"
        elif status in _ADVICE:
            reason += f": {_ADVICE[status]}"
        if becomes is SourceError and (status in _REFUSALS_OF_PLACE or status >= 500):
            becomes = Unreachable
        wait = retry_after(response.headers)
        if becomes is Unreachable and status in REFUSALS:
            pause_of(host).refused(status, response.headers, self._policy.first_pause)
            if (refused := pause_of(host).now()) is not None:
                return _paused(host, refused, reason)
        again, unknown = status == TOO_MANY or status >= 500, self._pair_is_unknown(code, message)
        return Failure(reason, again=again, retry_after=wait, becomes=becomes, pair_is_unknown=unknown)

    def _pair_is_unknown(self, code: object, message: str | None) -> bool:
        return not self._unknown_pair.isdisjoint({str(code), message})


def _paused(host: str, refused: Refused, reason: str | None = None) -> Failure:
    """Return the failure of a request that is not sent, or was refused for a `reason`.

    A limit on requests soon passes; a ban does not.
    """
    text = f"{reason}; it {refused}" if reason else f"{host} {refused}: it has answered {refused.answer}"
    return Failure(text, again=refused.status == TOO_MANY, retry_after=refused.seconds, becomes=Unreachable)


def host_of(url: str) -> str:
    """Return the host and port of an address, without user name and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "the exchange"


def _refusal(answer: object) -> tuple[object, str | None]:
    """Return ``code`` and ``message``, or ``msg``, of a JSON object or its ``error``; None where they are missing."""
    if not isinstance(answer, dict):
        return None, None
    if isinstance(error := answer.get("error"), dict):
        answer = error
    message = answer.get("message") or answer.get("msg")
    return answer.get("code"), message if isinstance(message, str) else None


class _DeadlineReader(io.RawIOBase):
    """Read a socket until the deadline. The timeout of a socket alone starts again with each byte."""

    def __init__(self, sock: socket.socket, stream: io.RawIOBase) -> None:
        self._sock, self._stream = sock, stream
        self._timeout = sock.gettimeout() or float("inf")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _deadline.get() - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(min(self._timeout, left))
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_DeadlineReader(sock, self.fp.detach()))


class _DeadlineAdapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> ConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **options)
        if (
            isinstance(pool, HTTPConnectionPool)
            and getattr(pool.ConnectionCls, "response_class", None) is not _DeadlineResponse
        ):
            members = {"response_class": _DeadlineResponse}
            pool.ConnectionCls = type("_DeadlineConnection", (pool.ConnectionCls,), members)
        return pool
