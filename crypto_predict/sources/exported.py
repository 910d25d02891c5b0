"""``file:FOLDER``: the candles of an exported folder, joined to longer ones where those are not in it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from crypto_predict.dataset.folder import ExportedFolder
from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.stored import Missing, Stored, TradedAt, is_of


class Exported(Stored):
    """What a folder has of one source. Like any file it may be as old as it is."""

    def rows(self, pair: Pair, interval: Interval, span: Span) -> Iterator[tuple[Candle, int]]:
        """Return what `candles` returns, each candle with its number, from 1 on."""
        return ((candle, number) for number, candle in enumerate(self.candles(pair, interval, span), 1))


def open_exported(path: str, pairs: Sequence[Pair], traded_at: TradedAt) -> Sequence[CandleSource]:
    """Return a source for each one from which a folder has some of `pairs`, in order of preference.

    `traded_at` returns the pair that a source trades for another. A folder that cannot be used, or has none of them, is
    one source that raises `UnusableHistory`.
    """
    name = f"file:{path}"
    try:
        folder = ExportedFolder(Path(path))
        stored = folder.collected()
        of_pairs = [each for each in stored if any(is_of(each.series, pair, traded_at) for pair in pairs)]
        if not of_pairs:
            available = ", ".join(sorted({str(each.series.pair) for each in stored})) or "nothing"
            raise UnusableHistory(name, [f"it does not have {', '.join(map(str, pairs))}, but {available}"])
    except UnusableHistory as error:
        return [Missing(name, error)]
    groups = groupby(of_pairs, key=lambda each: each.series.source)
    exported = (Exported(folder, source, list(group), traded_at, name) for source, group in groups)
    return sorted(exported, key=lambda source: source.rank)
