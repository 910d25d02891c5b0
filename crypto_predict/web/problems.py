"""Errors as answers: RFC 9457 problem details, and the one table from error to status.

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

from crypto_predict.baked import plain
from crypto_predict.errors import CryptoPredictError, DatabaseError, InvalidValue, NoProphetInterval, UnknownPair
from crypto_predict.http_server.request_head import FAULT, REFUSAL
from crypto_predict.web.answers import NoBitcoin, OutsideModel
from crypto_predict.web.collected.administration import (
    AdministrationOff,
    ExchangeUnavailable,
    NotTraded,
    TooManyGuesses,
    Unauthorized,
    Unfinished,
)
from crypto_predict.web.collected.database import RETRY_SECONDS, NoDatabase, Overloaded
from crypto_predict.web.collected.forecasts import NoMinuteForecast
from crypto_predict.web.collected.questions import BadBody
from crypto_predict.web.collected.rendering import NotAcceptable
from crypto_predict.web.collected.series import NotCollected
from crypto_predict.web.operations.freshness import Freshness
from crypto_predict.web.page.releases import NoRelease, ReleasesUnavailable
from crypto_predict.web.questions import BadParameter
from crypto_predict.web.rendering import COMMON, Headers, Rendered, simulated_header

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT_TYPE = "application/problem+json"
LATER_SECONDS = 30  # until a change of the pairs that failed is tried again
INVALID = ', error="invalid_token"'  # RFC 6750, section 3

_NAMES = re.compile(r'"[^"]*"(?: \([0-9A-Fa-f.:]+\))?')  # in messages of a database, with an IP address

# Any other error is a fault of the server.
STATUS: dict[type[CryptoPredictError], HTTPStatus] = {
    BadParameter: HTTPStatus.BAD_REQUEST,
    InvalidValue: HTTPStatus.BAD_REQUEST,
    OutsideModel: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoProphetInterval: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoBitcoin: HTTPStatus.NOT_FOUND,
    UnknownPair: HTTPStatus.NOT_FOUND,
    NotCollected: HTTPStatus.NOT_FOUND,
    NoDatabase: HTTPStatus.NOT_FOUND,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    BadBody: HTTPStatus.BAD_REQUEST,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    TooManyGuesses: HTTPStatus.TOO_MANY_REQUESTS,
    AdministrationOff: HTTPStatus.FORBIDDEN,
    NotTraded: HTTPStatus.UNPROCESSABLE_ENTITY,
    ExchangeUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Unfinished: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseError: HTTPStatus.SERVICE_UNAVAILABLE,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    NoMinuteForecast: HTTPStatus.SERVICE_UNAVAILABLE,
    NoRelease: HTTPStatus.NOT_FOUND,
    ReleasesUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

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
DRAINING = Problem(503, "this server is stopping: it finishes the requests it has and takes no new ones")


def stale(freshness: Freshness) -> Problem:
    """Return the problem of a model that is too old, or whose newest price is."""
    return Problem(503, str(freshness), plain.encode(freshness))


def of_error(error: CryptoPredictError) -> Problem:
    """Return the problem of an error in `STATUS`, or of a kind of one."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return Problem(status.value, _detail(error), _members(error), _headers(error))


def _detail(error: CryptoPredictError) -> str:
    """Return the message; that of a database without names of hosts, users and files, which are not for everyone."""
    if isinstance(error, DatabaseError):
        return f"the database cannot be read: {_NAMES.sub('***', error.reason)}"
    return str(error)


def _headers(error: CryptoPredictError) -> Headers:
    match error:
        case DatabaseError() | Overloaded():
            return [("Retry-After", str(RETRY_SECONDS))]
        case NoMinuteForecast() | ReleasesUnavailable() | TooManyGuesses() if error.retry_seconds is not None:
            return [("Retry-After", str(error.retry_seconds))]
        case ExchangeUnavailable() | Unfinished():
            return [("Retry-After", str(LATER_SECONDS))]
        case Unauthorized():
            return [("WWW-Authenticate", f'Bearer realm="pairs"{INVALID if error.is_wrong else ""}')]
        case NotAcceptable():
            return [("Vary", "Accept")]
        case _:
            return []


def _members(error: CryptoPredictError) -> dict[str, object]:
    """Return the members in addition to those of every problem."""
    if isinstance(error, NoMinuteForecast):
        return {"lag_seconds": error.lag_seconds}
    name = _parameter(error)
    return {} if name is None else {"parameter": name}


def _parameter(error: CryptoPredictError) -> str | None:
    match error:
        case BadParameter() | OutsideModel() | NotCollected() | NoRelease():
            return error.parameter
        case InvalidValue():
            return error.name
        case NoProphetInterval():
            return "model"
        case NotTraded():
            return "pair"
        case UnknownPair() if not isinstance(error, NoBitcoin):  # /bitcoin has no parameter for the pair
            return "pair"
        case _:
            return None


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
