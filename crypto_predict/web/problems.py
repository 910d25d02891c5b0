"""Errors as answers: RFC 9457 problem details, and the one table from error to status."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from crypto_predict.errors import CryptoPredictError, InvalidValue, UnknownPair
from crypto_predict.web.answers import OutsideModel
from crypto_predict.web.questions import BadParameter, shortened

CONTENT_TYPE = "application/problem+json"


class Draining(CryptoPredictError):
    """The server is finishing what it has begun, and takes nothing new."""

    def __init__(self) -> None:
        super().__init__("this server is stopping: it finishes the requests it has and takes no new ones")


class StaleModel(CryptoPredictError):
    """The model is `age` old, more than `limit`."""

    def __init__(self, age: timedelta, limit: timedelta) -> None:
        super().__init__(f"the model was trained {age} ago, which is more than {limit}")
        self.age = age
        self.limit = limit


# Errors that are not here are the server's own fault.
STATUS: dict[type[CryptoPredictError], HTTPStatus] = {
    BadParameter: HTTPStatus.BAD_REQUEST,
    InvalidValue: HTTPStatus.BAD_REQUEST,
    OutsideModel: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownPair: HTTPStatus.NOT_FOUND,
    Draining: HTTPStatus.SERVICE_UNAVAILABLE,
    StaleModel: HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with one request. Its type is ``about:blank``: the status says the kind, the detail the rest."""

    status: int
    detail: str
    parameter: str | None = None  # at fault, where one is

    def body(self) -> bytes:
        """The problem as JSON."""
        members: dict[str, Any] = {
            "type": "about:blank",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
        }
        if self.parameter is not None:
            members["parameter"] = self.parameter
        return f"{json.dumps(members)}\n".encode()


TITLES = {status.value: status.phrase for status in HTTPStatus} | {422: "Unprocessable Content"}  # older Pythons differ


def of_error(error: CryptoPredictError) -> Problem:
    """The problem that one of the errors in the table is."""
    return Problem(STATUS[type(error)].value, str(error), _parameter(error))


def internal() -> Problem:
    """The server's own fault, of which a stranger learns nothing more."""
    return Problem(500, "this is a fault of the server; it has been logged")


def _parameter(error: CryptoPredictError) -> str | None:
    match error:
        case BadParameter() | OutsideModel():
            return shortened(error.parameter)
        case InvalidValue():
            return error.name
        case UnknownPair():
            return "pair"
        case _:
            return None
