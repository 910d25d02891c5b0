"""Errors as answers: RFC 9457 problem details, and the one table from error to status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from crypto_predict.errors import CryptoPredictError, InvalidValue, NoProphetInterval, UnknownPair
from crypto_predict.web.answers import NoBitcoin, OutsideModel
from crypto_predict.web.freshness import Freshness
from crypto_predict.web.questions import BadParameter, shortened

CONTENT_TYPE = "application/problem+json"


class Draining(CryptoPredictError):
    """The server is finishing what it has begun, and takes nothing new."""

    def __init__(self) -> None:
        super().__init__("this server is stopping: it finishes the requests it has and takes no new ones")


class StaleModel(CryptoPredictError):
    """The model or its newest price is too old."""

    def __init__(self, freshness: Freshness) -> None:
        super().__init__(str(freshness))
        self.freshness = freshness


# Errors that are not here are the server's own fault.
STATUS: dict[type[CryptoPredictError], HTTPStatus] = {
    BadParameter: HTTPStatus.BAD_REQUEST,
    InvalidValue: HTTPStatus.BAD_REQUEST,
    OutsideModel: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoProphetInterval: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoBitcoin: HTTPStatus.NOT_FOUND,
    UnknownPair: HTTPStatus.NOT_FOUND,
    Draining: HTTPStatus.SERVICE_UNAVAILABLE,
    StaleModel: HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with one request. Its type is ``about:blank``: the status says the kind, the detail the rest."""

    status: int
    detail: str
    members: Mapping[str, object] = field(default_factory=dict)  # beyond those that every problem has

    def body(self) -> bytes:
        """The problem as JSON."""
        title = TITLES.get(self.status, "Error")
        common = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return f"{json.dumps({**common, **self.members})}\n".encode()


# Names before Python 3.13 differ.
TITLES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
}


def of_error(error: CryptoPredictError) -> Problem:
    """The problem that one of the errors in the table is."""
    return Problem(STATUS[type(error)].value, str(error), _members(error))


def precondition_failed() -> Problem:
    """A condition of the request (RFC 9110, section 13) that the current answer does not meet."""
    return Problem(412, "this answer is not the version that If-Match or If-Unmodified-Since names")


def internal() -> Problem:
    """A fault of the server; clients get no details."""
    return Problem(500, "this is a fault of the server; it has been logged")


def _members(error: CryptoPredictError) -> dict[str, object]:
    match error:
        case BadParameter() | OutsideModel():
            return {"parameter": shortened(error.parameter)}
        case InvalidValue():
            return {"parameter": error.name}
        case NoProphetInterval():
            return {"parameter": "model"}
        case UnknownPair() if not isinstance(error, NoBitcoin):  # /bitcoin takes no pair
            return {"parameter": "pair"}
        case StaleModel():
            return error.freshness.members()
        case _:
            return {}
