"""A shortcut past Flask for the most frequent request, `GET /bitcoin`.

Flask spends some 100 microseconds on a request before and after its view. A plain ``GET /bitcoin`` is answered here, by
the same functions. Everything else (errors, other methods, conditional requests, other addresses) goes on to Flask.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from crypto_predict.errors import CryptoPredictError
from crypto_predict.web import conditions
from crypto_predict.web.operations.observing import ROUTE
from crypto_predict.web.routes import ERROR, Service, bitcoin

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/bitcoin"


class FastLane:
    """WSGI middleware in front of Flask."""

    def __init__(self, application: WSGIApplication, service: Service) -> None:
        self._application = application
        self._service = service

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if (
            environ["PATH_INFO"] == PATH
            and environ["REQUEST_METHOD"] == "GET"
            and conditions.HEADERS.isdisjoint(environ.keys())
        ):
            snapshot = self._service.snapshots.current()
            try:
                rendered = bitcoin(snapshot, environ["QUERY_STRING"])
            except CryptoPredictError as error:
                environ[ERROR] = error  # so that Flask does not evaluate the query again
            else:
                environ[ROUTE] = PATH
                start_response("200 OK", self._service.cached_headers(snapshot, rendered))
                return [rendered.body]
        return self._application(environ, start_response)
