"""The settings of the server, and the readers of option values; `command_line` parses the options."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH

_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&*+,;=%-]{1,2000}")
_LABEL = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,99}")
_USER = re.compile(r"//.*@")  # greedy: a password may hold a slash, an @ or a space that should have been encoded
_QUERY = re.compile(r"(://[^\s?]*)\?[^\s\"'<>]+")
DEFAULT_DATABASE = "data/market.db"
LEAST_TOKEN, TOKEN_BYTES = 16, 1_024  # characters that cannot be guessed; bytes: more does not make it safer
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How one server is run."""

    model: Path  # a model file, or a folder of them
    host: str
    port: int
    threads: int
    stale_after: timedelta  # a model or a newest price older than this is reported by /fresh
    cache_for: timedelta  # answers may be cached until the model is this old, unless a training is planned
    log_level: str  # debug, info, warning or error
    repository_url: str | None = None  # address of the project, to which the documentation links
    database: str | None = None  # address of the database of the market
    collect: bool = False  # whether the same process collects into that database
    admin_token: str | None = field(default=None, repr=False)  # who knows it may change which pairs are collected
    greet: bool = False  # whether the address is also printed for a person
    memory: int = 64  # megabytes for the pairs of a folder of models that were asked for
    site_url: str | None = None  # address of the site itself, which ends with a slash, for the links of the feed


def ledger_beside(model: Path) -> Path:
    """Return the path of the ledger beside a model: ``model.ledger.jsonl`` beside ``model.pkl``."""
    return model.parent / f"{model.stem}.ledger.jsonl"  # a path such as ".." has no name to replace


def file_path(text: str) -> Path:
    """Read the path of a file; an empty one, which `Path` reads as the current folder, is refused."""
    if not text:
        raise InvalidValue("path", text, "the path of a file")
    return Path(text)


def boolean(text: str) -> bool:
    """Read ``1``, ``true``, ``yes``, ``on`` and their opposites."""
    if text.lower() not in _TRUE | _FALSE:
        raise InvalidValue("flag", text, "true or false")
    return text.lower() in _TRUE


def whole_number(name: str, least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers between `least` and `most`, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise InvalidValue(name, text, f"a whole number from {least} to {most}")
        return int(text)

    return read


def day(text: str) -> date:
    """Read an ISO 8601 date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidValue("date", text, "an ISO date such as 2025-06-30") from error


def label(name: str, text: str | None) -> str | None:
    """Read a version or a revision, which appears in answers and metrics; None or empty if it is not set."""
    if text and not _LABEL.fullmatch(text):
        raise InvalidValue(name, text, "a label such as 1.2.3: ASCII letters, digits and . _ + - only, at most 100")
    return text or None


def admin_token(environ: Mapping[str, str]) -> str | None:
    """Read ``ADMIN_TOKEN``; None if it is blank or not set.

    One that can be guessed, or that no header of a request can carry, is refused; the message does not contain it.
    """
    token = environ.get("ADMIN_TOKEN", "").strip()
    if len(os.fsencode(token)) > TOKEN_BYTES or any(ord(letter) < 32 or ord(letter) == 127 for letter in token):
        raise InvalidValue("ADMIN_TOKEN", "***", f"one line of at most {TOKEN_BYTES} bytes")
    if 0 < len(token) < LEAST_TOKEN:
        expected = f"a token of at least {LEAST_TOKEN} characters, such as the output of `openssl rand -hex 32`"
        raise InvalidValue("ADMIN_TOKEN", "***", expected)
    return token or None


def masked(text: str) -> str:
    """Mask the user before an ``@`` and the query after a ``?`` in addresses: they may hold passwords and keys."""
    return _QUERY.sub(r"\1?***", _USER.sub("//***@", text))


def web_address(text: str) -> str | None:
    """Read ``https://example.org/project``; None if the text is empty."""
    if text and not _WEB_ADDRESS.fullmatch(text):
        raise InvalidValue("address", text, "an address such as https://example.org/project")
    return text or None


def site_address(text: str) -> str | None:
    """Read ``https://example.org/`` with or without the slash at its end; None if the text is empty."""
    address = web_address(text)
    if address and ("?" in address or "#" in address):  # no path can be added
        raise InvalidValue("address", text, "the address of a site such as https://example.org/, without ? and #")
    return f"{address.rstrip('/')}/" if address else None


def instant_of_epoch(text: str | None) -> datetime | None:
    """Read ``SOURCE_DATE_EPOCH``: whole seconds since 1970; None or blank if it is not set."""
    if not (text := (text or "").strip()):
        return None
    return EPOCH + timedelta(seconds=whole_number("SOURCE_DATE_EPOCH", 0, 253_402_300_799)(text))
