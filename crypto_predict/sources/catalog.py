"""The names of ``--source`` and what is behind them: exchanges with their streams, ``store``, ``simulated``, files."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import CandleFeed, CandleSource
from crypto_predict.sources import alpaca, binance, coinbase, poloniex
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.sources.exchange import Bounds, Exchange
from crypto_predict.sources.exported import open_exported
from crypto_predict.sources.simulated import Simulated, SimulatedFeed
from crypto_predict.sources.stored import STORE, CollectedMarket, open_stored

EXCHANGES: Mapping[str, Exchange] = {  # by their ids, in order of preference
    exchange.id: exchange for exchange in (alpaca.EXCHANGE, binance.EXCHANGE, coinbase.EXCHANGE, poloniex.EXCHANGE)
}
SIMULATED = Simulated.id
FILE = "file:"
EVERY_EXCHANGE = "exchanges"  # a word for all of them, in their order

_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "BTC", "ETH")  # in file names, the likeliest first
_CURRENCY = re.compile(r"[A-Z0-9]{2,5}")


def source_names(text: str) -> tuple[str, ...]:
    """Read one name of ``--source``, or ``exchanges``, which means the names of all exchanges; refuse others."""
    if text == EVERY_EXCHANGE:
        return tuple(EXCHANGES)
    names = [*EXCHANGES, STORE, SIMULATED]
    if text in names or (text.startswith(FILE) and text != FILE):
        return (text,)
    raise InvalidValue("source", text, f"one of {', '.join(names)}, {FILE}PATH")


def pair_in_name(text: str) -> Pair:
    """Return the pair that a file's name seems to contain, as a suggestion: SOL/USD for ``file:data/SOL.csv``."""
    name = PurePath(text.removeprefix(FILE)).name.partition(".")[0].upper()
    for quote in _QUOTES:
        if match := re.search(rf"(?<![A-Z0-9])([A-Z0-9]{{2,10}}?)[-_]?{quote}(?![A-Z0-9])", name):
            return Pair(match[1], quote)
    return Pair(name, "USD") if _CURRENCY.fullmatch(name) else Pair("BTC", "USD")


def traded_at(source: str, pair: Pair) -> Pair:
    """Return the pair that the exchange with this id trades for `pair`; other sources have every pair itself.

    `UnusableHistory` is raised if the exchange cannot have such a pair.
    """
    return EXCHANGES[source].traded(pair) if source in EXCHANGES else pair


def in_dollars(source: str, pair: Pair) -> Pair:
    """Return the pair in dollars in whose place the exchange with this id trades `pair`; if it does not, `pair`."""
    dollars = replace(pair, quote="USD")
    try:
        return dollars if traded_at(source, dollars) == pair else pair
    except UnusableHistory:
        return pair


def open_sources(
    names: Sequence[str],
    environ: Mapping[str, str],
    seed: int,
    pairs: Sequence[Pair],
    open_database: Callable[[], CollectedMarket] | None = None,
) -> list[CandleSource]:
    """Return the sources of these names, in the same order. No connection to an exchange is made yet.

    `environ` has the settings of the exchanges and the bounds of a history, `seed` is for the simulated market, `pairs`
    will be read, and `open_database` is called for ``store``, which becomes one source for each that was collected.

    `InvalidValue` is raised if a name or a setting is not valid, if several pairs would be read from one file, or if
    ``store`` is named where a database cannot be opened.
    """
    bounds = Bounds.from_environ(environ)
    sources: list[CandleSource] = []
    for name in _expanded(names):
        if name == SIMULATED:
            sources.append(Simulated(seed))
        elif name in EXCHANGES:
            sources.append(EXCHANGES[name].open_source(environ, bounds=bounds))
        elif name == STORE:
            if open_database is None:
                raise InvalidValue("source", name, "usable here: a database was not opened")
            sources += open_stored(open_database, pairs, traded_at)
        elif (path := Path(name.removeprefix(FILE))).is_dir():
            sources += open_exported(str(path), pairs, traded_at)
        else:
            file = CsvFile(name.removeprefix(FILE), bounds.candles)
            if len({file.path_for(pair) for pair in pairs}) < len(set(pairs)):
                raise InvalidValue(
                    "source", name, "one file a pair: write {base} and {quote} where the file names differ"
                )
            sources.append(file)
    return sources


def open_feeds(names: Sequence[str], environ: Mapping[str, str], clock: Clock) -> dict[str, CandleFeed]:
    """Return the live streams of these sources by their names. No connection is made yet.

    A source whose stream needs keys that are not set is left out, and the log says so.
    """
    feeds: dict[str, CandleFeed] = {}
    for name in _expanded(names):
        if name == SIMULATED:
            feeds[name] = SimulatedFeed(0, clock)  # the market with seed 0 is the one that is collected
        elif name in EXCHANGES and (feed := EXCHANGES[name].open_feed(environ, clock)) is not None:
            feeds[name] = feed
    return feeds


def _expanded(names: Sequence[str]) -> Sequence[str]:
    return list(dict.fromkeys(name for text in names for name in source_names(text)))
