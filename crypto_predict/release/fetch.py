"""One HTTP request by ``curl``: one time limit for all of it, and the address in no process list and no error."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

# Of a body, and of a second's transfer: curl before 8.4 applies --max-filesize only to an announced length.
MOST_BYTES = 4 * 2**20
_LOOPBACK = ("localhost", "127.0.0.1")
# Without user, password, white space, and what curl's configuration would quote.
_ADDRESS = re.compile(
    r"""(?P<scheme>https?)://(?P<host>[a-z0-9._-]+)(:[0-9]{1,5})?([/?#][!#-?A-\[\]-~]*)?""", re.IGNORECASE
)
# The user's own settings are not read, and `--config -` reads the address from standard input.
_CURL = ("curl", "--disable", "--silent", "--globoff", "--noproxy", ",".join(_LOOPBACK), "--config", "-")
_LIMITS = ("--max-filesize", str(MOST_BYTES), "--limit-rate", str(MOST_BYTES), "--proto", "=http,https")
_UNCACHED = ("--header", "Cache-Control: no-cache", "--location", "--max-redirs", "3")
_REPORT = "\n%{header_json}%{http_code}"  # what curl writes after the body
# Exit codes of curl, whose own messages may quote the address.
_REASONS = {
    6: "unknown host",
    7: "connection refused",
    28: "no whole answer in time",
    47: "too many redirects",
    60: "its certificate is not valid",
    63: "the answer is too long",
}


class NoAnswer(ReleaseFailed):
    """The server did not answer, not in time, or not in HTTP. The message does not contain the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of any status."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: str


def fetch(address: str, seconds: float, *, method: str = "GET", fresh: bool = False) -> Answer:
    """Make one request to an address that `checked_address` returned, within `seconds`; raise `NoAnswer` if it fails.

    `fresh` asks caches not to answer, and follows redirects.
    """
    words = (*_CURL, *_LIMITS, *(_UNCACHED if fresh else ()), "--max-time", f"{seconds:g}", "--request", method)
    try:
        printed = output_of(*words, "--write-out", _REPORT, stdin=f'url = "{address}"\n', seconds=seconds + 10)
    except ProgramFailed as error:
        raise NoAnswer(f"no answer: {_REASONS.get(error.code, f'curl ended with {error.code}')}") from None
    body, _, report = printed.rpartition("\n{")
    names, end = json.JSONDecoder().raw_decode("{" + report)
    return Answer(int(report[end - 1 :]), {name: values[-1] for name, values in names.items()}, body)


def checked_address(name: str, address: str, *, secret: bool = False) -> str:
    """Return an address without white space around it; errors call it `name`.

    Raises:
        InvalidValue: It is not an address; or it is `secret` and neither https nor on this machine.
    """
    address = address.strip()
    match = _ADDRESS.fullmatch(address)
    if match is None or (secret and match["scheme"].lower() != "https" and match["host"] not in _LOOPBACK):
        raise InvalidValue(name, "***" if secret else address, "an address such as https://example.onrender.com")
    return address
