"""Errors as answers: RFC 9457 problem details.

The server refuses a request that it cannot parse, or that comes too slowly. The request is then handed to a worker
thread as usual, so that it is logged and counted, and `refusing` answers it in place of the application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from crypto_predict.errors import (
    CryptoPredictError,
    DatabaseError,
    InvalidValue,
    NoProphetInterval,
    OutOfRange,
    UnknownPair,
)
from crypto_predict.http_server.parser import FAULT, REFUSAL
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
    OutOfRange: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownPair: HTTPStatus.NOT_FOUND,
    DatabaseError: HTTPStatus.SERVICE_UNAVAILABLE,
}

# Python 3.13 renamed three of them.
TITLES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
}


class Problem(CryptoPredictError):
    """Why one request cannot be answered. Its type is ``about:blank``: the status gives the kind, the detail the rest.

    `members` and `headers` are in addition to those of every problem. After `retry_seconds` it may be answered.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        parameter: str | None = None,
        retry_seconds: int | None = None,
        headers: Headers | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.status, self.parameter, self.headers = status, parameter, headers or []
        self.members = members if parameter is None else {**members, "parameter": parameter}
        if retry_seconds is not None:
            self.headers = [*self.headers, ("Retry-After", str(retry_seconds))]

    def rendered(self) -> Rendered:
        """Return the problem as JSON, and the headers that describe it."""
        title = TITLES.get(self.status, "Error")
        common = {"type": "about:blank", "title": title, "status": self.status, "detail": str(self)}
        body = f"{json.dumps({**common, **self.members})}\n".encode()
        headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        return Rendered(body, [*headers, *self.headers, *simulated_header(self.members.get("simulated") is True)])


class BadParameter(Problem):
    """The parameter `parameter` is missing, repeated or unknown, or contradicts another one, as `fault` explains."""

    def __init__(self, parameter: str, fault: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, fault, parameter)


ANSWERED: tuple[type[CryptoPredictError], ...] = (Problem, *LOWER)

# A condition (RFC 9110, section 13) does not hold for the current answer.
PRECONDITION_FAILED = Problem(412, "this answer is not the version that If-Match or If-Unmodified-Since names")
INTERNAL = Problem(500, FAULT)


def of_error(error: CryptoPredictError) -> Problem:
    """Return the problem of an error in `ANSWERED`, or of a kind of one."""
    if isinstance(error, Problem):
        return error
    status = next(LOWER[kind] for kind in type(error).__mro__ if kind in LOWER)
    match error:
        case DatabaseError():  # without names of hosts, users and files, which are not for everyone
            detail = f"the database cannot be read: {_NAMES.sub('***', error.reason)}"
            return Problem(status, detail, retry_seconds=DATABASE_SECONDS)
        case InvalidValue():
            return Problem(status, str(error), error.name)
        case OutOfRange():
            return Problem(status, f"date: {error}", "date")
        case _:
            return Problem(status, str(error), "model" if isinstance(error, NoProphetInterval) else "pair")


def refusing(application: WSGIApplication) -> WSGIApplication:
    """Return an application (PEP 3333) that answers refused requests with problem details."""

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refusal = environ.get(REFUSAL)
        if refusal is None:
            return application(environ, start_response)
        problem = Problem(refusal.status, refusal.detail).rendered()
        start_response(f"{refusal.status} {TITLES[refusal.status]}", [*problem.headers, *COMMON])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [problem.body]

    return respond
