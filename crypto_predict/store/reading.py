"""Reads of the market. They need neither NumPy nor pandas. Rows that are damaged are left out: see `damaged`."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Row, Select, Table, bindparam, func, select, true, type_coerce
from sqlalchemy import text as statement
from sqlalchemy.types import NullType

from crypto_predict.errors import shown
from crypto_predict.market import Candle, Gap, Interval, Pair, Quote, SeriesKey, Span, StoredCandle
from crypto_predict.market.collected import (
    SERIES_STATES,
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
from crypto_predict.market.forecast import MinuteForecast, MinuteModel
from crypto_predict.store import forecasts, schema, tables
from crypto_predict.store.columns import (
    LEAST_SECONDS,
    MOST_SECONDS,
    THE_SERIES,
    instant,
    instant_us,
    microseconds,
    parameters,
    seconds_up,
    series_id,
)
from crypto_predict.store.damaged import DamagedRows, T, number, text, whole
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
_MOST_READS, _READ_AGAIN = 100, 1_000  # statements for one page that damaged rows leave short; rows of each
_Row = Row[*tuple[Any, ...]]
_Select = Select[*tuple[Any, ...]]
_R = TypeVar("_R", bound=Sequence[Any])
_BUILT = [field.name for field in dataclasses.fields(BuiltCandle)][1:]
_NUMBERS = [price_history.c[name] for name in Candle._fields[1:]]


def _collected_query(holes: Select[int, int, int]) -> _Select:
    """Return the query of series with their gaps: their number and length by series."""
    summary = holes.group_by(gaps.c.series).subquery()
    return select(symbols, summary.c.gaps, summary.c.length).outerjoin(summary, symbols.c.id == summary.c.series)


# Queries that are built once, since answers to many requests a second need them.
_HOLES = select(
    gaps.c.series, func.count().label("gaps"), func.sum(gaps.c.end_time - gaps.c.start_time).label("length")
).where(gaps.c.start_time >= LEAST_SECONDS, gaps.c.end_time > gaps.c.start_time, gaps.c.end_time <= MOST_SECONDS)
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
).where(  # a subtraction from others may overflow
    symbols.c.last_open.is_(None) | symbols.c.last_open.between(LEAST_SECONDS, MOST_SECONDS)
)

_MADE = tables.forecasts.c
_FORECASTS = {  # by whether the newest come first
    # the driver's own value: SQLAlchemy would make a number into as many bytes
    newest: select(_MADE.cutoff, _MADE.price, type_coerce(_MADE.distances, NullType()))
    .where(_MADE.series == THE_SERIES, _MADE.cutoff >= bindparam("start"), _MADE.cutoff < bindparam("end"))
    .order_by(_MADE.cutoff.desc() if newest else _MADE.cutoff)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
    for newest in (False, True)
}


class Database:
    """A database of the market, open for reading. Safe to share between threads."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._damaged = DamagedRows(str(connections.address))
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def damaged(self) -> int:
        """Return how often a row was left out because it is damaged."""
        return self._damaged.count

    def collected(self, pair: Pair | None = None) -> Sequence[CollectedSeries]:
        """Return every series, or those of one pair, sorted."""
        with self._connections.snapshot() as connection:
            if pair is None:
                rows = connection.execute(_COLLECTED).all()
            else:
                rows = connection.execute(_COLLECTED_OF_PAIR, {"pair": str(pair)}).all()
        series = self._damaged.leave_out("symbols", rows, _collected)
        return sorted(series, key=lambda entry: _order(entry.series))

    def last_prices(self, ago: timedelta, tolerance: timedelta) -> Sequence[LastPrice]:
        """Return the newest price of every series, sorted, beside the last close of the `tolerance` that ends `ago`."""
        values = {"ago": ago // _SECOND, "tolerance": tolerance // _SECOND}
        with self._connections.snapshot() as connection:
            rows = connection.execute(_LAST_PRICES, values).all()
        prices = self._damaged.leave_out("symbols", rows, _last_price)
        return sorted(prices, key=lambda price: _order(price.series))

    def coverage(self, series: SeriesKey) -> Sequence[Span]:
        """Return the spans for which the source was asked and its answer is stored, ascending and apart."""
        query = select(coverage.c.start_time, coverage.c.end_time).where(coverage.c.series == series_id(series))
        return self._rows("coverage", query.order_by(coverage.c.start_time), _span)

    def candles(self, series: SeriesKey, span: Span, limit: int) -> Sequence[StoredCandle]:
        """Return at most `limit` candles that open in `span`, ascending.

        The next page begins one interval after the last opening.
        """
        query = _opening_in(
            select(price_history.c.open_time, *_NUMBERS, price_history.c.vwap), price_history, series, span
        )
        query = query.order_by(price_history.c.open_time)

        def fetch(size: int, offset: int) -> Sequence[Sequence[Any]]:
            with self._connections.snapshot() as connection:
                # plain tuples, in less time than rows of SQLAlchemy
                return connection.execute(query.limit(size).offset(offset or None)).cursor.fetchall()

        return self._page("price_history", fetch, limit, _candle)

    def quotes(self, source: str, pair: Pair, span: Span, limit: int, *, newest: bool = False) -> Sequence[Quote]:
        """Return at most `limit` quotes of `span`, ascending: the oldest, or the `newest` ones."""
        columns = top_of_book.c
        query = (
            select(columns.time_us, columns.bid, columns.bid_size, columns.ask, columns.ask_size)
            .where(columns.source == source, columns.pair == str(pair))
            .where(columns.time_us >= microseconds(span.start), columns.time_us < microseconds(span.end))
        )
        query = query.order_by(columns.time_us.desc() if newest else columns.time_us)
        quotes = self._rows("top_of_book", query, _quote, limit)
        return quotes[::-1] if newest else quotes

    def gaps(self, series: SeriesKey, span: Span) -> Sequence[StoredGap]:
        """Return the gaps that overlap `span`, ascending."""
        query = select(gaps).where(
            gaps.c.series == series_id(series),
            gaps.c.start_time < seconds_up(span.end),
            gaps.c.end_time > seconds_up(span.start),
        )
        return self._rows("gaps", query.order_by(gaps.c.start_time), lambda row: _gap(row, series.interval))

    def revisions(self, series: SeriesKey, span: Span) -> Sequence[Revision]:
        """Return the replaced candles that open in `span`, in the order of their openings and changes."""
        numbers = [revisions.c[column.name] for column in _NUMBERS]
        query = _opening_in(select(revisions.c.open_time, *numbers, revisions.c.changed_at_us), revisions, series, span)
        return self._rows("revisions", query.order_by(revisions.c.open_time, revisions.c.id), _revision)

    def quarantine(self, series: SeriesKey, span: Span) -> Sequence[Quarantined]:
        """Return the rejected rows that open in `span`, ascending."""
        columns = quarantine.c
        query = (
            select(columns.open_time_us, columns.numbers, columns.reason)
            .where(columns.series == series_id(series))
            .where(columns.open_time_us >= microseconds(span.start), columns.open_time_us < microseconds(span.end))
            .order_by(columns.open_time_us, columns.id)
        )
        return self._rows("quarantine", query, _quarantined)

    def streams(self, source: str, pair: Pair, span: Span) -> Sequence[StreamSpan]:
        """Return the states of a stream that overlap `span`, ascending and apart."""
        columns = streams.c
        query = (
            select(columns.start_us, columns.end_us, columns.state, columns.reason)
            .where(columns.source == source, columns.pair == str(pair))
            .where(columns.start_us < microseconds(span.end), columns.end_us > microseconds(span.start))
        )
        return self._rows("streams", query.order_by(columns.start_us), _stream)

    def built(self, series: SeriesKey, span: Span, limit: int) -> Sequence[BuiltCandle]:
        """Return at most `limit` candles built from ticks that open in `span`, ascending."""
        opening = built_candles.c.open_time
        query = (
            select(opening, *(built_candles.c[name] for name in _BUILT))
            .where(built_candles.c.source == series.source, built_candles.c.pair == str(series.pair))
            .where(built_candles.c.interval == series.interval.seconds)
            .where(opening >= seconds_up(span.start), opening < seconds_up(span.end))
        )
        return self._rows("built_candles", query.order_by(opening), _built, limit)

    def minute_forecasts(
        self, series: SeriesKey, span: Span, limit: int, *, newest: bool = False
    ) -> Sequence[MinuteForecast]:
        """Return at most `limit` minute forecasts with a cutoff in `span`, ascending: the oldest, or the `newest`."""
        values = parameters(series) | {"start": seconds_up(span.start), "end": seconds_up(span.end)}

        def fetch(size: int, offset: int) -> Sequence[_Row]:
            with self._connections.snapshot() as connection:
                return connection.execute(_FORECASTS[newest], values | {"limit": size, "offset": offset}).all()

        made = self._page("forecasts", fetch, limit, lambda row: forecasts.unpack(instant(row[0]), row[1], row[2]))
        return made[::-1] if newest else made

    def minute_record(self, series: SeriesKey) -> MinuteRecord | None:
        """Return how the minute forecasts of a series have done; None before the first outcome."""
        with self._connections.snapshot() as connection:
            records = forecasts.records(connection, forecast_records.c.series == series_id(series), self._damaged)
        return next(iter(records.values()), None)

    def minute_records(self) -> Mapping[SeriesKey, MinuteRecord]:
        """Return the records of all series that have one."""
        with self._connections.snapshot() as connection:
            records = forecasts.records(connection, true(), self._damaged)
            rows = connection.execute(select(symbols)).all()
        keys = self._damaged.leave_out("symbols", rows, lambda row: (row.id, _key(row)))
        return {key: records[number] for number, key in keys if number in records}

    def minute_models(self) -> Mapping[SeriesKey, MinuteModel]:
        """Return the newest model of every series that has one."""
        query = select(symbols, minute_models.c.fitted_at_us, minute_models.c.content).join(
            minute_models, symbols.c.id == minute_models.c.series
        )
        return dict(self._rows("minute_models", query, _minute_model))

    def sizes(self) -> Sequence[SeriesSize]:
        """Return the size of every series, sorted."""
        postgresql = self._connections.engine.dialect.name == "postgresql"
        with self._connections.snapshot() as connection:
            rows = connection.execute(select(symbols)).all()
            if postgresql:
                total = connection.execute(statement("SELECT pg_total_relation_size('price_history')")).scalar_one()
            else:  # nearly all pages of the file hold candles
                pages, free, size = (
                    connection.execute(statement(f"PRAGMA {name}")).scalar_one()
                    for name in ("page_count", "freelist_count", "page_size")
                )
                total = (pages - free) * size
        stored = self._damaged.leave_out("symbols", rows, lambda row: (_key(row), whole(row.candles)))
        every = sum(candles for _, candles in stored) or 1
        sizes = [SeriesSize(key, candles, total * candles // every) for key, candles in stored]
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

    def _rows(self, table: str, query: _Select, read: Callable[[_Row], T], limit: int = _MOST_ROWS) -> list[T]:
        def fetch(size: int, offset: int) -> Sequence[_Row]:
            with self._connections.snapshot() as connection:
                return connection.execute(query.limit(size).offset(offset or None)).all()

        return self._page(table, fetch, limit, read)

    def _page(
        self, table: str, fetch: Callable[[int, int], Sequence[_R]], limit: int, read: Callable[[_R], T]
    ) -> list[T]:
        """Return at most `limit` sound rows; fewer mean that there are no more.

        `fetch` returns at most so many rows, after an offset.
        """
        limit, page, offset = min(max(limit, 0), _MOST_ROWS), list[T](), 0
        for _ in range(_MOST_READS):
            size = max(limit - len(page), _READ_AGAIN) if offset else limit
            rows = fetch(size, offset)
            page += self._damaged.leave_out(table, rows, read)
            offset += len(rows)
            if len(rows) < size or len(page) >= limit:
                break
        return page[:limit]


def _opening_in(query: _Select, table: Table, series: SeriesKey, span: Span) -> _Select:
    opening = table.c.open_time
    return query.where(
        table.c.series == series_id(series), opening >= seconds_up(span.start), opening < seconds_up(span.end)
    )


def _order(series: SeriesKey) -> tuple[str, Pair, int]:
    return series.source, series.pair, series.interval.seconds


def _key(row: _Row) -> SeriesKey:
    pair = Pair.parse(text(row.pair))
    if str(pair) != row.pair:  # no query would find it
        raise ValueError(f"{row.pair} is not written as {pair}")
    return SeriesKey(text(row.source), pair, Interval(timedelta(seconds=row.interval)))


def _state(row: _Row) -> str:
    if row.state not in SERIES_STATES:
        raise ValueError(f"{row.state} is not one of {', '.join(SERIES_STATES)}")
    return text(row.state)


def _collected(row: _Row) -> CollectedSeries:
    key = _key(row)
    first, last = (None if at is None else instant(at) for at in (row.first_open, row.last_open))
    if (first is None) != (last is None) or (first is not None and last is not None and first > last):
        raise ValueError(f"its first opening {first} and its last one {last} contradict each other")
    return CollectedSeries(
        series=key,
        simulated=row.simulated,
        state=_state(row),
        first_open=first,
        newest_close=None if last is None else last + key.interval.length,
        gaps=row.gaps or 0,
        missing=int(row.length or 0) // key.interval.seconds,
        since=None if row.since is None else instant(row.since),
        compared=whole(row.compared),
        mismatched=whole(row.mismatched),
        version=whole(row.version),
    )


def _last_price(row: _Row) -> LastPrice:
    key = _key(row)
    close = None if row.last_open is None else instant(row.last_open) + key.interval.length
    return LastPrice(key, row.simulated, _state(row), close, _price(row.price), _price(row.earlier))


def _price(value: object) -> float | None:
    return value if isinstance(value, float) and 0 < value < math.inf else None


def _span(row: _Row) -> Span:
    span = Span(instant(row.start_time), instant(row.end_time))
    if span.start >= span.end:
        raise ValueError("it ends before it begins")
    return span


def _candle(row: Sequence[Any]) -> StoredCandle:
    """Return a candle whose numbers can be those of a market, each by itself: `history` judges what they mean."""
    opening, first, high, low, close, volume, quote, trades, taker_base, taker_quote, vwap = row
    # written out, because answers have thousands of them
    if not (
        0 < first < math.inf
        and 0 < high < math.inf
        and 0 < low < math.inf
        and 0 < close < math.inf
        and 0 <= volume < math.inf
        and (quote is None or 0 <= quote < math.inf)
        and (trades is None or 0 <= trades < math.inf)
        and (taker_base is None or 0 <= taker_base < math.inf)
        and (taker_quote is None or 0 <= taker_quote < math.inf)
        and (vwap is None or 0 <= vwap < math.inf)
    ):
        raise ValueError(f"{shown(str(row[1:]))} are not numbers of a market")
    candle = Candle(instant(opening), first, high, low, close, volume, quote, trades, taker_base, taker_quote)
    return StoredCandle(candle, vwap)


def _revision(row: _Row) -> Revision:
    return Revision(_candle((*row[:-1], None)).candle, instant_us(row[-1]))


def _quarantined(row: _Row) -> Quarantined:
    numbers = json.loads(row[1])
    if not all(value is None or isinstance(value, int | float) for value in numbers):
        raise ValueError("its numbers are not numbers")
    return Quarantined(Candle(instant_us(row[0]), *numbers), text(row[2]))


def _quote(row: _Row) -> Quote:
    return Quote(instant_us(row[0]), *map(number, row[1:]))


def _built(row: _Row) -> BuiltCandle:
    opening, first, high, low, close, ticks, late, partial, volume = row
    prices = number(first), number(high), number(low), number(close)
    size = None if volume is None else number(volume)
    return BuiltCandle(instant(opening), *prices, whole(ticks), whole(late), partial, size)


def _stream(row: _Row) -> StreamSpan:
    start, end, state, reason = row
    return StreamSpan(Span(instant_us(start), instant_us(end)), StreamState(state), text(reason))


def _minute_model(row: _Row) -> tuple[SeriesKey, MinuteModel]:
    return _key(row), MinuteModel(instant_us(row.fitted_at_us), text(row.content))


def _gap(row: _Row, interval: Interval) -> StoredGap:
    span = _span(row)
    missing = (row.end_time - row.start_time) // interval.seconds
    verdict, found_at = text(row.verdict), instant_us(row.found_at_us)
    return StoredGap(Gap(span.start, span.end, missing), text(row.cause), whole(row.attempts), verdict, found_at)
