"""Parse the bytes of a connection into requests, however they are split into packets."""

from __future__ import annotations

import logging

from crypto_predict.web import problems
from crypto_predict.web.refusals import Refusal
from crypto_predict.web.server import bodies, heads

_END = object()

_log = logging.getLogger("crypto_predict.server")


class Reader:
    """An incremental parser. It holds at most `heads.HEAD_BYTES`."""

    def __init__(self) -> None:
        self.arrived = bytearray()
        self._checked = 0  # bytes of `arrived` without a fault and without the end of a head
        self._head_end = -1  # offset of the empty line after the head; -1 until that has arrived
        self._request: heads.Request | None = None  # the one whose body is being read
        self._body: bodies.Body | None = None
        self._refusal: Refusal | None = None  # why the bytes that arrived were refused

    @property
    def has_begun(self) -> bool:
        """Whether a part of a request has arrived."""
        return self._request is not None or bool(self.arrived)

    @property
    def is_in_body(self) -> bool:
        """Whether a head has been read and its body has not arrived yet."""
        return self._request is not None

    def find_head(self) -> bool:
        """Whether `next` can be called: a head is complete or already refused, or a body is being read."""
        if self._request is not None:
            return True
        arrived = self.arrived
        while arrived.startswith(b"\r\n"):  # RFC 9112 (2.2) lets empty lines precede a request
            del arrived[:2]
            self._checked = 0
        self._head_end = arrived.find(b"\r\n\r\n", max(0, self._checked - 3))
        if self._head_end < 0:
            try:
                heads.check_begin(arrived, self._checked)
            except Refusal as refusal:
                self.refuse(refusal.with_traceback(None))
                return True
            self._checked = len(arrived)
        return self._head_end >= 0

    def next(self) -> heads.Request | None:
        """Return the request whose head `find_head` has found, valid or refused; None until its body has arrived."""
        request = self._request or heads.Request()
        try:
            self._read(request)
        except Refusal as refusal:
            request.refusal = refusal.with_traceback(
                None
            )  # a traceback would keep the frames, and with them the data, alive
        except Exception:  # noqa: BLE001 a fault in here must not end the loop
            _log.exception("a request could not be read")
            request.refusal = Refusal(500, problems.INTERNAL.detail)
        if self._body is not None and request.refusal is None:
            self._request = request
            return None
        self._request = self._body = None
        return request

    def refuse(self, refusal: Refusal) -> None:
        """Discard what has arrived: `next` returns a refused request, after which the connection must be closed."""
        self._refusal = refusal
        self.arrived.clear()

    def take_expectation(self) -> bool:
        """Whether the client waits for 100 Continue before it sends the body. True only once."""
        request = self._request
        if request is None or not request.expects_continue or self.arrived:
            return False
        request.expects_continue = False
        return True

    def _read(self, request: heads.Request) -> None:
        if self._refusal is not None:
            raise self._refusal
        arrived = self.arrived
        if self._request is None:
            head = arrived[: self._head_end]
            del arrived[: self._head_end + 4]
            self._checked = 0
            heads.read(head, request)
            if request.chunked:
                self._body = bodies.chunked(arrived)
            elif request.length:
                self._body = bodies.of_length(request.length, arrived)
        if self._body is not None and next(self._body, _END) is _END:
            self._body = None
