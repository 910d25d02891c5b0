"""From names as written in ``--source`` to sources: ``alpaca``, ``simulated``, ``file:PATH``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePath

from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.market.ports import CandleSource
from crypto_predict.settings import SourceSettings
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.sources.simulated import Simulated

FILE = "file:"

_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "BTC", "ETH")  # as file names have them, the likeliest first
_CURRENCY = re.compile(r"[A-Z0-9]{2,5}")


def source_name(text: str) -> str:
    """Read one name of ``--source``.

    Raises:
        InvalidValue: There is no such source.
    """
    if text in _OPENERS or (text.startswith(FILE) and text != FILE):
        return text
    raise InvalidValue("source", text, f"one of {', '.join(_OPENERS)}, {FILE}PATH")


def pair_in_name(text: str) -> Pair:
    """The pair that a file's name seems to hold, as a suggestion: SOL/USD for ``file:data/SOL.csv``."""
    name = PurePath(text.removeprefix(FILE)).name.partition(".")[0].upper()
    for quote in _QUOTES:
        if found := re.search(rf"(?<![A-Z0-9])([A-Z0-9]{{2,10}}?)[-_]?{quote}(?![A-Z0-9])", name):
            return Pair(found[1], quote)
    return Pair(name, "USD") if _CURRENCY.fullmatch(name) else Pair("BTC", "USD")


def open_sources(
    names: Sequence[str], settings: SourceSettings, seed: int, pairs: Sequence[Pair]
) -> list[CandleSource]:
    """The sources of these names, in their order; nothing is read and no connection made yet.

    Args:
        names: As `source_name` allows them.
        settings: How exchanges are reached.
        seed: Of the simulated market.
        pairs: What will be asked of the sources.

    Raises:
        InvalidValue: There is no such source, or one file would have to serve several pairs.
    """
    return [_open(source_name(name), settings, seed, pairs) for name in names]


def _open(name: str, settings: SourceSettings, seed: int, pairs: Sequence[Pair]) -> CandleSource:
    if name.startswith(FILE):
        return _open_file(name, settings, pairs)
    return _OPENERS[name](settings, seed)


def _open_file(name: str, settings: SourceSettings, pairs: Sequence[Pair]) -> CsvFile:
    file = CsvFile(name.removeprefix(FILE), settings.candles)
    if len({file.path_for(pair) for pair in pairs}) < len(set(pairs)):
        raise InvalidValue("source", name, "one file a pair: write {base} and {quote} where the file names differ")
    return file


def _open_alpaca(settings: SourceSettings, seed: int) -> CandleSource:  # noqa: ARG001 an exchange rolls no dice
    # The SDK takes a second to import, which a mistyped option or another source need not wait for.
    from crypto_predict.sources.alpaca.history import Alpaca  # noqa: PLC0415 see above

    return Alpaca(settings)


def _open_simulated(settings: SourceSettings, seed: int) -> CandleSource:  # noqa: ARG001 nothing is reached
    return Simulated(seed)


_OPENERS: dict[str, Callable[[SourceSettings, int], CandleSource]] = {
    "alpaca": _open_alpaca,
    "simulated": _open_simulated,
}
