"""Which pairs are collected: adding and removing them, after asking an exchange whether it has them."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from crypto_predict.collecting.options import collected_sources
from crypto_predict.errors import InvalidValue, SourceError, UnusableHistory
from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, STOPPED, CollectedSeries
from crypto_predict.market.ports import CandleSource, SeriesWriter
from crypto_predict.sources.catalog import EXCHANGES, SIMULATED, open_sources, traded_at
from crypto_predict.sources.network.session import answer_within

ASK_SECONDS = 10  # for the answer of one exchange, of this machine
HISTORY = timedelta(days=90)  # before a pair is followed: what is fetched unless somebody says how far back
RECENT = timedelta(days=30)  # a pair without a candle for so long is not traded any more

_MINUTE = Interval.MINUTE_1
_log = logging.getLogger(__name__)


class Registry:
    """The pairs of a database: a `PairRegistry`, with `sources` in order of preference. Threads may share it."""

    def __init__(self, database: SeriesWriter, sources: Sequence[CandleSource], clock: Clock | None = None) -> None:
        self._database, self._sources, self._clock = database, sources, clock or Clock()

    def add(self, pair: Pair, source: str | None = None, since: datetime | None = None) -> CollectedSeries:
        """Follow a pair, as `PairRegistry.add` says."""
        chosen, stored = self.choose(pair, source)
        if stored is not None and since in {None, stored.since}:
            return stored
        return self.follow(chosen, pair, since)

    def choose(self, pair: Pair, source: str | None = None) -> tuple[CandleSource, CollectedSeries | None]:
        """Return the source from which `add` follows a pair, and the series if it is collected already."""
        candidates = self._named(source)
        active = {stored.series: stored for stored in self._database.collected() if stored.state == ACTIVE}
        for candidate in candidates:
            traded = traded_or_none(candidate.id, pair)
            if traded is not None and (series := SeriesKey(candidate.id, traded, _MINUTE)) in active:
                return candidate, active[series]
        return self._first_with(candidates, pair), None

    def follow(self, source: CandleSource, pair: Pair, since: datetime | None = None) -> CollectedSeries:
        """Follow the minutes of a pair from a source, without asking it, from `since` (UTC) on.

        Without `since`, a pair that the database does not have is followed from the day `HISTORY` ago on, and another
        one as before. Raise `UnusableHistory` if the source cannot have the pair.
        """
        series = SeriesKey(source.id, source.traded(pair), _MINUTE)
        if since is None and all(collected.series != series for collected in self._database.collected()):
            since = Interval.DAY_1.floor(self._clock.now() - HISTORY)
        self._database.follow(series, simulated=source.simulated)
        self._database.set_state(series, ACTIVE, since)
        return next(collected for collected in self._database.collected() if collected.series == series)

    def remove(self, pair: Pair, source: str | None = None) -> Sequence[CollectedSeries]:
        """Stop collecting a pair, in all its intervals, as `PairRegistry.remove` says."""
        sources = {candidate.id for candidate in self._named(source)}
        active = [collected.series for collected in self._database.collected() if collected.state == ACTIVE]
        removed = [series for series in active if series.source in sources and is_named(series, pair)]
        if not removed:
            labels = ", ".join(sorted({f"{series.pair} from {series.source}" for series in active}))
            where = f" from {source}" if source else ""
            raise InvalidValue("pair", str(pair), f"collected{where}; these are: {labels}")
        for series in removed:
            self._database.set_state(series, STOPPED)
        return [collected for collected in self._database.collected() if collected.series in removed]

    def _named(self, source: str | None) -> Sequence[CandleSource]:
        """Return the sources that may be used."""
        if source is None:
            return self._sources
        named = [candidate for candidate in self._sources if candidate.id == source]
        if not named:
            ids = ", ".join(candidate.id for candidate in self._sources)
            raise InvalidValue("source", source, f"collected here; these are: {ids}")
        return named

    def _first_with(self, sources: Sequence[CandleSource], pair: Pair) -> CandleSource:
        """Return the first source that has a pair. One that cannot be asked is passed over if another one has it."""
        faults: list[str] = []
        failure: SourceError | None = None
        for source in sources:
            try:
                _check_listed(source, pair, self._clock.now())
            except UnusableHistory as error:
                faults += [f"{source.id}: {fault}" for fault in error.faults]
            except SourceError as error:
                failure = failure or error
                _log.warning("%s: cannot be asked for: %s", pair, error)
            else:
                return source
        raise failure or UnusableHistory(str(pair), faults or ["no source is collected here"])


def open_registry(database: SeriesWriter, environ: Mapping[str, str], clock: Clock | None = None) -> Registry:
    """Return the registry of a database, with the settings in `environ`. No connection to an exchange is made yet.

    Its sources are those in ``SOURCE``, as for ``collect.py``: by default all exchanges, first those that are collected
    already, or the simulated market if nothing else is stored. Raise `InvalidValue` if a setting is not valid.
    """
    names = list(filter(None, collected_sources(environ)))
    if not names:
        stored = {collected.series.source for collected in database.collected()}
        # One that is collected already has a stream; Alpaca's needs keys.
        names = [SIMULATED] if stored == {SIMULATED} else sorted(EXCHANGES, key=lambda name: name not in stored)
    return Registry(database, open_sources(names, environ, 0, ()), clock)


def _check_listed(source: CandleSource, pair: Pair, now: datetime) -> None:
    """Raise `UnusableHistory` if a source does not have a pair (any more), after little more than `ASK_SECONDS`."""
    traded = source.traded(pair)
    interval = Interval.DAY_1 if Interval.DAY_1 in source.intervals else _MINUTE
    if _MINUTE not in source.intervals:
        raise UnusableHistory(source.id, ["it does not have candles of 1m"])
    span = Span(interval.floor(now - (RECENT if interval is Interval.DAY_1 else timedelta(days=1))), now)
    with answer_within(ASK_SECONDS):
        if not any(candle.open_time in span for candle in source.candles(traded, interval, span)):
            raise UnusableHistory(source.id, [f"it has no candle of {traded} since {span.start:%Y-%m-%d}"])


def is_named(series: SeriesKey, pair: Pair) -> bool:
    """Return whether a pair names a series: BTC/USD also names BTC/USDT of an exchange that trades it in its place."""
    return series.pair in {pair, traded_or_none(series.source, pair)}


def traded_or_none(source: str, pair: Pair) -> Pair | None:
    """Return the pair that an exchange trades for `pair`; None if it cannot have one."""
    try:
        return traded_at(source, pair)
    except UnusableHistory:
        return None
