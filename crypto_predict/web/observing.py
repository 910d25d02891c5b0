"""The outermost layer: measures every request and logs it, whichever way it was answered."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from crypto_predict import logs
from crypto_predict.web.metrics import Metrics
from crypto_predict.web.questions import shortened

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "crypto_predict.route"  # the environ's key under which an inner layer says which route it was
UNMATCHED = "unmatched"

_log = logging.getLogger("crypto_predict.access")


class Observed:
    """A WSGI application whose requests are counted, timed and logged."""

    def __init__(self, application: WSGIApplication, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 says."""
        started = perf_counter()
        answer: list[Any] = ["", []]

        def record(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answer[:] = status, headers
            return start_response(status, headers, exc_info)

        body = self._application(environ, record)
        self._finish(environ, answer[0][:3], answer[1], perf_counter() - started)
        return body

    def _finish(self, environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]], seconds: float) -> None:
        method = environ["REQUEST_METHOD"]
        self._metrics.count(environ.get(ROUTE, UNMATCHED), method, status, seconds)
        if _log.isEnabledFor(logging.INFO):
            logs.event(
                _log,
                logging.INFO,
                "request",
                method=shortened(method),
                path=shortened(environ["PATH_INFO"]),
                query=shortened(environ.get("QUERY_STRING", "")),
                status=int(status),
                ms=round(1000 * seconds, 3),
                bytes=_body_bytes(method, headers),
            )


def _body_bytes(method: str, headers: list[tuple[str, str]]) -> int:
    if method == "HEAD":
        return 0
    return next((int(value) for name, value in headers if name == "Content-Length"), 0)
