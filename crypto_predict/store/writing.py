"""Writes of the market: each method is one transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, text, update

from crypto_predict.errors import UnknownSeries
from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, SeriesKey, Span, StoredGap
from crypto_predict.market.collected import SERIES_STATES, BuiltCandle, ForecastStep, Quarantined, StreamSpan
from crypto_predict.market.forecast import HourForecast, MinuteModel
from crypto_predict.store import (
    bulk,
    forecasts,
    gaps,
    hour_forecasts,
    outages,
    partitions,
    purging,
    rollups,
    streams,
    tables,
)
from crypto_predict.store.columns import THE_SERIES, instant, microseconds, parameters, seconds_up
from crypto_predict.store.holding import ReservableDatabase
from crypto_predict.store.migrations import single_table
from crypto_predict.store.storing import Change, Openings, Symbol, by_opening, lock, store
from crypto_predict.store.tables import built_candles, minute_models, quarantine, symbols, top_of_book

_FOLLOW = text(
    "INSERT INTO symbols (source, pair, interval, simulated, state, candles)"
    " VALUES (:of_source, :of_pair, :of_interval, :simulated, 'active', 0)"
    " ON CONFLICT (source, pair, interval) DO NOTHING"
)


class WritableDatabase(ReservableDatabase):
    """A database of the market, open for writing; `ports` describes what the methods do.

    Its tables are created or upgraded when it is opened; two processes may do so at once. The folder of a file is
    created, a database on a server is not. Of two writers of one series the second waits. Threads may share it.
    """

    _read_only = False

    def follow(self, series: SeriesKey, *, simulated: bool) -> None:
        with self.transaction() as connection:
            connection.execute(_FOLLOW, parameters(series) | {"simulated": simulated})
            query = select(symbols.c.simulated).where(symbols.c.id == THE_SERIES)
            stored = connection.execute(query, parameters(series)).scalar_one()
        if stored != simulated:
            kind = "simulated" if stored else "real"
            raise self.error(f"its {series} has {kind} prices; use another database for the others")

    def set_state(self, series: SeriesKey, state: str, since: datetime | None = None) -> None:
        if state not in SERIES_STATES:
            raise ValueError(f"{state!r} is not a state of a series: {', '.join(SERIES_STATES)}")
        self._update(series, {"state": state} if since is None else {"state": state, "since": seconds_up(since)})

    def compared(self, series: SeriesKey, compared: int, mismatched: int) -> None:
        columns = symbols.c
        self._update(series, {"compared": columns.compared + compared, "mismatched": columns.mismatched + mismatched})

    def write(
        self,
        series: SeriesKey,
        candles: Sequence[Candle],
        covered: Span | None = None,
        quarantined: Sequence[Quarantined] = (),
    ) -> int:
        """See the port. Of two candles with one opening the last one is stored."""
        now, incoming = microseconds(datetime.now(UTC)), by_opening(candles, series.interval.seconds)
        whole = covered.whole(series.interval) if covered else None
        is_whole = whole is not None and whole.start < whole.end
        answered = Openings(seconds_up(whole.start), seconds_up(whole.end)) if whole and is_whole else None
        with self.transaction() as connection:
            symbol = self._lock(connection, series)
            changes = [Change(connection, symbol, incoming)] if incoming else []
            store(connection, changes, now)
            _reject(connection, symbol.id, quarantined, now)
            spans = [change.span for change in changes]
            if answered is not None:
                spans.append(answered)
                gaps.cover(connection, {symbol.id: [answered]}, changes)
            if spans:
                touched = Openings(min(span.start for span in spans), max(span.end for span in spans))
                gaps.renew(connection, symbol, now, touched, answered)
            rollups.renew(connection, changes)
        return sum(map(len, changes))

    def restore_gaps(self, series: SeriesKey, known: Sequence[StoredGap]) -> None:
        if known:
            with self.transaction() as connection:
                gaps.restore(connection, self._lock(connection, series).id, known)

    def write_closed(self, closed: Mapping[SeriesKey, Sequence[Candle]]) -> int:
        now = microseconds(datetime.now(UTC))
        incoming = {
            series: by_opening(candles, series.interval.seconds) for series, candles in closed.items() if candles
        }
        if not incoming:
            return 0
        with self.transaction() as connection:
            locked = lock(connection, list(incoming))
            changes = [Change(connection, symbol, incoming[series]) for series, symbol in locked.items()]
            if changes:
                store(connection, changes, now)
                gaps.cover_candles(connection, changes, now)
                rollups.renew(connection, changes)
        return sum(map(len, changes))

    def write_built(self, built: Mapping[SeriesKey, Sequence[BuiltCandle]]) -> None:
        rows: dict[tuple[object, ...], bulk.Values] = {}
        for series, candles in built.items():
            for candle in candles:
                key = (series.source, str(series.pair), series.interval.seconds, seconds_up(candle.open_time))
                if key not in rows or candle.ticks >= rows[key][8]:
                    rows[key] = (*key, *astuple(candle)[1:])
        if rows:
            # of two with as many ticks the later one: it has counted more that were late
            newer = "excluded.ticks >= built_candles.ticks"
            with self.transaction() as connection:
                bulk.upsert(connection, built_candles, iter(sorted(rows.values())), newer)

    def write_streams(self, source: str, pairs: Sequence[Pair], stream: StreamSpan) -> None:
        if pairs and stream.span.start < stream.span.end:
            with self.transaction() as connection:
                streams.write(connection, source, pairs, stream)

    def write_quotes(self, source: str, pair: Pair, quotes: Iterable[Quote]) -> None:
        rows = {quote.time: (source, str(pair), microseconds(quote.time), *astuple(quote)[1:]) for quote in quotes}
        if rows:
            with self.transaction() as connection:
                bulk.upsert(connection, top_of_book, iter(rows.values()))

    def write_forecasts(self, steps: Mapping[SeriesKey, Sequence[ForecastStep]], keep: timedelta) -> None:
        """See the port; a `ValueError` says that a forecast or a score is not one that can be stored."""
        if steps:
            with self.transaction() as connection:
                locked = lock(connection, list(steps))
                forecasts.write(connection, {symbol.id: steps[series] for series, symbol in locked.items()}, keep)

    def write_hour_forecast(self, series: SeriesKey, forecast: HourForecast, keep: timedelta) -> None:
        """See the port; a `ValueError` says that the forecast is not one that can be stored."""
        with self.transaction() as connection:
            hour_forecasts.write(connection, self._lock(connection, series).id, forecast, keep)

    def write_minute_model(self, series: SeriesKey, model: MinuteModel) -> None:
        with self.transaction() as connection:
            row = (self._lock(connection, series).id, microseconds(model.fitted_at), model.content)
            bulk.upsert(connection, minute_models, iter([row]))

    def record_outages(self, since: datetime, now: datetime) -> None:
        """See the port. What is read for it does not keep others from writing."""
        with self.snapshot() as connection:
            renewals = {
                source: self._renewal(connection, source, min(since, until or EPOCH), now)
                for source, until in self._complete_until(connection).items()
            }
        if renewals:
            with self.transaction() as connection:
                outages.write(connection, renewals, now)

    def purge(self, interval: Interval, before: datetime, limit: int) -> int:
        """See the port. Only one series is locked, and only for the time of so many rows."""
        with self.transaction() as connection:
            deleted = purging.purge(connection, interval, before, limit)
        with self.transaction() as connection:
            partitions.drop_detached(connection)
        return deleted

    def roll_up(self, series: SeriesKey, before: datetime | None = None) -> datetime | None:
        with self.transaction() as connection:
            end = None if before is None else seconds_up(before)
            start = rollups.build(connection, self._lock(connection, series), end)
        return None if start is None else instant(start)

    def _fault(self) -> str | None:
        path = self.path
        if path is not None:
            with self.errors():
                path.parent.mkdir(parents=True, exist_ok=True)
        for step in (single_table.announce, single_table.check):
            with self.transaction() as connection:
                tables.prepare(connection, step)
        with self.transaction() as connection:
            fault = tables.upgrade(connection)
        if fault is None and path is not None:
            self.use_wal()
        return fault

    def _lock(self, connection: Connection, series: SeriesKey) -> Symbol:
        """Return the row of a series, locked against other writers."""
        if (symbol := lock(connection, [series]).get(series)) is None:
            raise self._unknown(series)
        return symbol

    def _update(self, series: SeriesKey, values: Mapping[str, object]) -> None:
        statement = update(symbols).where(symbols.c.id == THE_SERIES).values(**values)
        with self.transaction() as connection:
            if not connection.execute(statement, parameters(series)).rowcount:
                raise self._unknown(series)

    def _unknown(self, series: SeriesKey) -> UnknownSeries:
        return UnknownSeries(self.address, f"it does not contain {series}; `follow` adds a series")


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
