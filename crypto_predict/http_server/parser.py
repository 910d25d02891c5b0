"""Parse the bytes of a connection into requests by RFC 9112: strictly, in linear time, however packets split them.

The generators share a buffer with the caller, who appends bytes as they arrive and then resumes them. They remove
what they have parsed, and yield when they need more. The body of a request is checked and measured, and
discarded unless the application uses it.
"""

import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from io import BytesIO
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote_to_bytes

from crypto_predict.errors import CryptoPredictError, shortened

# Keys of the WSGI environment. An application must answer a request with one of them at once.
REFUSAL = "crypto_predict.refusal"  # why the request is refused
BUSY = "crypto_predict.busy"  # True: the request has waited too long for a turn

FAULT = "this is a fault of the server; it has been logged"  # clients get no details
HEAD_BYTES = 16_384  # request line and header fields: enough for cookies and a long address
FIELDS = 100  # header fields: a parsed field takes several times its bytes
BODY_BYTES = 65_536  # a body that is not used, only skipped, is shorter
LINE_BYTES = 4_096  # of a chunk-size line with its extensions, or of a trailer field

_NOT_A_LINE = "the first line of a request must be a method, an address and a version: GET /docs HTTP/1.1"
_TEXT = bytes([*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)])  # bytes that a head may hold
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TOKEN = re.compile(_WORD)
_LINE = re.compile(r"([^ ]*) ([^ ]*) (HTTP/([0-9])\.([0-9]))")
_ABSOLUTE = re.compile(r"(?i:https?)://(?P<authority>[^/?#]*)(?P<rest>.*)")
_AUTHORITY = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]{2,45})\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::(?P<port>[0-9]{0,5}))?"
)
_NAME = _WORD.encode()
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_SIZE = re.compile(rb"([0-9A-Fa-f]+)(?:;%b(?:=(?:%b|%b))?)*" % (_NAME, _NAME, _QUOTED))  # as strictly as llhttp
_TRAILER = re.compile(_NAME + rb":[\t\x20-\x7e\x80-\xff]*")

_log = logging.getLogger("crypto_predict.server")

Bodies = Mapping[tuple[str, str], int]  # by method and path of a request whose body is used, its limit in bytes


class Refusal(CryptoPredictError):
    """A request is refused with `status` because of `detail`, and its connection is closed after the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(slots=True)
class Request:
    """One request, with the attributes that Waitress' tasks read."""

    command: str = ""
    path: str = ""
    query: str = ""
    request_uri: str = ""
    url_scheme: str = "http"
    version: str = "1.1"
    headers: dict[str, str] = field(default_factory=dict)  # by WSGI name without HTTP_: {"USER_AGENT": ...}
    length: int = 0  # of the body, in bytes
    chunked: bool = False
    expects_continue: bool = False
    body: bytearray = field(default_factory=bytearray)  # empty unless it is used
    refusal: Refusal | None = None

    def get_body_stream(self) -> BytesIO:
        """Return the body."""
        return BytesIO(self.body)


class Need(Enum):
    """What must arrive before parsing can continue."""

    REQUEST = auto()  # the first byte of a request
    REST = auto()  # the rest of a request
    BODY = auto()  # a body, which the client sends after 100 Continue


def requests(arrived: bytearray, bodies: Bodies) -> Iterator[Request | Need]:
    """Yield each request, valid or refused, and before it what is needed to complete it.

    The connection must be closed after a refused request.
    """
    while True:
        yield (yield from _request(arrived, bodies))  # a variable would keep it while the connection is idle


def _request(arrived: bytearray, bodies: Bodies) -> Generator[Need, None, Request]:
    request = Request()
    try:
        _read_head((yield from _head(arrived)), request)
        most = bodies.get((request.command, request.path))
        _check_length(request.length, most)
        if request.expects_continue and (request.length or request.chunked) and not arrived:
            yield Need.BODY
        body = None if most is None else request.body
        if request.chunked:
            yield from _read_chunks(arrived, body, most)
        else:
            yield from _read(request.length, arrived, body)
    except Refusal as refusal:
        arrived.clear()
        request.refusal = refusal.with_traceback(None)  # a traceback would keep the frames and their data alive
    except Exception:  # noqa: BLE001 a fault in here must not end the loop
        _log.exception("a request could not be read")
        request.refusal = Refusal(500, FAULT)
    return request


def _check_length(length: int, most: int | None) -> None:
    """Check the bytes of a body, or those that have been announced so far; `most` is None if it is not used."""
    most = BODY_BYTES if most is None else most
    if length >= most:
        raise Refusal(413, f"the body of a request must be shorter than {most} bytes here")


def _head(arrived: bytearray) -> Generator[Need, None, bytes]:
    """Remove the next head, and return it without the empty line at its end."""
    checked = 0
    while True:
        while arrived.startswith(b"\r\n"):  # RFC 9112 (2.2) lets empty lines precede a request
            del arrived[:2]
            checked = 0
        end = arrived.find(b"\r\n\r\n", max(0, checked - 3))
        size = len(arrived) if end < 0 else end + 2
        _check(arrived, checked, size)
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


def _read_chunks(arrived: bytearray, body: bytearray | None, most: int | None) -> Generator[Need, None, None]:
    """Remove a body in chunks (RFC 9112, section 7.1), and add them to the body if it is used."""
    total = 0
    while True:
        match = _SIZE.fullmatch((yield from _line(arrived)))
        if match is None:
            expected = "a hexadecimal number; extensions after it are ;name or ;name=value"
            raise Refusal(400, f"the size of a chunk must be {expected}")
        size = int(match[1], 16)
        if size == 0:
            break
        total += size
        _check_length(total, most)
        yield from _read(size, arrived, body)
        while len(arrived) < 2:
            yield Need.REST
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


def _line(arrived: bytearray) -> Generator[Need, None, bytes]:
    """Remove the next line, and return it without CR LF."""
    searched = 0
    while (end := arrived.find(b"\n", searched)) < 0 and len(arrived) < LINE_BYTES:
        searched = len(arrived)
        yield Need.REST
    line = bytes(arrived[:end])
    if not 0 < end <= LINE_BYTES or not line.endswith(b"\r"):
        limits = f"must end with CR LF and have at most {LINE_BYTES} bytes"
        raise Refusal(400, f"a line between the chunks of a body {limits}")
    del arrived[: end + 1]
    return line[:-1]


def _check(head: bytearray, checked: int, size: int) -> None:
    """Check the lines in `head[:size]`, whose first `checked` bytes were checked before. The last line may be cut."""
    fresh = head[checked - head.endswith(b"\r", 0, checked) : size]
    if fresh.translate(None, _TEXT):
        raise Refusal(400, "the head of a request cannot hold control characters")
    ends = fresh.count(b"\r\n")
    if fresh.count(b"\n") > ends or fresh.count(b"\r", 0, -1) > ends:
        raise Refusal(400, "each line of a request's head ends with CR LF")
    if size >= HEAD_BYTES:
        line, end, _ = head.partition(b"\r\n")
        if line.count(b" ") > 2:
            raise Refusal(400, _NOT_A_LINE)
        if not end:
            raise Refusal(414, f"the address of a request must be shorter than {HEAD_BYTES} bytes")
        raise Refusal(431, f"the head of a request must be shorter than {HEAD_BYTES} bytes")


def _read_head(head: bytes, request: Request) -> None:
    """Read a checked head, without the empty line at its end, into `request`. After a fault the rest is not read."""
    first, *fields = head.decode("latin-1").split("\r\n")
    authority = _read_first_line(first, request)
    if len(fields) > FIELDS:
        raise Refusal(431, f"a request must have at most {FIELDS} header fields")
    headers = request.headers
    _read_fields(fields, headers)
    if request.version == "1.0":
        headers.pop("EXPECT", None)  # RFC 9110 (10.1.1): ignore it
    elif "HOST" not in headers:
        raise Refusal(400, "a request must have one Host header field, this one has none")
    if "TRANSFER_ENCODING" in headers:  # ambiguous framing allows request smuggling
        if "CONTENT_LENGTH" in headers:
            raise Refusal(400, "a request cannot have both Transfer-Encoding and Content-Length")
        if request.version == "1.0":
            raise Refusal(400, "a request of HTTP/1.0 cannot have Transfer-Encoding")
    for name, is_valid, status, reason in _FIELD_RULES:
        if name in headers and not is_valid(headers[name]):
            raise Refusal(status, reason.format(repr(shortened(headers[name]))))
    request.length = int(headers.pop("CONTENT_LENGTH", 0))
    request.chunked = headers.pop("TRANSFER_ENCODING", None) is not None
    request.expects_continue = "EXPECT" in headers
    if authority is not None:
        headers["HOST"] = authority
    if "CONNECTION" in headers:  # Waitress' tasks compare it with one option
        options = _items(headers["CONNECTION"])
        headers["CONNECTION"] = next((option for option in ("close", "keep-alive") if option in options), "")


def _read_first_line(line: str, request: Request) -> str | None:
    """Read the request line. Return the authority if its target has one."""
    if not (match := _LINE.fullmatch(line)):
        raise Refusal(400, _NOT_A_LINE)
    method, target, version, major, minor = match.groups()
    if major != "1":
        raise Refusal(505, f"{version} is not supported: use HTTP/1.1")
    request.version = "1.0" if minor == "0" else "1.1"  # clients of a later HTTP/1.x understand 1.1
    if not _TOKEN.fullmatch(method) or method != method.upper():
        raise Refusal(400, f"{shortened(method)!r} is not a method: methods are upper case, such as GET")
    request.command = method
    return _read_target(target, request)


def _read_target(target: str, request: Request) -> str | None:
    """Read one of the four forms of a target: origin, absolute, authority, asterisk. Return the authority, if any."""
    authority = None
    if request.command == "CONNECT":
        raise Refusal(501 if _is_authority(target) else 400, "this server is not a proxy")
    if target == "*" and request.command == "OPTIONS":
        target = "/"  # every address has the same methods
    elif match := _ABSOLUTE.fullmatch(target):
        authority, rest = match["authority"], match["rest"]
        if not _is_authority(authority):
            raise Refusal(400, f"{shortened(authority)!r} is not a host, with or without a port")
        target = rest if rest.startswith("/") else f"/{rest}"
    if not target.startswith("/"):
        raise Refusal(400, f"{shortened(target)!r} is not an address: it must start with / or http://")
    if "#" in target or "\t" in target:
        raise Refusal(400, f"{shortened(target)!r} is not an address: it cannot have a fragment (#...) or a tab")
    request.request_uri = target
    path, _, request.query = target.partition("?")
    request.path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1") if "%" in path else path
    return authority


def _read_fields(lines: list[str], headers: dict[str, str]) -> None:
    for line in lines:
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


def _is_authority(text: str) -> bool:
    """Whether a text is a host, with or without a port."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65_535:
        return False
    try:
        return not match["address"] or bool(IPv6Address(match["address"]))
    except AddressValueError:
        return False


def _items(text: str) -> list[str]:
    """Return the items of a comma-separated list, in lower case."""
    return [item.strip(" \t") for item in text.lower().split(",")]


_CODING = "Transfer-Encoding {} is not "

# Fields with one valid form: by name, the check of a value, and the status and reason of a refusal.
_FIELD_RULES: tuple[tuple[str, Callable[[str], object], int, str], ...] = (
    ("HOST", _is_authority, 400, "{} is not a host, with or without a port"),
    (
        "TRANSFER_ENCODING",
        lambda text: set(_items(text)) <= {"chunked", ""},
        501,
        _CODING + "supported: use chunked alone",
    ),
    ("TRANSFER_ENCODING", re.compile("(?i)chunked").fullmatch, 400, _CODING + "valid: use chunked, once"),
    ("CONTENT_LENGTH", re.compile("[0-9]{1,19}").fullmatch, 400, "Content-Length {} is not a number of bytes"),
    ("EXPECT", re.compile("(?i)100-continue").fullmatch, 417, "Expect {} is not supported: use 100-continue"),
)
