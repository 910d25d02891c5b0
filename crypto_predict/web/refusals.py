"""Answers to requests that cannot be parsed or come too slowly.

The parser raises a `Refusal`. The request is then handed to a worker thread as usual, so that it is logged and counted,
and `Refusing` answers it in place of the application.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from crypto_predict.errors import CryptoPredictError
from crypto_predict.web.problems import TITLES, Problem
from crypto_predict.web.rendering import COMMON

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

KEY = "crypto_predict.refusal"  # the refusal in the WSGI environment


class Refusal(CryptoPredictError):
    """A request is refused with `status` because of `detail`, and its connection is closed after the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Refusing:
    """WSGI middleware that answers refused requests with problem details."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        refusal = environ.get(KEY)
        if refusal is None:
            return self._application(environ, start_response)
        body, headers = Problem(refusal.status, refusal.detail).rendered()
        start_response(f"{refusal.status} {TITLES[refusal.status]}", [*headers, *COMMON])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
