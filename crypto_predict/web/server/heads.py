"""Parse the head of an HTTP/1.1 request strictly by RFC 9112, in linear time."""

from __future__ import annotations

import re
from io import BytesIO
from ipaddress import IPv6Address
from itertools import islice
from urllib.parse import unquote_to_bytes

from crypto_predict.web.questions import shortened
from crypto_predict.web.refusals import Refusal

HEAD_BYTES = 16_384  # request line and header fields: enough for cookies and a long address
FIELDS = 100  # header fields: a parsed field takes several times its bytes
BODY_BYTES = 65_536  # bodies are not used, only skipped

_TEXT = bytes([*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)])  # bytes that a head may hold
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(r"HTTP/([0-9])\.([0-9])")
_ABSOLUTE = re.compile(r"(?i:https?)://(?P<authority>[^/?#]*)(?P<rest>.*)")
_AUTHORITY = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]{2,45})\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::(?P<port>[0-9]{0,5}))?"
)
_LENGTH = re.compile(r"[0-9]{1,19}")


class Request:
    """One request, with the attributes that Waitress' tasks read."""

    __slots__ = (
        "chunked",
        "command",
        "expects_continue",
        "headers",
        "length",
        "path",
        "query",
        "refusal",
        "request_uri",
        "url_scheme",
        "version",
    )

    def __init__(self) -> None:
        self.command = ""
        self.path = ""
        self.query = ""
        self.request_uri = ""
        self.url_scheme = "http"
        self.version = "1.1"
        self.headers: dict[str, str] = {}  # by WSGI name without HTTP_: {"USER_AGENT": ...}
        self.length = 0  # of the body, in bytes
        self.chunked = False
        self.expects_continue = False
        self.refusal: Refusal | None = None

    def get_body_stream(self) -> BytesIO:
        """Return an empty stream: the body has been discarded before the application is called."""
        return BytesIO()


def check_begin(head: bytearray, checked: int) -> None:
    """Check an incomplete head, whose first `checked` bytes were checked before.

    Raises:
        Refusal: It cannot become a valid head, or it is too long.
    """
    if head[checked:].translate(None, _TEXT):
        raise Refusal(400, "the head of a request cannot hold control characters")
    fresh = head[checked - head.endswith(b"\r", 0, checked) :]
    ends = fresh.count(b"\r\n")
    if fresh.count(b"\n") > ends or fresh.count(b"\r", 0, -1) > ends:
        raise Refusal(400, "each line of a request's head ends with CR LF")
    if len(head) >= HEAD_BYTES:
        line, end, _ = head.partition(b"\r\n")
        if line.count(b" ") > 2:
            raise Refusal(400, _NOT_A_LINE)
        if not end:
            raise Refusal(414, f"the address of a request must be shorter than {HEAD_BYTES} bytes")
        raise Refusal(431, f"the head of a request must be shorter than {HEAD_BYTES} bytes")


def read(head: bytes | bytearray, request: Request) -> None:
    """Read a complete head, without the empty line at its end, into `request`. After a fault the rest is not read.

    Raises:
        Refusal: The head is not valid, or requires a feature that this server does not support.
    """
    if head.translate(None, _TEXT):
        raise Refusal(400, "the head of a request cannot hold control characters")
    text = head.decode("latin-1")
    lines = text.split("\r\n")
    if text.count("\r") >= len(lines) or text.count("\n") >= len(lines):
        raise Refusal(400, "each line of a request's head ends with CR LF")
    authority = _read_first_line(lines[0], request)
    if len(lines) > FIELDS + 1:
        raise Refusal(431, f"a request must have at most {FIELDS} header fields")
    _read_fields(lines, request.headers)
    _check_host(request, authority)
    _read_connection(request)
    _read_framing(request)
    _read_expectation(request)


_NOT_A_LINE = "the first line of a request must be a method, an address and a version: GET /docs HTTP/1.1"


def _read_first_line(line: str, request: Request) -> str | None:
    """Read the request line. Return the authority if the target has one."""
    parts = line.split(" ")
    if len(parts) != 3:
        raise Refusal(400, _NOT_A_LINE)
    method, target, version = parts
    request.version = _version(version)
    if not _TOKEN.fullmatch(method) or method != method.upper():
        raise Refusal(400, f"{shortened(method)!r} is not a method: methods are upper case, such as GET")
    request.command = method
    return _read_target(target, request)


def _version(text: str) -> str:
    """Return 1.0 or 1.1: clients of a later HTTP/1.x understand answers of 1.1."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise Refusal(400, f"{shortened(text)!r} is not an HTTP version, such as HTTP/1.1")
    major, minor = match.groups()
    if major != "1":
        raise Refusal(505, f"{text} is not supported: use HTTP/1.1")
    return "1.0" if minor == "0" else "1.1"


def _read_target(target: str, request: Request) -> str | None:
    """Read one of the four forms of a target: origin, absolute, authority, asterisk. Return the authority, if any."""
    authority = None
    if request.command == "CONNECT":
        raise Refusal(501 if _is_authority(target) else 400, "this server is not a proxy")
    if not target.startswith("/"):
        if target == "*" and request.command == "OPTIONS":
            target = "/"  # every address has the same methods
        elif match := _ABSOLUTE.fullmatch(target):
            authority, rest = match.group("authority", "rest")
            target = rest if rest.startswith("/") else f"/{rest}"
        else:
            raise Refusal(400, f"{shortened(target)!r} is not an address: it must start with / or http://")
    if "#" in target or "\t" in target:
        raise Refusal(400, f"{shortened(target)!r} is not an address: it cannot have a fragment (#...) or a tab")
    request.request_uri = target
    path, _, request.query = target.partition("?")
    request.path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1") if "%" in path else path
    return authority


def _read_fields(lines: list[str], headers: dict[str, str]) -> None:
    for line in islice(lines, 1, None):
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise Refusal(400, f"{shortened(line)!r} is not a header field: expected a name, a colon and a value")
        if "_" in name:  # in WSGI it would be the same as the one with a hyphen
            continue
        key = name.upper().replace("-", "_")
        value = value.strip(" \t")
        if key in headers:
            if key == "HOST":
                raise Refusal(400, "a request must have one Host header field, this one has several")
            value = f"{headers[key]}, {value}"
        headers[key] = value


def _check_host(request: Request, authority: str | None) -> None:
    host = request.headers.get("HOST")
    if host is None and request.version != "1.0":
        raise Refusal(400, "a request must have one Host header field, this one has none")
    for name in (host, authority):
        if name is not None and not _is_authority(name):
            raise Refusal(400, f"{shortened(name)!r} is not a host, with or without a port")
    if authority is not None:
        request.headers["HOST"] = authority


def _is_authority(text: str) -> bool:
    """Whether a text is a host, with or without a port."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65_535:
        return False
    if match["address"]:
        try:
            IPv6Address(match["address"])
        except ValueError:
            return False
    return True


def _read_connection(request: Request) -> None:
    """Reduce the Connection field to the one option that Waitress' tasks compare it with."""
    field = request.headers.get("CONNECTION")
    if field is not None:
        options = _items(field)
        request.headers["CONNECTION"] = next((word for word in ("close", "keep-alive") if word in options), "")


def _read_framing(request: Request) -> None:
    """Read how long the body is. Ambiguous framing is refused, as it allows request smuggling."""
    length = request.headers.pop("CONTENT_LENGTH", None)
    codings = request.headers.pop("TRANSFER_ENCODING", None)
    if codings is not None:
        if length is not None:
            raise Refusal(400, "a request cannot have both Transfer-Encoding and Content-Length")
        if request.version == "1.0":
            raise Refusal(400, "a request of HTTP/1.0 cannot have Transfer-Encoding")
        if set(_items(codings)) - {"chunked", ""}:
            raise Refusal(501, f"Transfer-Encoding {shortened(codings)!r} is not supported: use chunked alone")
        if _items(codings) != ["chunked"]:
            raise Refusal(400, f"Transfer-Encoding {shortened(codings)!r} is not valid: use chunked, once")
        request.chunked = True
    elif length is not None:
        if not _LENGTH.fullmatch(length):
            raise Refusal(400, f"Content-Length {shortened(length)!r} is not a number of bytes")
        request.length = int(length)
        if request.length >= BODY_BYTES:
            raise too_long_a_body()


def too_long_a_body() -> Refusal:
    """Return the refusal of a request whose body is too long."""
    return Refusal(413, f"the body of a request must be shorter than {BODY_BYTES} bytes")


def _read_expectation(request: Request) -> None:
    expected = request.headers.get("EXPECT")
    if expected is not None and request.version != "1.0":
        if expected.lower() != "100-continue":
            raise Refusal(417, f"Expect {shortened(expected)!r} is not supported: use 100-continue")
        request.expects_continue = True


def _items(field: str) -> list[str]:
    """The items of a comma-separated list, in lower case."""
    return [item.strip(" \t").lower() for item in field.split(",")]
