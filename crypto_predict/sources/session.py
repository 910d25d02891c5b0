"""The one edge between HTTP and the sources: bounded in time and size, every failure told in our own words.

An exchange's SDK that is built on `requests` is given a `BoundedSession` and needs no timeout, retry or error
translation of its own: a `Failure` passes through it untouched.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Callable, Mapping, Set
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import requests
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ContentDecodingError, RequestException, Timeout
from urllib3.exceptions import HTTPError, NewConnectionError

from crypto_predict.errors import RefusedKeys, SourceError, Unreachable
from crypto_predict.settings import masked
from crypto_predict.sources.retry import Allowance, Failure, RetryPolicy, retry_after

# A full page of 10,000 candles has 1.3 to 1.8 million bytes after decompression.
LONGEST_ANSWER = 4 * 2**20
# It has 180,000 of the bytes that begin or part the values of JSON. As objects so many take 26 MB at most, where an
# answer of nothing but {} would take 35 times its length.
MOST_VALUES = 320_000

_CHUNK = 2**16  # bytes
_SHORTEST_SECRET = 4  # characters that are looked for inside of words too
_MAY_PASS = (requests.ConnectionError, Timeout, ChunkedEncodingError, ContentDecodingError)
_ADVICE = {
    401: "it wants keys, and none are set: use another source",
    403: "access is refused, perhaps to where you are: use another source",
    404: "nothing is at this address: check the one that is set for this exchange",
    407: "the proxy wants a password: check HTTPS_PROXY",
    418: "it has banned this machine for a while for asking too often: use another source",
    429: "too many requests: try again later",
    451: "it is closed to requests from where you are: use another source",
}
_REFUSALS_OF_PLACE = frozenset(
    {403, 407, 418, 429, 451}
)  # the host refuses every request from this location at the moment
_REFUSALS_OF_KEYS = frozenset({401, 403})

Result = TypeVar("Result")


class _Answer(requests.Response):
    """Reads JSON with Python's own module. `requests` prefers another where one is installed, which refuses NaN."""

    def json(self, **options: Any) -> Any:
        if sum(map(self.content.count, (b"{", b"[", b",", b":"))) > MOST_VALUES:
            raise Failure(f"{host_of(self.url)} sent more than {MOST_VALUES:,} values in one answer", again=False)
        return json.loads(self.content, **options)


class BoundedSession(requests.Session):
    """A `requests` session whose answers are whole, 2xx, and bounded in time and size.

    Whatever else happens is a `Failure` that says which host did what, in which no key, password or user name can
    appear.

    Attributes:
        allowance: What the history that is being read may still take; None: no bound on the whole of it.

    Args:
        policy: How long to wait for an answer.
        keys: What is sent as keys, by the variable that it comes from.
        address: The exchange's, which may hold a password as well; so may those of proxies.
    """

    def __init__(self, policy: RetryPolicy, keys: Mapping[str, str], address: str) -> None:
        super().__init__()
        self.allowance: Allowance | None = None
        self._policy = policy
        self._keys = dict(keys)
        self._secrets = _any_of({*keys.values(), *_secrets_of(address, *getproxies().values())})

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Ask, and read the whole answer.

        Raises:
            Failure: No answer, not all of it, too much of it, or one that is not 2xx.
            SourceError: The allowance is used up.
        """
        host, seconds = host_of(str(url)), self._policy.answer_timeout
        if self.allowance is not None:
            seconds = min(seconds, self.allowance.seconds())
        try:
            response = _within(seconds, lambda: self._fetch(method, url, *args, **options))
        except TimeoutError:
            reason = f"{host} did not finish its answer within {seconds:g} s"
            raise Failure(reason, again=True, becomes=Unreachable) from None
        # A malformed address, the exchange's or a proxy's, ends in a ValueError or, without a host, in a TypeError.
        except (RequestException, HTTPError, ValueError, TypeError) as error:
            # The chain ends here: a foreign error may show the headers, and with them the keys.
            passes = isinstance(error, _MAY_PASS)
            becomes = Unreachable if passes else SourceError
            raise Failure(f"{host} {self._told(error)}", again=passes, becomes=becomes) from None
        if response.status_code // 100 != 2:
            raise self._refused(host, response)
        return response

    def _fetch(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        timeout = (self._policy.connect_timeout, self._policy.read_timeout)
        response = super().request(method, url, *args, **{**options, "timeout": timeout, "stream": True})
        body = bytearray()
        with response:
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    told = f"sent more than {LONGEST_ANSWER // 2**20} MiB in one answer"
                    raise Failure(f"{host_of(str(url))} {told}", again=False)
        answer = _Answer()
        answer.__dict__.update(response.__dict__)
        answer._content = bytes(body)  # noqa: SLF001 requests has no public way to keep what was read in chunks
        return answer

    def _told(self, error: Exception) -> str:
        """What an error of requests or urllib3 means, to follow the host's name."""
        causes = _causes(error)
        if isinstance(error, ConnectTimeout):
            return f"did not accept a connection within {self._policy.connect_timeout:g} s; check the network"
        if isinstance(error, Timeout) or isinstance(causes[-1], TimeoutError):
            return f"sent nothing for {self._policy.read_timeout:g} s"
        if isinstance(error, ContentDecodingError):
            return "sent an answer that cannot be decompressed"
        first = self._presentable(str(causes[-1]))
        if any(isinstance(cause, NewConnectionError) for cause in causes):
            return f"cannot be reached: {first}; check the network and the address"
        return f"did not deliver: {first} ({type(causes[-1]).__name__})"

    def _refused(self, host: str, response: requests.Response) -> Failure:
        status = response.status_code
        becomes: type[SourceError] = SourceError
        if self._keys and status in _REFUSALS_OF_KEYS:
            becomes = RefusedKeys
        elif status in _REFUSALS_OF_PLACE or status >= 500:
            becomes = Unreachable
        reason = f"{host} answered {status} {http.client.responses.get(status, '')}".rstrip()
        if message := _message(response):
            reason += f' "{self._presentable(message)}"'
        if status // 100 == 3:
            reason += ": it has moved; check the address that is set for this exchange"
        elif becomes is RefusedKeys:
            reason += f": it does not accept the keys in {' and '.join(self._keys)}; correct them, or unset both"
        elif status in _ADVICE:
            reason += f": {_ADVICE[status]}"
        again = status == 429 or status >= 500
        return Failure(reason, again=again, retry_after=retry_after(response.headers), becomes=becomes)

    def _presentable(self, text: str) -> str:
        """Foreign text fit for a log: without secrets and control characters, and not long."""
        text = masked(self._secrets.sub("***", text))
        text = "".join(letter if letter.isprintable() else " " for letter in text[:500])
        return text if len(text) <= 200 else f"{text[:200]}..."


def host_of(url: str) -> str:
    """The host and port of an address, without any user name or password in it."""
    return urlsplit(url).netloc.rpartition("@")[2] or "the exchange"


def _secrets_of(*addresses: str) -> set[str]:
    """The user names and passwords in these addresses, as they stand, decoded, and as HTTP sends them."""
    found: set[str] = set()
    for address in addresses:
        user, at, _ = address.partition("//")[2].rpartition("@")
        if at:
            parts = [user, *user.split(":", 1)]
            sent = base64.b64encode(unquote(user).encode("utf-8", "replace")).decode()
            found.update(part for part in (*parts, *map(unquote, parts), sent) if part)
    return found


def _any_of(secrets: Set[str]) -> re.Pattern[str]:
    """What finds each of these texts, the longest first: of two that begin alike, no end may be left.

    A very short one is looked for as a whole word. A user called u would make "Connection ref***sed" otherwise.
    """
    ordered = sorted(secrets, key=lambda secret: (-len(secret), secret))
    words = (re.escape(one) if len(one) >= _SHORTEST_SECRET else rf"(?<!\w){re.escape(one)}(?!\w)" for one in ordered)
    return re.compile("|".join(words) or "(?!)")


def _message(response: requests.Response) -> str | None:
    """What an exchange says about its refusal: ``message`` at Alpaca and Poloniex, ``msg`` at Binance."""
    try:
        answer = response.json()
    except (ValueError, RecursionError, Failure):
        return None
    message = (answer.get("message") or answer.get("msg")) if isinstance(answer, dict) else None
    return message if isinstance(message, str) else None


def _within(seconds: float, call: Callable[[], Result]) -> Result:
    """What `call` gives, or a `TimeoutError`.

    A socket's timeout starts anew with each byte, and looking up a name has none at all: only a second thread can watch
    over the whole. An abandoned call ends with its connection, at the latest with the process, which does not wait
    for it.
    """
    outcome: Future[Result] = Future()

    def settle() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 carried over to the caller's thread, which raises it
            outcome.set_exception(error)

    Thread(target=settle, name="exchange-answer", daemon=True).start()
    return outcome.result(seconds)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it; last, under a `requests.ConnectionError`, what the operating system said."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    return causes
