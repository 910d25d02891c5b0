"""From the bytes of a connection to its requests, whatever the pieces in which they arrive."""

from __future__ import annotations

import logging

from crypto_predict.web import bodies, heads, problems
from crypto_predict.web.refusals import Refusal

_END = object()

_log = logging.getLogger("crypto_predict.server")


class Reader:
    """Cuts what has arrived into requests. At most `heads.HEAD_BYTES` of it are held."""

    def __init__(self) -> None:
        self.arrived = bytearray()
        self._checked = 0  # bytes of it that hold neither the end of a head nor a fault
        self._request: heads.Request | None = None  # whose body is being read
        self._body: bodies.Body | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a part of a request has arrived."""
        return self._request is not None or bool(self.arrived)

    def take_expectation(self) -> bool:
        """Whether the client waits to be told to send the body. True only once."""
        request = self._request
        if request is None or not request.expects_continue or self.arrived:
            return False
        request.expects_continue = False
        return True

    def next(self) -> heads.Request | None:
        """The next request, valid or refused; None as long as it has not arrived."""
        request = self._request or heads.Request()
        try:
            if self._request is None and not self._read_head(request):
                return None
            if not self._read_body():
                return None
        except Refusal as refusal:
            request.refusal = refusal
        except Exception:  # noqa: BLE001 a fault in here must not end the loop
            _log.exception("a request could not be read")
            request.refusal = Refusal(500, problems.internal().detail)
        self._request = self._body = None
        return request

    def refuse(self, refusal: Refusal) -> heads.Request:
        """The request that has begun, refused."""
        request = self._request or heads.Request()
        request.refusal = refusal
        return request

    def _read_head(self, request: heads.Request) -> bool:
        arrived = self.arrived
        while arrived.startswith(b"\r\n"):  # RFC 9112 (2.2) lets empty lines precede a request
            del arrived[:2]
            self._checked = 0
        end = arrived.find(b"\r\n\r\n", max(0, self._checked - 3))
        if end < 0:
            heads.check_begin(arrived, self._checked)
            self._checked = len(arrived)
            return False
        head = arrived[:end]
        del arrived[: end + 4]
        self._checked = 0
        heads.read(head, request)
        if request.chunked or request.length:
            self._request = request
            self._body = bodies.chunked(arrived) if request.chunked else bodies.of_length(request.length, arrived)
        return True

    def _read_body(self) -> bool:
        return self._body is None or next(self._body, _END) is _END
