"""Parse the head of an HTTP/1.1 request by RFC 9112, strictly and in linear time."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

_NOT_A_LINE = "the first line of a request must be a method, an address and a version: GET /docs HTTP/1.1"
_TEXT = bytes([*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)])  # bytes that a head may hold
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE = re.compile(r"([^ ]*) ([^ ]*) (HTTP/([0-9])\.([0-9]))")
_ABSOLUTE = re.compile(r"(?i:https?)://(?P<authority>[^/?#]*)(?P<rest>.*)")
_AUTHORITY = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]{2,45})\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::(?P<port>[0-9]{0,5}))?"
)


Bodies = Mapping[tuple[str, str], int]  # by method and path of a request whose body is used, its limit in bytes


class Refusal(CryptoPredictError):
    """A request is refused with `status` because of `detail`, and its connection is closed after the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(slots=True)
class Request:
    """One request, with the attributes that Waitress' tasks read."""

    bodies: Bodies
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

    @property
    def uses_body(self) -> bool:
        """Whether the application reads the body; otherwise it is discarded as it arrives."""
        return (self.command, self.path) in self.bodies

    def check_length(self, length: int) -> None:
        """Check the length of a body in bytes, or of the part of it that has been announced.

        Raises:
            Refusal: It is too long.
        """
        most = self.bodies.get((self.command, self.path), BODY_BYTES)
        if length >= most:
            raise Refusal(413, f"the body of a request must be shorter than {most} bytes here")

    def get_body_stream(self) -> BytesIO:
        """Return the body."""
        return BytesIO(self.body)


def check(head: bytearray, checked: int, size: int) -> None:
    """Check the lines in `head[:size]`, whose first `checked` bytes were checked before. The last line may be cut.

    Raises:
        Refusal: It cannot become a valid head, or it is too long.
    """
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


def read(head: bytes, request: Request) -> None:
    """Read a checked head, without the empty line at its end, into `request`. After a fault the rest is not read.

    Raises:
        Refusal: The head is not valid, or requires a feature that this server does not support.
    """
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
    request.check_length(request.length)
    if authority is not None:
        headers["HOST"] = authority
    if "CONNECTION" in headers:  # Waitress' tasks compare it with one option
        options = _items(headers["CONNECTION"])
        headers["CONNECTION"] = next((option for option in ("close", "keep-alive") if option in options), "")


def _read_first_line(line: str, request: Request) -> str | None:
    """Read the request line. Return the authority if its target has one."""
    match = _LINE.fullmatch(line)
    if match is None:
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
    if match["address"]:
        try:
            IPv6Address(match["address"])
        except AddressValueError:
            return False
    return True


def _items(text: str) -> list[str]:
    """Return the items of a comma-separated list, in lower case."""
    return [item.strip(" \t") for item in text.lower().split(",")]


_UNKNOWN_CODING = "Transfer-Encoding {} is not supported: use chunked alone"

# Fields with one valid form: by name, the check of a value, and the status and reason of a refusal.
_FIELD_RULES: tuple[tuple[str, Callable[[str], object], int, str], ...] = (
    ("HOST", _is_authority, 400, "{} is not a host, with or without a port"),
    ("TRANSFER_ENCODING", lambda text: set(_items(text)) <= {"chunked", ""}, 501, _UNKNOWN_CODING),
    (
        "TRANSFER_ENCODING",
        lambda text: text.lower() == "chunked",
        400,
        "Transfer-Encoding {} is not valid: use chunked, once",
    ),
    ("CONTENT_LENGTH", re.compile("[0-9]{1,19}").fullmatch, 400, "Content-Length {} is not a number of bytes"),
    ("EXPECT", lambda text: text.lower() == "100-continue", 417, "Expect {} is not supported: use 100-continue"),
)
