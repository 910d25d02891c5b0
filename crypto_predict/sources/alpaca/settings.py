"""How Alpaca is reached."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from crypto_predict.errors import InvalidValue
from crypto_predict.sources.address import address

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AlpacaSettings:
    """Address and keys. They are never printed: an address may contain a password."""

    data_url: str = field(default="https://data.alpaca.markets", repr=False)
    api_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> AlpacaSettings:
        """Read ``ALPACA_DATA_URL``, ``ALPACA_API_KEY`` and ``ALPACA_SECRET_KEY``. An empty value counts as absent.

        Raises:
            InvalidValue: The address is not an address, or a key contains a character that HTTP headers cannot contain.
        """
        url = address(environ, "ALPACA_DATA_URL", cls().data_url)
        keys = {name: key for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY") if (key := environ.get(name))}
        for name, key in keys.items():
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise InvalidValue(name, "(not shown)", "a key from Alpaca, which has letters and digits only")
        if len(keys) == 1:
            _log.warning("only %s is set, and Alpaca needs both keys or neither: no key is used", *keys)
            keys = {}
        return cls(url, *keys.values())

    def keys(self) -> dict[str, str]:
        """Return both keys by the names of their variables, or nothing."""
        if self.api_key is None or self.secret_key is None:
            return {}
        return {"ALPACA_API_KEY": self.api_key, "ALPACA_SECRET_KEY": self.secret_key}
