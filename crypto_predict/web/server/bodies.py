"""Skip the bodies of requests: check, measure and discard them as they arrive.

Each kind of body is a generator over the buffer of received bytes. It removes the bytes of the body from the buffer,
yields when it needs more, and returns at the end of the body.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from crypto_predict.web.refusals import Refusal
from crypto_predict.web.server.heads import BODY_BYTES, FIELDS, too_long_a_body

Body = Generator[None, None, None]

LINE_BYTES = 4_096  # of a chunk-size line with its extensions, or of a trailer field

_SIZE = re.compile(rb"([0-9A-Fa-f]+)[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


def of_length(length: int, arrived: bytearray) -> Body:
    """Skip a body of `length` bytes."""
    while length > len(arrived):
        length -= len(arrived)
        arrived.clear()
        yield
    del arrived[:length]


def chunked(arrived: bytearray) -> Body:
    """Skip a body in chunks (RFC 9112, section 7.1).

    Raises:
        Refusal: The body is not valid, or too long.
    """
    total = 0
    while size := _size((yield from _line(arrived))):
        total += size
        if total >= BODY_BYTES:
            raise too_long_a_body()
        yield from of_length(size, arrived)
        while len(arrived) < 2:
            yield
        if not arrived.startswith(b"\r\n"):
            raise Refusal(400, "a chunk of the body does not end where its size says")
        del arrived[:2]
    for _ in range(FIELDS):
        trailer = yield from _line(arrived)
        if not trailer:
            return
        if not _TRAILER.fullmatch(trailer):
            raise Refusal(400, "a trailer field after the body must be a name, a colon and a value")
    raise Refusal(431, f"a body must have at most {FIELDS} trailer fields")


def _size(line: bytes) -> int:
    match = _SIZE.fullmatch(line)
    if match is None:
        raise Refusal(400, "the size of a chunk must be a hexadecimal number")
    return int(match[1], 16)


def _line(arrived: bytearray) -> Generator[None, None, bytes]:
    """Remove the next line, and return it without CR LF."""
    searched = 0
    while (end := arrived.find(b"\n", searched)) < 0:
        searched = len(arrived)
        if searched >= LINE_BYTES:
            break
        yield
    line = bytes(arrived[:end])
    if not 0 < end <= LINE_BYTES or not line.endswith(b"\r"):
        raise Refusal(
            400, f"a line between the chunks of a body must end with CR LF and have at most {LINE_BYTES} bytes"
        )
    del arrived[: end + 1]
    return line[:-1]
