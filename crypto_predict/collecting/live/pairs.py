"""Which series are collected, and how much they lack. They live in the database, where anyone may add or stop some."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from crypto_predict.collecting.backfill import announce
from crypto_predict.collecting.live.shards import Shards
from crypto_predict.collecting.options import DEFAULT_PAIRS
from crypto_predict.collecting.registry import Registry, traded_or_none
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, CollectedSeries, Shard
from crypto_predict.market.ports import CandleSource, SeriesWriter

EVERY = 20.0  # seconds from one `refresh` to the next

# Bytes of a stored candle, indexes included; docs/collecting.md has the same.
BYTES = {"SQLite": 100, "PostgreSQL": 150}

_MINUTE = Interval.MINUTE_1.length
_log = logging.getLogger(__name__)


class Roster:
    """The active series of these shards, as of the last look at the database. `refresh` and `begin` block.

    `sources` are those that are collected here, by name, in order of preference; more may be added to them later.
    """

    def __init__(
        self,
        database: SeriesWriter,
        shard: Shard | Shards,
        sources: Mapping[str, CandleSource],
        clock: Clock | None = None,
    ) -> None:
        self.series: Mapping[SeriesKey, CollectedSeries] = {}  # sorted
        self._database, self._shard, self._sources, self._clock = database, shard, sources, clock or Clock()
        self._faults: Mapping[SeriesKey, str] = {}  # why series are not collected

    def refresh(self) -> None:
        """Look at the database. If it cannot be read, the series stay what they were."""
        before, faults_before = self.series, self._faults
        active = {
            collected.series: collected
            for collected in self._database.collected()
            if collected.state == ACTIVE and collected.series.pair in self._shard
        }
        self._faults = {series: fault for series, collected in active.items() if (fault := self._fault(collected))}
        self.series = {series: collected for series, collected in active.items() if series not in self._faults}
        added = [series for series in self.series if series not in before]
        removed = [series for series in before if series not in self.series]
        for text, changed in (("followed", added), ("not followed any more", removed)):
            for series in changed:
                _log.info("%s %s from %s: %s", series.pair, series.interval.label, series.source, text)
        for series in self._faults.keys() - faults_before.keys():  # anyone may have written it into the database
            facts = series.pair, series.interval.label, series.source, self._faults[series]
            _log.warning("%s %s from %s: not collected: %s", *facts)

    def begin(
        self, pairs: Sequence[Pair] = (), since: datetime | None = None, among: Collection[str] | None = None
    ) -> None:
        """Follow the minutes of these pairs, also if they were stopped; without any, the default ones if all is empty.

        The first source that has a pair is taken, or of those `among` them. If none can be asked, it is the first one
        that can have it, and whether it does is found out later. Pairs of other shards are left to them. `since` is how
        far back (UTC) they shall be collected; None: as before, or `registry.HISTORY`.

        Raises:
            UnusableHistory: No source has any of the pairs, and nothing else is followed.
        """
        wanted = pairs or (() if self._database.collected() else DEFAULT_PAIRS)
        chosen = [source for name, source in self._sources.items() if among is None or name in among]
        faults: list[str] = []
        for pair in wanted:
            try:
                self._follow(pair, since, chosen)
            except UnusableHistory as error:
                faults += error.faults
                _log.error("%s: not collected: %s", pair, "; ".join(error.faults))
        self.refresh()
        if faults and not self._database.collected():
            raise UnusableHistory(", ".join(map(str, wanted)), faults)

    def _follow(self, pair: Pair, since: datetime | None, sources: Sequence[CandleSource]) -> None:
        registry = Registry(self._database, sources, self._clock)
        try:
            source, stored = registry.choose(pair)
        except SourceError as error:
            # One of them can have the pair: it was asked.
            source, stored = next(source for source in sources if traded_or_none(source.id, pair) is not None), None
            _log.warning("%s: followed from %s, though it could not be asked: %s", pair, source.id, error)
        if source.traded(pair) in self._shard and (stored is None or since is not None):
            announce(source, pair, registry.follow(source, pair, since).series)

    def _fault(self, collected: CollectedSeries) -> str | None:
        """Return why a series cannot be collected; None if it can."""
        source = self._sources.get(collected.series.source)
        if source is None:
            return f"the sources here are {', '.join(self._sources)}"
        if collected.series.interval not in source.intervals:
            return "the source does not have this interval"
        if collected.simulated != source.simulated:
            return f"its prices are stored as {'simulated' if collected.simulated else 'real'} ones"
        try:
            traded = source.traded(collected.series.pair)
        except UnusableHistory as error:
            return "; ".join(error.faults)
        return None if traded == collected.series.pair else f"the source trades {traded} in its place"


def expected(
    series: Iterable[CollectedSeries], now: datetime, keep: Mapping[Interval, timedelta], database: str
) -> dict[str, object]:
    """Return how many minutes of these series are not stored yet at `now` (UTC), and the megabytes that they will take.

    `keep` is how long candles are kept. A series without a first day counts from its first stored candle on, and is
    named by ``from_the_beginning``: how much an exchange has before is not known. Every further day of live collecting
    adds ``megabytes_a_day``.
    """
    minutes = [collected for collected in series if collected.series.interval is Interval.MINUTE_1]
    oldest, candles = now - keep.get(Interval.MINUTE_1, now - EPOCH), 0
    for collected in minutes:
        start = max(oldest, collected.since or collected.first_open or now)
        missing = (now - start) // _MINUTE
        if collected.first_open is not None and collected.newest_close is not None:
            stored = (collected.newest_close - max(start, collected.first_open)) // _MINUTE - collected.missing
            missing -= max(0, stored)
        candles += max(0, missing)
    megabytes = BYTES["PostgreSQL" if database.startswith("postgres") else "SQLite"] / 1e6  # of a candle
    facts: dict[str, object] = {
        "pairs": len(minutes),
        "candles": candles,
        "megabytes": round(candles * megabytes, 1),
        "megabytes_a_day": round(len(minutes) * (timedelta(days=1) // _MINUTE) * megabytes, 1),
    }
    if endless := [str(collected.series.pair) for collected in minutes if collected.since is None]:
        facts["from_the_beginning"] = ",".join(endless)
    return facts
