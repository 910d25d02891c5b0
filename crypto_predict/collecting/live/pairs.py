"""Which series are collected: they live in the database, where anyone may add or stop some."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_predict.collecting.backfill import announce
from crypto_predict.collecting.options import DEFAULT_PAIRS
from crypto_predict.collecting.registry import Registry
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, CollectedSeries, Shard
from crypto_predict.market.ports import CandleSource, SeriesWriter

EVERY = 20.0  # seconds from one `refresh` to the next

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RosterChange:
    """What differs from the last look at the database."""

    added: tuple[SeriesKey, ...] = ()
    removed: tuple[SeriesKey, ...] = ()
    changed: tuple[SeriesKey, ...] = ()  # how far back they shall be collected

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class Roster:
    """The active series of this shard, as of the last look at the database. `refresh` and `begin` block.

    `sources` are those that are collected here, by name, in order of preference; more may be added to them later.
    """

    def __init__(
        self,
        database: SeriesWriter,
        shard: Shard,
        sources: Mapping[str, CandleSource],
        clock: Clock | None = None,
    ) -> None:
        self._database, self._shard, self._sources = database, shard, sources
        self._clock = clock or Clock()
        self._series: dict[SeriesKey, CollectedSeries] = {}
        self._ignored: set[SeriesKey] = set()

    def series(self) -> list[CollectedSeries]:
        """Return the active series of this shard, of every interval, sorted."""
        return list(self._series.values())

    def refresh(self) -> RosterChange:
        """Look at the database, and return what has changed.

        Raises:
            DatabaseError: The database cannot be read; the series stay what they were.
        """
        usable = {
            collected.series: collected
            for collected in self._database.collected()
            if collected.state == ACTIVE and collected.series.pair in self._shard and self._is_usable(collected)
        }
        before, self._series = self._series, usable
        change = RosterChange(
            tuple(series for series in usable if series not in before),
            tuple(series for series in before if series not in usable),
            tuple(
                series
                for series, collected in usable.items()
                if series in before and collected.since != before[series].since
            ),
        )
        for text, some in (("followed", change.added), ("not followed any more", change.removed)):
            for series in some:
                _log.info("%s %s from %s: %s", series.pair, series.interval.label, series.source, text)
        return change

    def begin(
        self, pairs: Sequence[Pair] = (), since: datetime | None = None, among: Collection[str] | None = None
    ) -> None:
        """Follow the minutes of these pairs; without any, the default ones if the database is empty.

        The first source that has a pair is taken. If none can be asked, it is the first one that can have it, and
        whether it does is found out later. Pairs of other shards are left to them.

        Args:
            pairs: What to follow, also if it was stopped before.
            since: How far back (UTC) it shall be collected; None: as before, or `registry.HISTORY`.
            among: The names of the sources that may be taken, all by default.

        Raises:
            UnusableHistory: No source has any of the pairs, and nothing else is followed.
            DatabaseError: The database cannot be used.
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
            source, stored = _first_possible(sources, pair), None
            _log.warning("%s: followed from %s, though it could not be asked: %s", pair, source.id, error)
        if source.traded(pair) in self._shard and (stored is None or since is not None):
            announce(source, pair, registry.follow(source, pair, since).series)

    def _is_usable(self, collected: CollectedSeries) -> bool:
        """Return whether a series can be collected; log once if not. Anyone may have written it into the database."""
        fault = self._fault(collected)
        if fault is None:
            self._ignored.discard(collected.series)
        elif collected.series not in self._ignored:
            self._ignored.add(collected.series)
            series = collected.series
            _log.warning("%s %s from %s: not collected: %s", series.pair, series.interval.label, series.source, fault)
        return fault is None

    def _fault(self, collected: CollectedSeries) -> str | None:
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


def _first_possible(sources: Sequence[CandleSource], pair: Pair) -> CandleSource:
    """Return the first source that can have a pair."""
    faults: list[str] = []
    for source in sources:
        try:
            source.traded(pair)
        except UnusableHistory as error:
            faults += error.faults
        else:
            return source
    raise UnusableHistory(str(pair), faults or ["no source is collected here"])
