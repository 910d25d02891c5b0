"""Reads of the market. They need neither NumPy nor pandas."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Row, Select, Table, bindparam, func, select, text, true

from crypto_predict.errors import DamagedRow
from crypto_predict.market import Candle, Gap, Interval, Pair, Quote, SeriesKey, Span, StoredCandle
from crypto_predict.market.forecast import MinuteForecast, MinuteModel
from crypto_predict.market.ports import (
    BuiltCandle,
    CollectedSeries,
    LastPrice,
    MinuteRecord,
    Quarantined,
    Revision,
    SeriesSize,
    StoredGap,
    StreamSpan,
    StreamState,
)
from crypto_predict.store import forecasts, schema, tables
from crypto_predict.store.columns import (
    THE_SERIES,
    instant,
    instant_us,
    microseconds,
    parameters,
    seconds_up,
    series_id,
)
from crypto_predict.store.database import Connections
from crypto_predict.store.tables import (
    built_candles,
    coverage,
    forecast_records,
    gaps,
    minute_models,
    price_history,
    quarantine,
    revisions,
    streams,
    symbols,
    top_of_book,
)

_SECOND = timedelta(seconds=1)
_MOST_ROWS = 2**31 - 1  # that a statement can be limited to
_Row = Row[*tuple[Any, ...]]
_Select = Select[*tuple[Any, ...]]
_BUILT = [field.name for field in dataclasses.fields(BuiltCandle)][1:]
_NUMBERS = [price_history.c[name] for name in Candle._fields[1:]]


def _collected_query(holes: Select[int, int, int]) -> _Select:
    """Return the query of series with their gaps: their number and length by series."""
    found = holes.group_by(gaps.c.series).subquery()
    return select(symbols, found.c.gaps, found.c.length).outerjoin(found, symbols.c.id == found.c.series)


# Queries that are built once, since answers to many requests a second need them.
_HOLES = select(
    gaps.c.series, func.count().label("gaps"), func.sum(gaps.c.end_time - gaps.c.start_time).label("length")
)
_IS_PAIR = symbols.c.pair == bindparam("pair")
_COLLECTED = _collected_query(_HOLES)
_COLLECTED_OF_PAIR = _collected_query(_HOLES.where(gaps.c.series.in_(select(symbols.c.id).where(_IS_PAIR)))).where(
    _IS_PAIR
)

_CANDLE = price_history.c
_SAME_SERIES = _CANDLE.series == symbols.c.id
_EARLIER = symbols.c.last_open - bindparam("ago")
_LAST_PRICES = select(  # each price is one look into the primary key of the candles
    symbols,
    select(_CANDLE.close)
    .where(_SAME_SERIES, _CANDLE.open_time == symbols.c.last_open)
    .scalar_subquery()
    .label("price"),
    select(_CANDLE.close)
    .where(_SAME_SERIES, _CANDLE.open_time <= _EARLIER, _CANDLE.open_time >= _EARLIER - bindparam("tolerance"))
    .order_by(_CANDLE.open_time.desc())
    .limit(1)
    .scalar_subquery()
    .label("earlier"),
)

_MADE = tables.forecasts.c
_FORECASTS = {  # by whether the newest come first
    newest: select(_MADE.cutoff, _MADE.price, _MADE.distances)
    .where(_MADE.series == THE_SERIES, _MADE.cutoff >= bindparam("start"), _MADE.cutoff < bindparam("end"))
    .order_by(_MADE.cutoff.desc() if newest else _MADE.cutoff)
    .limit(bindparam("limit"))
    for newest in (False, True)
}


class Database:
    """A database of the market, open for reading: a `MarketReader`. Safe to share between threads."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def collected(self, pair: Pair | None = None) -> Sequence[CollectedSeries]:
        """Return every series, or those of one pair, sorted."""
        with self._connections.snapshot() as connection:
            if pair is None:
                rows = connection.execute(_COLLECTED).all()
            else:
                rows = connection.execute(_COLLECTED_OF_PAIR, {"pair": str(pair)}).all()
        return sorted((_collected(row) for row in rows), key=lambda one: _order(one.series))

    def last_prices(self, ago: timedelta, tolerance: timedelta) -> Sequence[LastPrice]:
        """Return the newest price of every series, sorted, beside the last close of the `tolerance` that ends `ago`."""
        values = {"ago": ago // _SECOND, "tolerance": tolerance // _SECOND}
        with self._connections.snapshot() as connection:
            rows = connection.execute(_LAST_PRICES, values).all()
        return sorted(map(_last_price, rows), key=lambda one: _order(one.series))

    def coverage(self, series: SeriesKey) -> Sequence[Span]:
        """Return the spans for which the source was asked and its answer is stored, ascending and apart."""
        query = select(coverage.c.start_time, coverage.c.end_time).where(coverage.c.series == series_id(series))
        return [Span(instant(start), instant(end)) for start, end in self._rows(query.order_by(coverage.c.start_time))]

    def candles(self, series: SeriesKey, span: Span, limit: int) -> Sequence[StoredCandle]:
        """Return at most `limit` candles that open in `span`, ascending.

        The next page begins one interval after the last opening.
        """
        query = _opening_in(
            select(price_history.c.open_time, *_NUMBERS, price_history.c.vwap), price_history, series, span
        )
        query = query.order_by(price_history.c.open_time).limit(min(max(limit, 0), _MOST_ROWS))
        with self._connections.snapshot() as connection:
            rows = connection.execute(query).cursor.fetchall()  # plain tuples, in less time than rows of SQLAlchemy
        return [StoredCandle(Candle(instant(row[0]), *row[1:-1]), row[-1]) for row in rows]

    def quotes(self, source: str, pair: Pair, span: Span, limit: int, *, newest: bool = False) -> Sequence[Quote]:
        """Return at most `limit` quotes of `span`, ascending: the oldest, or the `newest` ones."""
        columns = top_of_book.c
        query = (
            select(columns.time_us, columns.bid, columns.bid_size, columns.ask, columns.ask_size)
            .where(columns.source == source, columns.pair == str(pair))
            .where(columns.time_us >= microseconds(span.start), columns.time_us < microseconds(span.end))
        )
        rows = self._rows(query.order_by(columns.time_us.desc() if newest else columns.time_us), limit)
        return [Quote(instant_us(row[0]), *row[1:]) for row in (reversed(rows) if newest else rows)]

    def gaps(self, series: SeriesKey, span: Span) -> Sequence[StoredGap]:
        """Return the gaps that overlap `span`, ascending."""
        query = select(gaps).where(
            gaps.c.series == series_id(series),
            gaps.c.start_time < seconds_up(span.end),
            gaps.c.end_time > seconds_up(span.start),
        )
        return [_gap(row, series.interval) for row in self._rows(query.order_by(gaps.c.start_time))]

    def revisions(self, series: SeriesKey, span: Span) -> Sequence[Revision]:
        """Return the replaced candles that open in `span`, in the order of their openings and changes."""
        numbers = [revisions.c[column.name] for column in _NUMBERS]
        query = _opening_in(select(revisions.c.open_time, *numbers, revisions.c.changed_at_us), revisions, series, span)
        rows = self._rows(query.order_by(revisions.c.open_time, revisions.c.id))
        return [Revision(Candle(instant(opening), *old), instant_us(changed)) for opening, *old, changed in rows]

    def quarantine(self, series: SeriesKey, span: Span) -> Sequence[Quarantined]:
        """Return the rejected rows that open in `span`, ascending."""
        columns = quarantine.c
        query = (
            select(columns.open_time_us, columns.numbers, columns.reason)
            .where(columns.series == series_id(series))
            .where(columns.open_time_us >= microseconds(span.start), columns.open_time_us < microseconds(span.end))
            .order_by(columns.open_time_us, columns.id)
        )
        rows = self._rows(query)
        return [Quarantined(Candle(instant_us(row[0]), *json.loads(row[1])), row[2]) for row in rows]

    def streams(self, source: str, pair: Pair, span: Span) -> Sequence[StreamSpan]:
        """Return the states of a stream that overlap `span`, ascending and apart."""
        columns = streams.c
        query = (
            select(columns.start_us, columns.end_us, columns.state, columns.reason)
            .where(columns.source == source, columns.pair == str(pair))
            .where(columns.start_us < microseconds(span.end), columns.end_us > microseconds(span.start))
        )
        return [
            StreamSpan(Span(instant_us(start), instant_us(end)), StreamState(state), reason)
            for start, end, state, reason in self._rows(query.order_by(columns.start_us))
        ]

    def built(self, series: SeriesKey, span: Span, limit: int) -> Sequence[BuiltCandle]:
        """Return at most `limit` candles built from ticks that open in `span`, ascending."""
        opening = built_candles.c.open_time
        query = (
            select(opening, *(built_candles.c[name] for name in _BUILT))
            .where(built_candles.c.source == series.source, built_candles.c.pair == str(series.pair))
            .where(built_candles.c.interval == series.interval.seconds)
            .where(opening >= seconds_up(span.start), opening < seconds_up(span.end))
        )
        return [BuiltCandle(instant(row[0]), *row[1:]) for row in self._rows(query.order_by(opening), limit)]

    def minute_forecasts(
        self, series: SeriesKey, span: Span, limit: int, *, newest: bool = False
    ) -> Sequence[MinuteForecast]:
        """Return at most `limit` minute forecasts whose cutoff lies in `span`, ascending: the oldest, or the `newest`.

        Raises:
            DatabaseError: Also if one of them is damaged.
        """
        values = {"start": seconds_up(span.start), "end": seconds_up(span.end), "limit": min(max(limit, 0), _MOST_ROWS)}
        with self._connections.snapshot() as connection:
            rows = connection.execute(_FORECASTS[newest], parameters(series) | values).all()
        return [self._forecast(series, *row) for row in (reversed(rows) if newest else rows)]

    def minute_record(self, series: SeriesKey) -> MinuteRecord | None:
        """Return how the minute forecasts of a series have done; None before the first outcome."""
        with self._connections.snapshot() as connection:
            found = forecasts.records(connection, forecast_records.c.series == series_id(series))
        return next(iter(found.values()), None)

    def minute_records(self) -> Mapping[SeriesKey, MinuteRecord]:
        """Return the records of all series that have one."""
        with self._connections.snapshot() as connection:
            found = forecasts.records(connection, true())
            keys = {row.id: _key(row) for row in connection.execute(select(symbols))}
        return {keys[number]: record for number, record in found.items()}

    def minute_models(self) -> Mapping[SeriesKey, MinuteModel]:
        """Return the newest model of every series that has one."""
        query = select(symbols, minute_models.c.fitted_at_us, minute_models.c.content).join(
            minute_models, symbols.c.id == minute_models.c.series
        )
        return {_key(row): MinuteModel(instant_us(row.fitted_at_us), row.content) for row in self._rows(query)}

    def sizes(self) -> Sequence[SeriesSize]:
        """Return the size of every series, sorted."""
        postgresql = self._connections.engine.dialect.name == "postgresql"
        with self._connections.snapshot() as connection:
            rows = connection.execute(select(symbols)).all()
            if postgresql:
                total = connection.execute(text("SELECT pg_total_relation_size('price_history')")).scalar_one()
            else:  # nearly all pages of the file hold candles
                pages, free, size = (
                    connection.execute(text(f"PRAGMA {name}")).scalar_one()
                    for name in ("page_count", "freelist_count", "page_size")
                )
                total = (pages - free) * size
        every = sum(row.candles for row in rows) or 1
        sizes = [SeriesSize(_key(row), row.candles, total * row.candles // every) for row in rows]
        return sorted(sizes, key=lambda size: _order(size.series))

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        with self._connections.snapshot() as connection:
            fault = schema.check(connection)
        if fault:
            raise self._connections.error(fault)

    def _forecast(self, series: SeriesKey, cutoff: int, price: float, distances: bytes) -> MinuteForecast:
        try:
            return forecasts.unpack(instant(cutoff), price, distances)
        except ValueError as error:
            title = f"{series.source} {series.pair} {series.interval.label}"
            reason = f"its forecast of {title} made at {instant(cutoff)} is damaged: {error}"
            raise DamagedRow(str(self._connections.address), reason) from error

    def _rows(self, query: _Select, limit: int = _MOST_ROWS) -> Sequence[_Row]:
        with self._connections.snapshot() as connection:
            return connection.execute(query.limit(min(max(limit, 0), _MOST_ROWS))).all()


def _opening_in(query: _Select, table: Table, series: SeriesKey, span: Span) -> _Select:
    opening = table.c.open_time
    return query.where(
        table.c.series == series_id(series), opening >= seconds_up(span.start), opening < seconds_up(span.end)
    )


def _order(series: SeriesKey) -> tuple[str, Pair, int]:
    return series.source, series.pair, series.interval.seconds


def _key(row: _Row) -> SeriesKey:
    return SeriesKey(row.source, Pair.parse(row.pair), Interval(timedelta(seconds=row.interval)))


def _collected(row: _Row) -> CollectedSeries:
    key = _key(row)
    return CollectedSeries(
        series=key,
        simulated=row.simulated,
        state=row.state,
        first_open=None if row.first_open is None else instant(row.first_open),
        newest_close=_newest_close(row, key),
        gaps=row.gaps or 0,
        missing=int(row.length or 0) // key.interval.seconds,
        since=None if row.since is None else instant(row.since),
        compared=row.compared,
        mismatched=row.mismatched,
        version=row.version,
    )


def _last_price(row: _Row) -> LastPrice:
    key = _key(row)
    return LastPrice(key, row.simulated, row.state, _newest_close(row, key), row.price, row.earlier)


def _newest_close(row: _Row, key: SeriesKey) -> datetime | None:
    return None if row.last_open is None else instant(row.last_open) + key.interval.length


def _gap(row: _Row, interval: Interval) -> StoredGap:
    missing = (row.end_time - row.start_time) // interval.seconds
    gap = Gap(instant(row.start_time), instant(row.end_time), missing)
    return StoredGap(gap, row.cause, row.attempts, row.verdict, instant_us(row.found_at_us))
