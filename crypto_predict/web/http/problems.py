"""Errors as answers: RFC 9457 problem details.

The server refuses a request that it cannot parse, or that comes too slowly. The request is then handed to a worker
thread as usual, so that it is logged and counted, and `Refusing` answers it in place of the application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from crypto_predict.errors import CryptoPredictError, DatabaseError, InvalidValue, NoProphetInterval, UnknownPair
from crypto_predict.http_server.parser import FAULT, REFUSAL
from crypto_predict.web.http.errors import WebError
from crypto_predict.web.http.response import COMMON, Headers, Rendered, simulated_header

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT_TYPE = "application/problem+json"
DATABASE_SECONDS = 2  # after a failure of the database, during which it is not asked again

_NAMES = re.compile(r'"[^"]*"(?: \([0-9A-Fa-f.:]+\))?')  # in messages of a database, with an IP address

# The errors of lower floors that are answered, with their status; any other error is a fault of the server.
LOWER: dict[type[CryptoPredictError], HTTPStatus] = {
    InvalidValue: HTTPStatus.BAD_REQUEST,
    NoProphetInterval: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownPair: HTTPStatus.NOT_FOUND,
    DatabaseError: HTTPStatus.SERVICE_UNAVAILABLE,
}

ANSWERED: tuple[type[CryptoPredictError], ...] = (WebError, *LOWER)

# Python 3.13 renamed three of them.
TITLES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one request failed. Its type is ``about:blank``: the status gives the kind, the detail the rest."""

    status: int
    detail: str
    members: Mapping[str, object] = field(default_factory=dict)  # in addition to those of every problem
    headers: Headers = field(default_factory=list)  # the same

    def rendered(self) -> Rendered:
        """Return the problem as JSON, and the headers that describe it."""
        title = TITLES.get(self.status, "Error")
        common = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        body = f"{json.dumps({**common, **self.members})}\n".encode()
        headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        return Rendered(body, [*headers, *self.headers, *simulated_header(self.members.get("simulated") is True)])


# A condition (RFC 9110, section 13) does not hold for the current answer.
PRECONDITION_FAILED = Problem(412, "this answer is not the version that If-Match or If-Unmodified-Since names")
INTERNAL = Problem(500, FAULT)


def of_error(error: CryptoPredictError) -> Problem:
    """Return the problem of a `WebError`, or of an error in `LOWER` or of a kind of one."""
    if isinstance(error, WebError):
        return Problem(error.status, str(error), error.members, error.headers)
    status = next(LOWER[kind] for kind in type(error).__mro__ if kind in LOWER)
    match error:
        case DatabaseError():  # without names of hosts, users and files, which are not for everyone
            detail = f"the database cannot be read: {_NAMES.sub('***', error.reason)}"
            return Problem(status, detail, headers=[("Retry-After", str(DATABASE_SECONDS))])
        case InvalidValue():
            parameter = error.name
        case _:
            parameter = "model" if isinstance(error, NoProphetInterval) else "pair"
    return Problem(status, str(error), {"parameter": parameter})


class Refusing:
    """WSGI middleware that answers refused requests with problem details."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        refusal = environ.get(REFUSAL)
        if refusal is None:
            return self._application(environ, start_response)
        problem = Problem(refusal.status, refusal.detail).rendered()
        start_response(f"{refusal.status} {TITLES[refusal.status]}", [*problem.headers, *COMMON])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [problem.body]
