"""Pairs of currencies, and the names of their series of candles."""

import re
from dataclasses import dataclass
from pathlib import Path

from crypto_predict.errors import InvalidValue
from crypto_predict.market.interval import Interval

_PAIR = re.compile(r"([A-Z0-9]{1,20})[/_-]([A-Z0-9]{2,10})")


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two currencies: one `base` costs an amount of `quote`. Written ``BTC/USD``, or ``BTC-USD`` in a path."""

    base: str  # 1 to 20 capital letters and digits
    quote: str  # 2 to 10

    @classmethod
    def parse(cls, text: str) -> "Pair":
        """Read ``BTC/USD``, ``BTC-USD`` or ``btc_usd``; raise `InvalidValue` if the text is not a pair."""
        match = _PAIR.fullmatch(text.strip().upper())
        if match is None or not text.isascii():
            raise InvalidValue("pair", text, "two currencies such as BTC/USD")
        return cls(match[1], match[2])

    @property
    def slug(self) -> str:
        """The pair as one path segment: ``BTC-USD``."""
        return f"{self.base}-{self.quote}"

    def fill(self, template: Path) -> Path:
        """Insert the currencies for ``{base}`` and ``{quote}`` in a path."""
        return Path(str(template).replace("{base}", self.base).replace("{quote}", self.quote))

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """A series of candles, written ``BTC/USD 1m from alpaca``. Prices of different sources are never mixed in one."""

    source: str  # the id of a `CandleSource`
    pair: Pair
    interval: Interval

    def __str__(self) -> str:
        return f"{self.pair} {self.interval.label} from {self.source}"
