"""How Binance is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crypto_predict.sources.address import address


@dataclass(frozen=True, slots=True)
class BinanceSettings:
    """The address. It is never printed: it may contain a password.

    The default is the host of market data. The main one refuses some countries, and with them GitHub's runners.
    """

    api_url: str = field(default="https://data-api.binance.vision", repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> BinanceSettings:
        """Read ``BINANCE_API_URL``. An empty value counts as absent.

        Raises:
            InvalidValue: The address is not an address.
        """
        return cls(address(environ, "BINANCE_API_URL", cls().api_url))
