"""How Poloniex is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crypto_predict.sources.address import address


@dataclass(frozen=True, slots=True)
class PoloniexSettings:
    """The addresses. They are never printed: they may contain a password."""

    api_url: str = field(default="https://api.poloniex.com", repr=False)
    stream_url: str = field(default="wss://ws.poloniex.com/ws/public", repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> PoloniexSettings:
        """Read ``POLONIEX_API_URL`` and ``POLONIEX_STREAM_URL``. An empty value counts as absent.

        Raises:
            InvalidValue: An address is not an address.
        """
        return cls(
            address(environ, "POLONIEX_API_URL", cls().api_url),
            address(environ, "POLONIEX_STREAM_URL", cls().stream_url, ("ws", "wss")),
        )
