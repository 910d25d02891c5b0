"""The outermost layer: measures every request and logs it, whichever way it was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from crypto_predict import logs
from crypto_predict.web.operations.metrics import Metrics
from crypto_predict.web.questions import shortened

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "crypto_predict.route"  # the environ's key under which an inner layer says which route it was
UNMATCHED = "unmatched"

Log = Callable[[str], None]  # takes a line


class Observed:
    """A WSGI application whose requests are counted, timed and, where there is a log for them, logged."""

    def __init__(self, application: WSGIApplication, metrics: Metrics, log: Log | None) -> None:
        self._application = application
        self._metrics = metrics
        self._log = log

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 says."""
        started = perf_counter()
        answer: list[Any] = ["", []]

        def record(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answer[:] = status, headers
            return start_response(status, headers, exc_info)

        body = self._application(environ, record)
        seconds = perf_counter() - started
        status, headers = answer
        self._metrics.count(environ.get(ROUTE, UNMATCHED), environ["REQUEST_METHOD"], status[:3], seconds)
        if self._log is not None:
            self._log(_line(environ, status, headers, seconds))
        return body


def _line(environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]], seconds: float) -> str:
    """What `logs.line` would make of it, in a third of the time."""
    method = environ["REQUEST_METHOD"]
    sent = 0 if method == "HEAD" else next((value for name, value in headers if name == "Content-Length"), 0)
    return (
        f'{{"time": "{logs.instant(time())}", "level": "info", "event": "request", '
        f'"method": {_text(method)}, "path": {_text(environ["PATH_INFO"])}, "query": {_text(environ["QUERY_STRING"])}, '
        f'"status": {status[:3]}, "ms": {1000 * seconds:.3f}, "bytes": {sent}}}'
    )


def _text(value: str) -> str:
    return logs.quoted(shortened(value))
