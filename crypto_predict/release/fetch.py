"""One request over HTTP, with a deadline for the whole of it and without following redirects.

`urllib` bounds only each read, so that a server which sends a byte now and then is never done; it follows redirects,
and its errors quote the address, which may be a secret. Here an error says only what kind of failure it was.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from crypto_predict.errors import InvalidValue, ReleaseFailed

MOST_BYTES = 16 * 2**20  # of a body; what is longer is cut off
HIDDEN = "***"  # in place of an address that is secret

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class NoAnswer(ReleaseFailed):
    """The server gave no whole answer in time; says why without naming the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def fetch(method: str, address: str, seconds: float, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask once.

    Args:
        method: Such as ``GET``; nothing is sent along but headers.
        address: As `checked_address` lets it through.
        seconds: After which the connection is cut, whatever is still on its way.
        headers: To be sent.

    Raises:
        NoAnswer: Nobody listens, the connection broke, it took too long, or what came is not HTTP.
    """
    parts = urlsplit(address)
    connection = _connection(parts, seconds)
    expired = threading.Event()
    deadline = threading.Timer(seconds, _cut, (connection, expired))
    deadline.daemon = True
    deadline.start()
    try:
        answer = _answer(connection, method, _target(parts), headers or {})
    except (OSError, http.client.HTTPException) as error:
        # Without its cause: a foreign error quotes what was sent, or what a server made of it.
        raise NoAnswer(f"no answer within {seconds:g} s" if expired.is_set() else _reason(error)) from None
    finally:
        deadline.cancel()
        connection.close()
    if expired.is_set():  # what has arrived when a connection is cut looks like an answer that ends there
        raise NoAnswer(f"no whole answer within {seconds:g} s")
    return answer


def _answer(connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str]) -> Answer:
    connection.request(method, target, headers=headers)
    response = connection.getresponse()
    named = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, named, response.read(MOST_BYTES))


def _target(parts: SplitResult) -> str:
    return parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl()


def checked_address(name: str, address: str, *, secret: bool) -> str:
    """The address, once it is found to be one that can be asked.

    Args:
        name: Of the option or variable that it comes from.
        address: An absolute one.
        secret: It may go over nothing but TLS then, except on this machine, and no error shows it.

    Raises:
        InvalidValue: It is not one.
    """
    expected = "an address such as https://example.onrender.com"
    if secret:
        expected = "an https address, as the settings of the service show it"
    invalid = InvalidValue(name, HIDDEN if secret else address, expected)
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise invalid from None
    schemes = {"https", "http"} if not secret or host in _LOOPBACK else {"https"}
    if parts.scheme not in schemes or not host or "@" in parts.netloc or not _is_plain(address):
        raise invalid
    return address


def _is_plain(address: str) -> bool:
    """Whether it can stand in a request as it is."""
    return address.isascii() and address.isprintable() and " " not in address


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=seconds)


def _cut(connection: http.client.HTTPConnection, expired: threading.Event) -> None:
    """End what is waiting on the connection, with or without TLS around it."""
    expired.set()
    with contextlib.suppress(OSError, AttributeError):  # it has ended already, or has not begun
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"no answer: {getattr(error, 'strerror', None) or type(error).__name__}"
