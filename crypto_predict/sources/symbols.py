"""The names of pairs at each exchange, and the pair that an exchange trades in place of the one asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crypto_predict.errors import UnusableHistory, shown
from crypto_predict.market import Pair

_CURRENCY = re.compile(r"[A-Z0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Symbols:
    """How one exchange writes a pair.

    Where nothing separates the currencies, `quotes` lists the quote currencies: ``BTCUSDT`` must mean BTC/USDT, never
    BTCU/SDT.
    """

    source: str  # the id of a `CandleSource`
    separator: str  # between base and quote currency
    longest: int  # characters of a symbol
    substitutes: Mapping[str, str] = field(default_factory=dict)  # quote currency to the one traded in its place
    quotes: frozenset[str] | None = None  # None: any

    def traded(self, pair: Pair) -> Pair:
        """Return the pair that the exchange trades for `pair`: BTC/USDT for BTC/USD.

        Raises:
            UnusableHistory: The exchange cannot have such a pair.
        """
        traded = replace(pair, quote=self.substitutes.get(pair.quote, pair.quote))
        if fault := self._fault(traded):
            asked = "" if traded == pair else f"; {traded.quote} is traded there in place of {pair.quote}"
            raise UnusableHistory(self.source, [f"it cannot have the pair {shown(str(traded))}: {fault}{asked}"])
        return traded

    def symbol(self, pair: Pair) -> str:
        """Return the name of the pair that the exchange trades for `pair`: ``BTCUSDT``, ``BTC_USDT`` or ``BTC/USD``.

        Raises:
            UnusableHistory: The exchange cannot have such a pair.
        """
        return self._join(self.traded(pair))

    def _join(self, pair: Pair) -> str:
        return f"{pair.base}{self.separator}{pair.quote}"

    def _fault(self, pair: Pair) -> str | None:
        """Return why the exchange cannot have this pair."""
        symbol = self._join(pair)
        if not (_CURRENCY.fullmatch(pair.base) and _CURRENCY.fullmatch(pair.quote)):
            return "a currency has 1 to 20 capital letters and digits"
        if pair.base == pair.quote:
            return "both currencies are the same"
        if len(symbol) > self.longest:
            return f"its symbols have at most {self.longest} characters"
        if self.quotes is not None and pair.quote not in self.quotes:
            return f"the quote currencies known there are {', '.join(sorted(self.quotes))}"
        return None


ALPACA = Symbols("alpaca", "/", longest=31)
BINANCE = Symbols(
    "binance",
    "",
    longest=20,
    substitutes={"USD": "USDT"},
    # No entry ends with another one, so that a symbol means one pair. AEUR is left out for that: ADAEUR is ADA/EUR.
    quotes=frozenset(
        [
            *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD1", "USDP", "DAI", "EURI", "XUSD", "RLUSD"),
            *("BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL"),
            *("EUR", "GBP", "TRY", "BRL", "ARS", "JPY", "MXN", "COP", "PLN", "RON", "CZK", "UAH", "RUB", "ZAR", "NGN"),
            *("AUD", "IDR"),
        ]
    ),
)
POLONIEX = Symbols("poloniex", "_", longest=41, substitutes={"USD": "USDT"})
_BY_SOURCE = {symbols.source: symbols for symbols in (ALPACA, BINANCE, POLONIEX)}


def traded_at(source: str, pair: Pair) -> Pair:
    """Return the pair that the exchange with this id trades for `pair`; other sources have every pair itself.

    Raises:
        UnusableHistory: The exchange cannot have such a pair.
    """
    return _BY_SOURCE[source].traded(pair) if source in _BY_SOURCE else pair


def in_dollars(source: str, pair: Pair) -> Pair:
    """Return the pair in dollars in whose place the exchange with this id trades `pair`; if it does not, `pair`."""
    dollars = replace(pair, quote="USD")
    try:
        return dollars if traded_at(source, dollars) == pair else pair
    except UnusableHistory:
        return pair
