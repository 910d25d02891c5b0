"""Errors as answers: RFC 9457 problem details, and the one table from error to status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from crypto_predict.errors import CryptoPredictError, InvalidValue, UnknownPair
from crypto_predict.web.answers import NoBitcoin, OutsideModel
from crypto_predict.web.questions import BadParameter, shortened

CONTENT_TYPE = "application/problem+json"


class Draining(CryptoPredictError):
    """The server is finishing what it has begun, and takes nothing new."""

    def __init__(self) -> None:
        super().__init__("this server is stopping: it finishes the requests it has and takes no new ones")


class StaleModel(CryptoPredictError):
    """The model is `age` old, more than `limit`."""

    def __init__(self, age: timedelta, limit: timedelta) -> None:
        super().__init__(f"the model was trained {age} ago; it is stale after {limit}")
        self.age = age
        self.limit = limit


# Errors that are not here are the server's own fault.
STATUS: dict[type[CryptoPredictError], HTTPStatus] = {
    BadParameter: HTTPStatus.BAD_REQUEST,
    InvalidValue: HTTPStatus.BAD_REQUEST,
    OutsideModel: HTTPStatus.UNPROCESSABLE_ENTITY,
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


# Older Pythons call some of them otherwise.
TITLES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
}


def of_error(error: CryptoPredictError) -> Problem:
    """The problem that one of the errors in the table is."""
    return Problem(STATUS[type(error)].value, str(error), _members(error))


def internal() -> Problem:
    """The server's own fault, of which a stranger learns nothing more."""
    return Problem(500, "this is a fault of the server; it has been logged")


def _members(error: CryptoPredictError) -> dict[str, object]:
    match error:
        case BadParameter() | OutsideModel():
            return {"parameter": shortened(error.parameter)}
        case InvalidValue():
            return {"parameter": error.name}
        case NoBitcoin():
            return {}  # this address takes no pair
        case UnknownPair():
            return {"parameter": "pair"}
        case StaleModel():
            return freshness(error.age, error.limit)
        case _:
            return {}


def freshness(age: timedelta, limit: timedelta) -> dict[str, object]:
    """How old a model is and may be, as members of an answer."""
    return {"age_seconds": int(age.total_seconds()), "stale_after_seconds": int(limit.total_seconds())}
