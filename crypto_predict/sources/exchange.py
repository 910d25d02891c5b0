"""What the adapters of one exchange and everything that names it share: its id, symbols, addresses, keys and limits.

Neither an SDK nor a library for HTTP is imported here, so that options and help read these values at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from crypto_predict.errors import InvalidValue, UnusableHistory, shown
from crypto_predict.market import Interval, Pair
from crypto_predict.settings import masked, whole_number

if TYPE_CHECKING:
    from crypto_predict.market.clock import Clock
    from crypto_predict.market.ports import CandleFeed, CandleSource

_CURRENCY = re.compile(r"[A-Z0-9]{1,20}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Symbols:
    """How an exchange writes a pair.

    Where nothing separates the currencies, `quotes` lists the quote currencies: ``BTCUSDT`` must mean BTC/USDT, never
    BTCU/SDT.
    """

    separator: str  # between base and quote currency
    longest: int  # characters of a symbol
    substitutes: Mapping[str, str] = field(default_factory=dict)  # quote currency to the currency traded in its place
    quotes: frozenset[str] | None = None  # None: any

    def join(self, pair: Pair) -> str:
        """Return the symbol of a traded pair."""
        return f"{pair.base}{self.separator}{pair.quote}"

    def fault(self, pair: Pair) -> str | None:
        """Return why the exchange cannot have this pair."""
        if not (_CURRENCY.fullmatch(pair.base) and _CURRENCY.fullmatch(pair.quote)):
            return "a currency has 1 to 20 capital letters and digits"
        if pair.base == pair.quote:
            return "both currencies are the same"
        if len(self.join(pair)) > self.longest:
            return f"its symbols have at most {self.longest} characters"
        if self.quotes is not None and pair.quote not in self.quotes:
            return f"the quote currencies known there are {', '.join(sorted(self.quotes))}"
        return None


class Address(NamedTuple):
    """A base address of an exchange, which an environment variable may replace."""

    variable: str
    default: str

    def read(self, environ: Mapping[str, str]) -> str:
        """Return the base address without a slash at its end; an empty variable counts as absent.

        One that is not an address with the scheme of the default is refused, with passwords in it masked.
        """
        url = environ.get(self.variable) or self.default
        schemes = ("http", "https") if self.default.startswith("http") else ("ws", "wss")
        try:
            parts = urlsplit(url)
            sound = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
            # A slash in a password would end the host, and the rest of the password would be printed in messages.
            sound = sound and url.isprintable() and not (parts.query or parts.fragment or "@" in parts.path)
        except ValueError:
            sound = False
        if not sound:
            raise InvalidValue(self.variable, masked(url), f"an address such as {self.default}")
        return url.rstrip("/")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one history may take of any source."""

    seconds: int = 300  # an exchange that answers sends six years of days in one answer
    candles: int = 200_000  # a hundred years of days, or twenty of hours

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Bounds:
        """Read ``SOURCE_SECONDS`` and ``SOURCE_CANDLES``, whole numbers in a range. An empty value counts as absent."""
        seconds = whole_number("SOURCE_SECONDS", 1, 86_400)(environ.get("SOURCE_SECONDS") or str(cls().seconds))
        candles = whole_number("SOURCE_CANDLES", 1, 10**7)(environ.get("SOURCE_CANDLES") or str(cls().candles))
        return cls(seconds, candles)


class Rate(NamedTuple):
    """What one address may ask of an exchange in any `seconds`."""

    weight: int
    seconds: float = 60.0


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """How an exchange is reached. The values are not printed: an address may contain a password."""

    api_url: str
    stream_url: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)  # by the names of their variables: all or none
    location: str = ""  # a venue with prices of its own, where an exchange has several


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange. `catalog` lists them, in the order of preference.

    `source` and `feed` name what builds its adapters, ``module:name``: an `ExchangeSource` of REST, and the `Feed` of
    its stream. They are imported when they are opened, since an SDK takes a second.
    """

    id: str  # in ``--source``, in the database and on the model card
    name: str  # in sentences
    symbols: Symbols
    api: Address  # of REST
    stream: Address
    intervals: Mapping[Interval, str]  # of its candles, with its names for them
    page: int  # candles in one answer, at most
    rate: Rate
    source: str
    feed: str
    keys: tuple[str, ...] = ()  # variables of the keys, which its stream requires
    other_variables: tuple[str, ...] = ()  # of the environment, which `located` reads
    located: Callable[[Settings, Mapping[str, str]], Settings] = lambda settings, _: settings  # at one of its venues
    unknown_pair: frozenset[str] = frozenset()  # codes or messages of refusals: the exchange does not have the pair

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the environment variables that `settings` reads."""
        return (self.api.variable, self.stream.variable, *self.keys, *self.other_variables)

    def settings(self, environ: Mapping[str, str]) -> Settings:
        """Read the addresses and keys of this exchange. An empty variable counts as absent.

        A key with a character that HTTP headers cannot contain is refused.
        """
        keys = {name: key for name in self.keys if (key := environ.get(name))}
        for name, key in keys.items():
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise InvalidValue(name, "(not shown)", f"a key from {self.name}, which has letters and digits only")
        if 0 < len(keys) < len(self.keys):
            _log.warning("only %s is set, and %s needs both keys or neither: no key is used", *keys, self.name)
            keys = {}
        return self.located(Settings(self.api.read(environ), self.stream.read(environ), keys), environ)

    def traded(self, pair: Pair) -> Pair:
        """Return the pair that the exchange trades for `pair`: BTC/USDT for BTC/USD.

        Raises:
            UnusableHistory: The exchange cannot have such a pair.
        """
        traded = replace(pair, quote=self.symbols.substitutes.get(pair.quote, pair.quote))
        if fault := self.symbols.fault(traded):
            place = "" if traded == pair else f"; {traded.quote} is traded there in place of {pair.quote}"
            raise UnusableHistory(self.id, [f"it cannot have the pair {shown(str(traded))}: {fault}{place}"])
        return traded

    def symbol(self, pair: Pair) -> str:
        """Return the name of the pair that the exchange trades for `pair`: ``BTCUSDT``, ``BTC_USDT`` or ``BTC/USD``."""
        return self.symbols.join(self.traded(pair))

    def open_source(self, environ: Mapping[str, str], **options: object) -> CandleSource:
        """Return the source of its candles, with the settings of the environment. No connection is made yet."""
        source: CandleSource = resolve_name(self.source)(self.settings(environ), **options)
        return source

    def open_feed(self, environ: Mapping[str, str], clock: Clock) -> CandleFeed | None:
        """Return its live stream, not connected yet; without the keys that it requires, log that and return None."""
        if missing := [name for name in self.keys if not environ.get(name)]:
            _log.info("%s does not stream without keys: %s not set", self.id, " and ".join(missing))
            return None
        feed: CandleFeed = resolve_name(self.feed)(self.settings(environ), clock)
        return feed
