"""The stored series that the options name."""

from collections.abc import Sequence

from crypto_predict.collecting.options import CollectSettings
from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Pair, SeriesKey
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.sources.catalog import traded_at


def selected(stored: Sequence[CollectedSeries], settings: CollectSettings) -> list[CollectedSeries]:
    """Return the stored series of the pairs, sources and interval that `settings` name; all where they name none.

    BTC/USD also names BTC/USDT of an exchange that trades it in place of BTC/USD.

    Raises:
        InvalidValue: A pair is not stored, or not from such a source or in such an interval.
    """
    for pair in settings.pairs if stored else ():
        if not any(_is_named(collected.series, (pair,)) for collected in stored):
            pairs = ", ".join(sorted({str(collected.series.pair) for collected in stored}))
            raise InvalidValue("--pair", str(pair), f"stored; these are: {pairs}")
    of_pairs = [collected for collected in stored if _is_named(collected.series, settings.pairs)]
    selection = [
        collected
        for collected in of_pairs
        if (not settings.sources or collected.series.source in settings.sources)
        and settings.interval in {None, collected.series.interval}
    ]
    if of_pairs and not selection:
        interval = [] if settings.interval is None else [settings.interval.label]
        names = [name for name, given in (("--source", settings.sources), ("--interval", interval)) if given]
        intervals = sorted(
            {f"{collected.series.interval.label} from {collected.series.source}" for collected in of_pairs}
        )
        request = ", ".join([*settings.sources, *interval])
        raise InvalidValue(" and ".join(names), request, f"stored; these are: {', '.join(intervals)}")
    return selection


def _is_named(series: SeriesKey, pairs: Sequence[Pair]) -> bool:
    return not pairs or any(series.pair in {pair, traded_or_none(series.source, pair)} for pair in pairs)


def traded_or_none(source: str, pair: Pair) -> Pair | None:
    """Return the pair that an exchange trades for `pair`; None if it cannot have one."""
    try:
        return traded_at(source, pair)
    except UnusableHistory:
        return None
