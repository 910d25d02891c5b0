"""How Binance is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crypto_predict.sources.address import address


@dataclass(frozen=True, slots=True)
class BinanceSettings:
    """The addresses. They are never printed: they may contain passwords.

    The defaults are the hosts of market data. The main ones refuse some countries, and with them GitHub's runners.
    """

    api_url: str = field(default="https://data-api.binance.vision", repr=False)
    stream_url: str = field(default="wss://data-stream.binance.vision", repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> BinanceSettings:
        """Read ``BINANCE_API_URL`` and ``BINANCE_STREAM_URL``. An empty value counts as absent.

        Raises:
            InvalidValue: An address is not an address.
        """
        default = cls()
        return cls(
            address(environ, "BINANCE_API_URL", default.api_url),
            address(environ, "BINANCE_STREAM_URL", default.stream_url, ("ws", "wss")),
        )
