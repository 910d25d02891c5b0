"""How Alpaca is reached."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from crypto_predict.errors import InvalidValue
from crypto_predict.settings import masked
from crypto_predict.sources.address import address

_LOCATION = re.compile(r"[a-z0-9-]{2,20}")
_STREAM_OF_LOCATION = re.compile(rf"/crypto/({_LOCATION.pattern})$")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AlpacaSettings:
    """Addresses and keys. They are never printed: an address may contain a password."""

    data_url: str = field(default="https://data.alpaca.markets", repr=False)
    api_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    stream_url: str = field(default="wss://stream.data.alpaca.markets/v1beta3/crypto/us", repr=False)
    location: str = "us"  # of REST and of the stream: each is a venue with prices of its own

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> AlpacaSettings:
        """Read ``ALPACA_DATA_URL``, ``ALPACA_STREAM_URL``, ``ALPACA_LOCATION``, and the two keys, ``ALPACA_..._KEY``.

        An empty value counts as absent. The location of an address of the stream is that of REST, too.

        Raises:
            InvalidValue: An address is not one, it is that of another location, or a key contains a character that HTTP
                headers cannot contain.
        """
        data_url = address(environ, "ALPACA_DATA_URL", cls().data_url)
        named = environ.get("ALPACA_LOCATION")
        if named and not _LOCATION.fullmatch(named):
            raise InvalidValue("ALPACA_LOCATION", named, "a location of Alpaca such as us, us-1 or eu-1")
        default = cls().stream_url.removesuffix(cls().location) + (named or cls().location)
        stream_url = address(environ, "ALPACA_STREAM_URL", default, ("ws", "wss"))
        streamed = _STREAM_OF_LOCATION.search(stream_url)
        location = named or (streamed[1] if streamed else cls().location)
        if streamed and streamed[1] != location:
            raise InvalidValue("ALPACA_STREAM_URL", masked(stream_url), f"of the location {location}, ALPACA_LOCATION")
        keys = {name: key for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY") if (key := environ.get(name))}
        for name, key in keys.items():
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise InvalidValue(name, "(not shown)", "a key from Alpaca, which has letters and digits only")
        if len(keys) == 1:
            _log.warning("only %s is set, and Alpaca needs both keys or neither: no key is used", *keys)
            keys = {}
        return cls(data_url, keys.get("ALPACA_API_KEY"), keys.get("ALPACA_SECRET_KEY"), stream_url, location)

    def keys(self) -> dict[str, str]:
        """Return both keys by the names of their variables, or nothing."""
        if self.api_key is None or self.secret_key is None:
            return {}
        return {"ALPACA_API_KEY": self.api_key, "ALPACA_SECRET_KEY": self.secret_key}
