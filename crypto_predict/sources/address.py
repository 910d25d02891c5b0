"""The address of an exchange, which an environment variable may replace."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from crypto_predict.errors import InvalidValue
from crypto_predict.settings import masked


def address(environ: Mapping[str, str], name: str, default: str, schemes: tuple[str, str] = ("http", "https")) -> str:
    """Return the base address in the variable `name`, without a slash at its end; `default` if it is absent or empty.

    Raises:
        InvalidValue: The value is not an address. Passwords in it are masked.
    """
    url = environ.get(name) or default
    try:
        parts = urlsplit(url)
        sound = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        # A slash in a password would end the host, and the rest of the password would be printed in messages.
        sound = sound and url.isprintable() and not (parts.query or parts.fragment or "@" in parts.path)
    except ValueError:
        sound = False
    if not sound:
        raise InvalidValue(name, masked(url), f"an address such as {default}")
    return url.rstrip("/")
