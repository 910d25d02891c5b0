"""One HTTP request by ``curl``: a deadline for all of it, and no address in a process list or an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

MOST_BYTES = 4 * 2**20  # of a body, and in a second: curl before 8.4 heeds the former only if the length is announced
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Settings of the user's own are not read, and `--config -` reads the address from standard input.
_CURL = ("curl", "--disable", "--silent", "--globoff", "--noproxy", ",".join(_LOOPBACK), "--config", "-")
_REPORT = "\n%{header_json}%{http_code}"  # what curl writes after the body
# curl's exit codes; its messages may quote the address.
_REASONS = {6: "unknown host", 7: "connection refused", 28: "no whole answer in time", 47: "too many redirects"}
_REASONS |= {60: "its certificate is not valid", 63: "the answer is too long"}


class NoAnswer(ReleaseFailed):
    """The server gave no whole answer in time; the message does not contain the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, whatever its status."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: str


def fetch(address: str, seconds: float, *, method: str = "GET", fresh: bool = False) -> Answer:
    """Make one request.

    Args:
        address: As `checked_address` returns it.
        seconds: Time limit for the whole answer.
        method: The HTTP method.
        fresh: Ask caches not to answer, and follow redirects.

    Raises:
        NoAnswer: Nobody listens, the connection broke, it took too long, or the answer is not HTTP.
    """
    most = str(MOST_BYTES)
    limits = ("--max-time", f"{seconds:g}", "--max-filesize", most, "--limit-rate", most, "--proto", "=http,https")
    more = ("--header", "Cache-Control: no-cache", "--location", "--max-redirs", "3") if fresh else ()
    words = (*_CURL, *limits, *more, "--request", method, "--write-out", _REPORT)
    try:
        printed = output_of(*words, stdin=f'url = "{address}"\n', seconds=seconds + 10)
    except ProgramFailed as error:
        raise NoAnswer(f"no answer: {_REASONS.get(error.code, f'curl ended with {error.code}')}") from None
    body, _, report = printed.rpartition("\n{")
    names, end = json.JSONDecoder().raw_decode("{" + report)
    return Answer(int(report[end - 1 :]), {name: values[-1] for name, values in names.items()}, body)


def checked_address(name: str, address: str, *, secret: bool = False) -> str:
    """Return the address, the value of what is called `name`, without white space around it.

    Raises:
        InvalidValue: It is not an address, or it is `secret` and not https, except on this machine.
    """
    address = address.strip()
    invalid = InvalidValue(name, "***" if secret else address, "an address such as https://example.onrender.com")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise invalid from None
    schemes = {"https", "http"} if not secret or host in _LOOPBACK else {"https"}
    plain = address.isascii() and address.isprintable() and not set(' "\\@') & set(address)
    if parts.scheme not in schemes or not host or not plain:
        raise invalid
    return address
