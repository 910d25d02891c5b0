"""``--pair collected``: every pair that is collected, where its history is read, and what becomes of one that fails."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from crypto_predict.baked import store
from crypto_predict.baked.schema import MOST_PAIRS, Model
from crypto_predict.errors import DatabaseError, InvalidValue, UnusableModel
from crypto_predict.market import Pair
from crypto_predict.market.collected import ACTIVE, CollectedSeries
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.catalog import SIMULATED, in_dollars, open_sources
from crypto_predict.sources.stored import COLLECTED, STORE, CollectedMarket
from crypto_predict.training.options import TrainSettings

# The currencies that are trained first, as the page lists them (page/scripts/live/prices.js).
POPULAR = ("BTC", "ETH", "BNB", "LTC", "SOL", "XRP", "DOGE", "ADA", "TRX", "AVAX", "LINK", "DOT")
LONG = 0.9  # the share of --days that is stored, from which the database comes before the exchanges
# The age of the newest price up to which a pair keeps its earlier forecast: /fresh must not fail for one of many pairs.
KEPT = timedelta(hours=12)

Collection = Mapping[Pair, Sequence[CollectedSeries]]

_log = logging.getLogger(__name__)


def resolve(
    settings: TrainSettings, open_database: Callable[[], CollectedMarket] | None
) -> tuple[TrainSettings, Collection]:
    """Return the settings with all collected pairs, the most important first, and the series of each.

    What an exchange trades in place of dollars is forecast in dollars: ETH/USDT of Binance as ETH/USD.

    The pairs that `settings` name come first, as they are the default of page and API. If the database cannot be read,
    those of the champion take the place of the collected ones: an outage of the database must not remove a pair.
    `InvalidValue` is raised if a database is needed and cannot be opened here, or its address is malformed.
    """
    if not settings.collected:
        return settings, {}
    if open_database is None:
        raise InvalidValue("--pair", COLLECTED, "usable here: a database was not opened")
    collected: dict[Pair, list[CollectedSeries]] = {}
    try:
        for series in open_database().collected():
            if series.state == ACTIVE:
                pair = series.series.pair
                name = pair if pair in settings.pairs else in_dollars(series.series.source, pair)
                collected.setdefault(name, []).append(series)
    except DatabaseError as error:
        collected = {}
        with suppress(UnusableModel):  # reported where it is compared
            collected = {pair: [] for pair in (store.load(settings.champion).forecasts if settings.champion else ())}
        _log.warning("the collected pairs cannot be read, so those of the earlier model are trained: %s", error)

    def importance(pair: Pair) -> tuple[int, timedelta, str]:
        """Sort the popular currencies first, then what has been collected for the longest time."""
        place = POPULAR.index(pair.base) if pair.base in POPULAR else len(POPULAR)
        return place, -max(map(_stored, collected[pair]), default=timedelta(0)), str(pair)

    pairs = list(dict.fromkeys([*settings.pairs, *sorted(collected, key=importance)]))
    if left_out := pairs[MOST_PAIRS:]:
        _log.warning("left out, as a model holds %d pairs: %s", MOST_PAIRS, ", ".join(map(str, left_out)))
    sources = settings.sources if STORE in settings.sources else (STORE, *settings.sources)
    return replace(settings, pairs=tuple(pairs[:MOST_PAIRS]), sources=sources), collected


def open_by_pair(
    settings: TrainSettings,
    collected: Collection,
    champion: Model | None,
    open_database: Callable[[], CollectedMarket] | None,
) -> dict[Pair, Sequence[CandleSource]]:
    """Return the sources of each pair in the order in which they are tried, with the errors of `open_sources`.

    In a repetition, simulated prices do not replace the real ones of the `champion` while no exchange can be reached.
    """
    names = settings.sources
    if SIMULATED not in names and any(map(_is_invented, collected.values())):
        names = (*names, SIMULATED)
    sources = open_sources(names, settings.environ, settings.seed, settings.pairs, open_database)
    by_pair: dict[Pair, Sequence[CandleSource]] = dict.fromkeys(settings.pairs, sources)
    if settings.collected:
        by_pair = {pair: _preferred(sources, collected.get(pair, ()), settings) for pair in settings.pairs}
    was_real = champion is not None and not all(facts.simulated for facts in champion.card.pairs.values())
    if settings.repeat is not None and was_real and {*settings.sources} - {STORE} != {SIMULATED}:
        for pair in by_pair:
            if not _is_invented(collected.get(pair, ())):
                by_pair[pair] = [source for source in by_pair[pair] if not source.simulated]
    return by_pair


def _preferred(
    sources: Iterable[CandleSource], series: Sequence[CollectedSeries], settings: TrainSettings
) -> list[CandleSource]:
    """Return the order of sources for the pair of these series.

    A database with nearly all days comes first, then the exchange that is collected, the others as they are named, a
    database with fewer days, and last the simulated market. Invented series are continued with invented prices only,
    and those of an exchange with invented ones only if that was asked for.
    """
    origins, enough = {collected.series.source for collected in series}, LONG * timedelta(days=settings.days)
    is_long = {f"{STORE}:{collected.series.source}" for collected in series if _stored(collected) >= enough}
    is_invented = _is_invented(series)

    def rank(source: CandleSource) -> int:
        if source.id in is_long:
            return 0
        if source.id in origins:
            return 1
        return 4 if source.simulated else 3 if source.id.partition(":")[0] == STORE else 2

    def is_usable(source: CandleSource) -> bool:
        return source.simulated or not is_invented if SIMULATED in settings.sources else source.simulated == is_invented

    return sorted(filter(is_usable, sources), key=rank)


def _is_invented(series: Sequence[CollectedSeries]) -> bool:
    """Return whether a pair is collected from the simulated market alone."""
    return bool(series) and all(collected.simulated for collected in series)


def _stored(series: CollectedSeries) -> timedelta:
    """Return the length of what is stored of a series."""
    if series.first_open is None or series.newest_close is None:
        return timedelta(0)
    return series.newest_close - series.first_open


def complete(
    model: Model, settings: TrainSettings, champion: Model | None, left_out: Mapping[Pair, Sequence[str]], now: datetime
) -> Model:
    """Add the forecasts that pairs which were `left_out` keep of the `champion` while it is not old at `now` (UTC).

    Log which pairs keep theirs, and which pairs of the champion are no longer forecast.
    """
    if champion is None or not settings.collected:
        return model
    earlier, cards, forecasts = champion.forecasts, model.card.pairs.copy(), model.forecasts.copy()
    for pair in left_out:
        if pair in earlier and now - (price_at := earlier[pair].anchor.at) <= KEPT:
            _log.warning("%s keeps its forecast from the price of %s", pair, f"{price_at:%Y-%m-%d %H:%M} UTC")
            forecasts[pair], cards[pair] = earlier[pair], champion.card.pairs[pair]
    for pair in [pair for pair in earlier if pair not in forecasts]:
        why = "it could not be trained" if pair in settings.pairs else "it is not collected any more"
        _log.warning("%s is not in the new model, so its forecast is 404 from now on: %s", pair, why)
    ordered = {pair: cards[pair] for pair in settings.pairs if pair in cards}
    card = replace(model.card, pairs=ordered, simulated=any(facts.simulated for facts in ordered.values()))
    return Model(card, {pair: forecasts[pair] for pair in ordered}, model.scorecard)
