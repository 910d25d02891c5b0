"""What the server refuses before the application hears of it, answered, logged and counted like everything else.

Whoever reads from the connection raises a `Refusal`. The request then takes the usual way, and `Refusing` answers it in
place of the application.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from crypto_predict.errors import CryptoPredictError
from crypto_predict.web import problems
from crypto_predict.web.caching import COMMON

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY = "crypto_predict.refusal"  # the environ's key of the refusal, if there is one


class Refusal(CryptoPredictError):
    """A request is refused with `status` because of `detail`, and its connection is closed after the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Refusing:
    """A WSGI application in front of another one: answers what was refused as problem details."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 says."""
        refusal = environ.get(KEY)
        if refusal is None:
            return self._application(environ, start_response)
        body = problems.Problem(refusal.status, refusal.detail).body()
        headers = [("Content-Type", problems.CONTENT_TYPE), ("Content-Length", str(len(body)))]
        start_response(
            f"{refusal.status} {problems.TITLES[refusal.status]}", [*headers, ("Cache-Control", "no-store"), *COMMON]
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
