"""Parse the bytes of a connection into requests, however they are split into packets.

The generators share a buffer with the caller, who appends bytes as they arrive and then resumes them. They remove
what they have parsed, and yield when they need more. The body of a request is checked and measured, and
discarded unless the application uses it.
"""

import logging
import re
from collections.abc import Generator, Iterator
from enum import Enum, auto

from crypto_predict.http_server import request_head
from crypto_predict.http_server.request_head import FAULT, Bodies, Refusal

LINE_BYTES = 4_096  # of a chunk-size line with its extensions, or of a trailer field

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_SIZE = re.compile(rb"([0-9A-Fa-f]+)(?:;%b(?:=(?:%b|%b))?)*" % (_TOKEN, _TOKEN, _QUOTED))  # as strictly as llhttp
_TRAILER = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")

_log = logging.getLogger("crypto_predict.server")


class Need(Enum):
    """What must arrive before parsing can continue."""

    REQUEST = auto()  # the first byte of a request
    REST = auto()  # the rest of a request
    BODY = auto()  # a body, which the client sends after 100 Continue


def requests(arrived: bytearray, bodies: Bodies) -> Iterator[request_head.Request | Need]:
    """Yield each request, valid or refused, and before it what is needed to complete it.

    The connection must be closed after a refused request.
    """
    while True:
        yield (yield from _request(arrived, bodies))  # a variable would keep it while the connection is idle


def _request(arrived: bytearray, bodies: Bodies) -> Generator[Need, None, request_head.Request]:
    request = request_head.Request(bodies)
    try:
        request_head.read((yield from _head(arrived)), request)
        if request.expects_continue and (request.length or request.chunked) and not arrived:
            yield Need.BODY
        body = request.body if request.uses_body else None
        if request.chunked:
            yield from _read_chunks(arrived, request, body)
        else:
            yield from _read(request.length, arrived, body)
    except Refusal as refusal:
        arrived.clear()
        request.refusal = refusal.with_traceback(None)  # a traceback would keep the frames and their data alive
    except Exception:  # noqa: BLE001 a fault in here must not end the loop
        _log.exception("a request could not be read")
        request.refusal = Refusal(500, FAULT)
    return request


def _head(arrived: bytearray) -> Generator[Need, None, bytes]:
    """Remove the next head, and return it without the empty line at its end."""
    checked = 0
    while True:
        while arrived.startswith(b"\r\n"):  # RFC 9112 (2.2) lets empty lines precede a request
            del arrived[:2]
            checked = 0
        end = arrived.find(b"\r\n\r\n", max(0, checked - 3))
        size = len(arrived) if end < 0 else end + 2
        request_head.check(arrived, checked, size)
        if end >= 0:
            break
        checked = size
        yield Need.REST if arrived else Need.REQUEST
    head = bytes(arrived[:end])
    del arrived[: end + 4]
    return head


def _read(length: int, arrived: bytearray, body: bytearray | None) -> Generator[Need, None, None]:
    """Remove the next `length` bytes, and add them to the body if it is used."""
    while length > len(arrived):
        length -= len(arrived)
        if body is not None:
            body += arrived
        arrived.clear()
        yield Need.REST
    if body is not None:
        body += arrived[:length]
    del arrived[:length]


def _read_chunks(
    arrived: bytearray, request: request_head.Request, body: bytearray | None
) -> Generator[Need, None, None]:
    """Remove a body in chunks (RFC 9112, section 7.1), and add them to the body if it is used.

    Raises:
        Refusal: The body is not valid, or too long.
    """
    total = 0
    while True:
        match = _SIZE.fullmatch((yield from _line(arrived)))
        if match is None:
            raise Refusal(
                400, "the size of a chunk must be a hexadecimal number; extensions after it are ;name or ;name=value"
            )
        size = int(match[1], 16)
        if size == 0:
            break
        total += size
        request.check_length(total)
        yield from _read(size, arrived, body)
        while len(arrived) < 2:
            yield Need.REST
        if not arrived.startswith(b"\r\n"):
            raise Refusal(400, "a chunk of the body does not end where its size says")
        del arrived[:2]
    for _ in range(request_head.FIELDS):
        trailer = yield from _line(arrived)
        if not trailer:
            return
        if not _TRAILER.fullmatch(trailer):
            raise Refusal(400, "a trailer field after the body must be a name, a colon and a value")
    raise Refusal(431, f"a body must have at most {request_head.FIELDS} trailer fields")


def _line(arrived: bytearray) -> Generator[Need, None, bytes]:
    """Remove the next line, and return it without CR LF."""
    searched = 0
    while (end := arrived.find(b"\n", searched)) < 0 and len(arrived) < LINE_BYTES:
        searched = len(arrived)
        yield Need.REST
    line = bytes(arrived[:end])
    if not 0 < end <= LINE_BYTES or not line.endswith(b"\r"):
        raise Refusal(
            400, f"a line between the chunks of a body must end with CR LF and have at most {LINE_BYTES} bytes"
        )
    del arrived[: end + 1]
    return line[:-1]
