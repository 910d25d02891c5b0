"""The stored series that the options name."""

from __future__ import annotations

from collections.abc import Sequence

from crypto_predict.collecting.options import CollectSettings
from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Pair, SeriesKey
from crypto_predict.market.ports import CollectedSeries
from crypto_predict.sources.catalog import traded_at


def selected(stored: Sequence[CollectedSeries], settings: CollectSettings) -> list[CollectedSeries]:
    """Return the stored series of the pairs, sources and interval that `settings` name; all where they name none.

    BTC/USD also names BTC/USDT of an exchange that trades it in place of BTC/USD.

    Raises:
        InvalidValue: A pair is not stored, or not from such a source or in such an interval.
    """
    for pair in settings.pairs if stored else ():
        if not any(_is_named(one.series, (pair,)) for one in stored):
            known = ", ".join(sorted({str(one.series.pair) for one in stored}))
            raise InvalidValue("--pair", str(pair), f"stored; these are: {known}")
    of_pairs = [one for one in stored if _is_named(one.series, settings.pairs)]
    found = [
        one
        for one in of_pairs
        if (not settings.sources or one.series.source in settings.sources)
        and settings.interval in {None, one.series.interval}
    ]
    if of_pairs and not found:
        interval = [] if settings.interval is None else [settings.interval.label]
        names = [name for name, given in (("--source", settings.sources), ("--interval", interval)) if given]
        held = sorted({f"{one.series.interval.label} from {one.series.source}" for one in of_pairs})
        asked = ", ".join([*settings.sources, *interval])
        raise InvalidValue(" and ".join(names), asked, f"stored; these are: {', '.join(held)}")
    return found


def _is_named(series: SeriesKey, pairs: Sequence[Pair]) -> bool:
    return not pairs or any(series.pair in {pair, traded_or_none(series.source, pair)} for pair in pairs)


def traded_or_none(source: str, pair: Pair) -> Pair | None:
    """Return the pair that an exchange trades for `pair`; None if it cannot have one."""
    try:
        return traded_at(source, pair)
    except UnusableHistory:
        return None
