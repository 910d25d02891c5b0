"""The errors of the web layer: each carries what its problem details need."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

from crypto_predict.errors import CryptoPredictError
from crypto_predict.web.http.response import Headers


class WebError(CryptoPredictError):
    """A request that cannot be answered."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    parameter: str | None = None  # at fault, if a parameter is
    retry_seconds: int | None = None  # until the same request may be answered, if it may

    @property
    def members(self) -> Mapping[str, object]:
        """The members of the problem in addition to those of every problem."""
        return {} if self.parameter is None else {"parameter": self.parameter}

    @property
    def headers(self) -> Headers:
        """The headers of the problem, likewise."""
        return [] if self.retry_seconds is None else [("Retry-After", str(self.retry_seconds))]


class BadParameter(WebError):
    """The parameter `parameter` is missing, repeated or unknown, or contradicts another one, as `fault` explains."""

    def __init__(self, parameter: str, fault: str) -> None:
        super().__init__(fault)
        self.parameter = parameter
