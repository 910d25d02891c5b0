"""Writes of the market: each method is one transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, text, update

from crypto_predict.errors import DatabaseError, UnknownSeries
from crypto_predict.market import Candle, Interval, Pair, Quote, SeriesKey, Span
from crypto_predict.market.collected import SERIES_STATES, BuiltCandle, ForecastStep, Quarantined, Shard, StreamSpan
from crypto_predict.market.forecast import MinuteModel
from crypto_predict.market.ports import Held
from crypto_predict.store import bulk, forecasts, purging, schema, streams
from crypto_predict.store.address import SqliteFile
from crypto_predict.store.columns import microseconds, names, seconds_up
from crypto_predict.store.database import Connections
from crypto_predict.store.gaps import Asked, Gaps, Written, cover_candles
from crypto_predict.store.holding import Holds
from crypto_predict.store.reading import Database
from crypto_predict.store.storing import Change, Symbol, by_opening, lock, store
from crypto_predict.store.tables import built_candles, minute_models, quarantine, symbols, top_of_book

_FOLLOW = text(
    "INSERT INTO symbols (source, pair, interval, simulated, state, candles)"
    " VALUES (:source, :pair, :interval, :simulated, 'active', 0) ON CONFLICT (source, pair, interval) DO NOTHING"
)


class WritableDatabase(Database):
    """A database of the market, open for writing. Safe to share between threads."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._holds = Holds(connections)

    def hold(self, series: SeriesKey) -> AbstractContextManager[None]:
        """Reserve a series for this process inside the context.

        Raises:
            SeriesHeld: Another process has reserved it; the error names that process.
        """
        return self._holds.hold(series)

    def follow(self, series: SeriesKey, *, simulated: bool) -> None:
        """Add a series without candles; do nothing if it exists.

        Raises:
            DatabaseError: It exists with the other value of `simulated`.
        """
        row = {
            "source": series.source,
            "pair": str(series.pair),
            "interval": series.interval.seconds,
            "simulated": simulated,
        }
        with self._connections.transaction() as connection:
            connection.execute(_FOLLOW, row)
            stored = connection.execute(select(symbols.c.simulated).where(names(series))).scalar_one()
        if stored != simulated:
            kind = "simulated" if stored else "real"
            raise self._connections.error(f"its {series} has {kind} prices; use another database for the others")

    def write(
        self,
        series: SeriesKey,
        candles: Sequence[Candle],
        covered: Span | None = None,
        quarantined: Sequence[Quarantined] = (),
    ) -> int:
        """Store sound candles and return how many were new or changed; `ports` states the rules.

        Of two writers of one series the second waits. Of two candles with one opening the last one is stored.
        """
        now = microseconds(datetime.now(UTC))
        step = series.interval.seconds
        incoming = by_opening(candles, step)
        answered = Asked.of(covered, series.interval) if covered else None
        with self._connections.transaction() as connection:
            symbol = self._lock(connection, series)
            change = Change(connection, symbol, incoming) if incoming else None
            if change:
                store(connection, [change], now)
            _reject(connection, symbol.id, quarantined, now)
            gaps = Gaps(connection, symbol.id, step, now)
            if answered is not None:
                gaps.cover(answered)
            if answered is not None or change:
                gaps.renew(_touched(incoming, step, answered), answered)
        return len(change) if change else 0

    def write_closed(self, closed: Mapping[SeriesKey, Sequence[Candle]]) -> int:
        """Store the closed candles of many series in one transaction and return how many were new or changed.

        It is `write` for each, where every candle covers its own interval: a candle between two of them that is not
        stored was not asked for yet. Series that are not in the database are left out.
        """
        now = microseconds(datetime.now(UTC))
        incoming = {
            series: by_opening(candles, series.interval.seconds) for series, candles in closed.items() if candles
        }
        if not incoming:
            return 0
        with self._connections.transaction() as connection:
            locked = lock(connection, list(incoming))
            changes = {series: Change(connection, symbol, incoming[series]) for series, symbol in locked.items()}
            if changes:
                store(connection, list(changes.values()), now)
                written = [
                    Written(change.symbol, sorted(incoming[series]), change.new > 0)
                    for series, change in changes.items()
                ]
                cover_candles(connection, written, now)
        return sum(map(len, changes.values()))

    def write_built(self, built: Mapping[SeriesKey, Sequence[BuiltCandle]]) -> None:
        """Store candles built from ticks; of two with one opening, the one of more ticks stays."""
        rows: dict[tuple[object, ...], bulk.Values] = {}
        for series, candles in built.items():
            for candle in candles:
                key = (series.source, str(series.pair), series.interval.seconds, seconds_up(candle.open_time))
                values = (
                    candle.open,
                    candle.high,
                    candle.low,
                    candle.close,
                    candle.ticks,
                    candle.late,
                    candle.partial,
                    candle.volume,
                )
                if key not in rows or candle.ticks >= rows[key][8]:
                    rows[key] = (*key, *values)
        if rows:
            with self._connections.transaction() as connection:
                # of two with as many ticks the later one: it has counted more that were late
                bulk.upsert(
                    connection, built_candles, iter(sorted(rows.values())), "excluded.ticks >= built_candles.ticks"
                )

    def write_streams(self, source: str, pairs: Sequence[Pair], stream: StreamSpan) -> None:
        """Store the state of the streams of many pairs. A span that continues one of the same state extends it.

        Where it overlaps one of another state, it replaces that.
        """
        if pairs and stream.span.start < stream.span.end:
            with self._connections.transaction() as connection:
                streams.write(connection, source, pairs, stream)

    def compared(self, series: SeriesKey, compared: int, mismatched: int) -> None:
        """Add to the number of candles that were compared with those of REST, and of those that differed.

        Raises:
            DatabaseError: Also if the series is not in the database.
        """
        columns = symbols.c
        self._update(series, {"compared": columns.compared + compared, "mismatched": columns.mismatched + mismatched})

    def set_state(self, series: SeriesKey, state: str, since: datetime | None = None) -> None:
        """Set the state of a series, and how far back (UTC) it shall be collected; None leaves the latter as it is.

        Raises:
            DatabaseError: Also if the series is not in the database.
        """
        if state not in SERIES_STATES:
            raise ValueError(f"{state!r} is not a state of a series: {', '.join(SERIES_STATES)}")
        self._update(series, {"state": state} if since is None else {"state": state, "since": seconds_up(since)})

    def hold_collector(self, shard: Shard) -> AbstractContextManager[Held]:
        """Reserve the pairs of a shard for one live collector inside the context.

        Shards of different numbers exclude each other if a pair can be in both. An SQLite file has one collector,
        whatever its shard.

        Raises:
            SeriesHeld: Another process has reserved some of them; the error names that process.
        """
        return self._holds.hold_collector(shard)

    def write_forecasts(self, steps: Mapping[SeriesKey, Sequence[ForecastStep]], keep: timedelta) -> None:
        """Store minute forecasts and add their scores to the record, for many series; `ports` states the rules.

        Raises:
            DatabaseError: The database cannot be used.
            ValueError: A forecast is not that of its step, or a number is not one that can be stored.
        """
        if steps:
            with self._connections.transaction() as connection:
                locked = lock(connection, list(steps))
                forecasts.write(connection, {symbol.id: steps[series] for series, symbol in locked.items()}, keep)

    def write_minute_model(self, series: SeriesKey, model: MinuteModel) -> None:
        """Store the model of a series in place of the one before.

        Raises:
            DatabaseError: Also if the series is not in the database.
        """
        with self._connections.transaction() as connection:
            row = (self._lock(connection, series).id, microseconds(model.fitted_at), model.content)
            bulk.upsert(connection, minute_models, iter([row]))

    def purge(self, interval: Interval, before: datetime, limit: int) -> int:
        """Delete at most `limit` rows of `interval` that lie before an instant (UTC); `ports` states the rules.

        Only one series is locked, and only for the time of so many rows.
        """
        with self._connections.transaction() as connection:
            return purging.purge(connection, interval, before, limit)

    def write_quotes(self, source: str, pair: Pair, quotes: Iterable[Quote]) -> int:
        """Store quotes and return how many were new or changed."""
        key = (source, str(pair))
        rows = {
            microseconds(quote.time): (
                *key,
                microseconds(quote.time),
                quote.bid,
                quote.bid_size,
                quote.ask,
                quote.ask_size,
            )
            for quote in quotes
        }
        if not rows:
            return 0
        with self._connections.transaction() as connection:
            stored = set(bulk.fetch_between(connection, top_of_book, key, (min(rows), max(rows))))
            new = [row for row in rows.values() if row not in stored]
            bulk.upsert(connection, top_of_book, iter(new))
        return len(new)

    def _prepare(self) -> None:
        address = self._connections.address
        if isinstance(address, SqliteFile):
            with self._connections.errors():
                address.path.parent.mkdir(parents=True, exist_ok=True)
        with self._connections.transaction() as connection:
            fault = schema.upgrade(connection)
        if fault:
            raise self._connections.error(fault)
        if isinstance(address, SqliteFile):
            self._connections.use_wal()

    def _lock(self, connection: Connection, series: SeriesKey) -> Symbol:
        """Return the row of a series, locked against other writers."""
        locked = lock(connection, [series])
        if not locked:
            raise self._unknown(series)
        return locked[series]

    def _update(self, series: SeriesKey, values: Mapping[str, object]) -> None:
        with self._connections.transaction() as connection:
            if not connection.execute(update(symbols).where(names(series)).values(**values)).rowcount:
                raise self._unknown(series)

    def _unknown(self, series: SeriesKey) -> DatabaseError:
        reason = f"it does not contain {series}; `follow` adds a series"
        return UnknownSeries(str(self._connections.address), reason)


def _touched(incoming: dict[int, Candle], step: int, answered: Asked | None) -> Asked:
    """Return the span of every opening whose candle or coverage a write changes."""
    written = [Asked(min(incoming), max(incoming) + step)] if incoming else []
    spans = written if answered is None else [*written, answered]
    return Asked(min(span.start for span in spans), max(span.end for span in spans))


def _reject(connection: Connection, series: int, quarantined: Sequence[Quarantined], now: int) -> None:
    """Store rejected rows that are not stored yet: a source returns the same ones every time it is asked."""
    if not quarantined:
        return
    rows = [(microseconds(row.candle.open_time), json.dumps(row.candle[1:]), row.reason) for row in quarantined]
    times = [row[0] for row in rows]
    columns = quarantine.c
    present_rows = connection.execute(
        select(columns.open_time_us, columns.numbers, columns.reason).where(
            columns.series == series, columns.open_time_us.between(min(times), max(times))
        )
    )
    present = {tuple(row) for row in present_rows}
    new = [(series, *row, now) for row in dict.fromkeys(rows) if row not in present]
    bulk.insert(connection, quarantine, ("series", "open_time_us", "numbers", "reason", "found_at_us"), new)
