"""Reads of the market, without NumPy and pandas.

Rows that were altered outside of this program, and cannot be what their columns mean, are left out of every answer,
counted, and logged once each.
"""

import logging
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any, Self, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Row, Select, Table, and_, bindparam, case, cast, func, literal, select
from sqlalchemy import text as statement

from crypto_predict import logs
from crypto_predict.errors import InvalidValue, shown
from crypto_predict.market import Candle, Interval, Pair, Quote, SeriesKey, Span, StoredCandle, StoredGap
from crypto_predict.market.collected import (
    BuiltCandle,
    CollectedSeries,
    MinuteRecord,
    Quarantined,
    ShardState,
    StreamSpan,
)
from crypto_predict.market.forecast import HourForecast, MinuteForecast, MinuteModel
from crypto_predict.store import forecasts, hour_forecasts, shards, tables
from crypto_predict.store.columns import LEAST_SECONDS, MOST_SECONDS, THE_SERIES, parameters
from crypto_predict.store.database import Connections
from crypto_predict.store.rows import (
    built_of,
    candle_of,
    collected_of,
    gap_of,
    minute_model_of,
    quarantined_of,
    quote_of,
    span_of,
    stream_of,
)
from crypto_predict.store.tables import coverage, gaps, minute_models, price_history, symbols

MOST_LOGGED = 1_000  # damaged rows

_SECOND = timedelta(seconds=1)
_MOST = 1.7976931348623157e308  # the greatest finite number
_FEW = 200  # rows fetched at once: so few that Python does not search them for garbage
_MOST_ROWS = 2**31 - 1  # that a statement can be limited to
_MOST_READS, _READ_AGAIN = 100, 1_000  # statements for one page that damaged rows leave short; rows of each
_DAMAGE = (ValueError, TypeError, AttributeError, ArithmeticError, OSError, InvalidValue)
_Row = Row[*tuple[Any, ...]]
_Select = Select[*tuple[Any, ...]]
_R = TypeVar("_R")
_T = TypeVar("_T")

_log = logging.getLogger("crypto_predict.database")


# Queries are built once: to build one takes longer than to execute it.
def _in_span(table: Table, *names: str, until: str | None = None, newest: bool = False) -> _Select:
    """Return the query of the rows of a series whose time, the first column, lies in a span.

    With `until`, the rows are spans themselves, and those that overlap it are selected.
    """
    columns, keys = [table.c[name] for name in names], ("source", "pair", "interval")
    time, unit = columns[0], "_us" if names[0].endswith("_us") else ""
    own = [table.c[name] == bindparam(f"of_{name}") for name in keys if name in table.c]
    start, end = (bindparam(f"{edge}{unit}", type_=BigInteger) for edge in ("start", "end"))
    return (
        select(*columns)
        .where(*own or [table.c.series == THE_SERIES])
        .where(time < end, time >= start if until is None else table.c[until] > start)
        .order_by(time.desc() if newest else time, *(table.c[name] for name in ("id",) if name in table.c))
    )


def _page_of(table: Table, *names: str, newest: bool = False) -> _Select:
    query = _in_span(table, *names, newest=newest)
    return query.limit(bindparam("limit")).offset(bindparam("offset"))


FIELDS = Candle._fields[1:]
_CANDLES = _page_of(price_history, "open_time", *FIELDS, "vwap")
_NUMBERS = [price_history.c[name] for name in FIELDS]
# `candle_of` in SQL: text and NaN are greater than every number
_SOUND = and_(
    *(price.between(5e-324, _MOST) for price in _NUMBERS[:4]),
    price_history.c.volume.between(0, _MOST),
    *(number.is_(None) | number.between(0, _MOST) for number in (*_NUMBERS[5:], price_history.c.vwap)),
    price_history.c.trades.is_(None) | (cast(price_history.c.trades, BigInteger) == price_history.c.trades),
)
# As one condition: of so many SQLite would expect so few rows that it would sort them.
_COLUMNS = _in_span(price_history, "open_time", *FIELDS, "vwap").where(case((_SOUND, 1), else_=0) == 1)
_COUNT = _in_span(price_history, "open_time").with_only_columns(func.count()).order_by(None)
_REVISIONS = _in_span(tables.revisions, "open_time", *FIELDS)
_QUARANTINE = _in_span(tables.quarantine, "open_time_us", "numbers", "reason")
_COVERAGE = (
    select(coverage.c.start_time, coverage.c.end_time)
    .where(coverage.c.series == THE_SERIES)
    .order_by(coverage.c.start_time)
)
_GAPS = _in_span(gaps, "start_time", "end_time", "cause", "attempts", "verdict", "found_at_us", until="end_time")
_STREAMS = _in_span(tables.streams, "start_us", "end_us", "state", "reason", until="end_us")
_BUILT = _page_of(tables.built_candles, *(field.name for field in fields(BuiltCandle)))
_QUOTES, _FORECASTS, _HOUR_FORECASTS = (  # by whether the newest come first
    {newest: _page_of(table, *names, newest=newest) for newest in (False, True)}
    for table, names in (
        (tables.top_of_book, ("time_us", "bid", "bid_size", "ask", "ask_size")),
        (tables.forecasts, ("cutoff", "price", "distances")),
        (tables.hour_forecasts, ("cutoff", "price", "distances")),
    )
)
_MODELS = select(symbols, minute_models.c.fitted_at_us, minute_models.c.content).join(
    minute_models, symbols.c.id == minute_models.c.series
)


def _collected_query(*conditions: ColumnElement[bool]) -> _Select:
    """Return the query of series with the number and length of their gaps, which are counted before they are joined."""
    holes = (
        select(gaps.c.series, func.count().label("gaps"), func.sum(gaps.c.end_time - gaps.c.start_time).label("length"))
        .where(gaps.c.start_time >= LEAST_SECONDS, gaps.c.end_time > gaps.c.start_time, gaps.c.end_time <= MOST_SECONDS)
        .where(*(gaps.c.series.in_(select(symbols.c.id).where(condition)) for condition in conditions))
        .group_by(gaps.c.series)
        .subquery()
    )
    query = select(symbols, holes.c.gaps, holes.c.length).outerjoin(holes, symbols.c.id == holes.c.series)
    return query.where(*conditions)


_COLLECTED, _COLLECTED_OF_PAIR = _collected_query(), _collected_query(symbols.c.pair == bindparam("of_pair"))
_CANDLE, _EARLIER = price_history.c, symbols.c.last_open - bindparam("ago")
_LAST_PRICES = select(  # each price is one look into the primary key of the candles
    symbols,
    literal(0).label("gaps"),
    literal(0).label("length"),
    select(_CANDLE.close)
    .where(_CANDLE.series == symbols.c.id, _CANDLE.open_time == symbols.c.last_open)
    .scalar_subquery()
    .label("price"),
    select(_CANDLE.close)
    .where(_CANDLE.series == symbols.c.id)
    .where(_CANDLE.open_time <= _EARLIER, _CANDLE.open_time >= _EARLIER - bindparam("tolerance"))
    .order_by(_CANDLE.open_time.desc())
    .limit(1)
    .scalar_subquery()
    .label("earlier"),
).where(  # a subtraction from others may overflow
    symbols.c.last_open.is_(None) | symbols.c.last_open.between(LEAST_SECONDS, MOST_SECONDS)
)
_BYTES = {  # of all candles, by the kind of database; nearly all pages of a file hold candles
    "postgresql": statement(
        "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('price_history')"
    ),
    "sqlite": statement(
        "SELECT (page_count - freelist_count) * page_size"
        " FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
    ),
}


class Rows(Connections):
    """The rows of a database of the market, open for reading, as `ports` describes it. Safe to share between threads.

    It is not changed, and another process may write to it.
    """

    def __init__(self, url: str) -> None:
        """Open the database at a path, ``sqlite:///path`` or ``postgresql://user:password@host:5432/name``.

        Raise `InvalidValue` if `url` is none of them, and `DatabaseError` if the database does not exist, cannot be
        reached, or has another schema.
        """
        super().__init__(url)
        self.damaged = 0  # how often a row was left out because it is damaged
        self._logged: set[tuple[str, str]] = set()  # tables and keys of damaged rows
        try:
            if fault := self._fault():
                raise self.error(fault)
        except BaseException:
            self.close()
            raise

    def collected(self, pair: Pair | None = None) -> Sequence[CollectedSeries]:
        query = _COLLECTED if pair is None else _COLLECTED_OF_PAIR
        return sorted(self._rows("symbols", query, collected_of, {"of_pair": str(pair)}), key=_order)

    def last_prices(self, ago: timedelta, tolerance: timedelta) -> Sequence[CollectedSeries]:
        values = {"ago": ago // _SECOND, "tolerance": tolerance // _SECOND}
        rows = self._rows("symbols", _LAST_PRICES, lambda row: collected_of(row, row.price, row.earlier), values)
        return sorted(rows, key=_order)

    def coverage(self, series: SeriesKey) -> Sequence[Span]:
        return self._rows("coverage", _COVERAGE, span_of, parameters(series))

    def candles(self, series: SeriesKey, span: Span, limit: int) -> Sequence[StoredCandle]:
        return self._page("price_history", _CANDLES, candle_of, parameters(series, span), limit)

    def columns(self, series: SeriesKey, span: Span) -> Sequence[Sequence[Any]]:
        values = parameters(series, span)
        with self.snapshot() as connection:
            cursor = connection.execute(_COLUMNS, values).cursor
            named: dict[str, list[Any]] = {name: [] for name in ("open_time", *FIELDS, "vwap")}
            while rows := cursor.fetchmany(_FEW):
                for column, values_of_rows in zip(named.values(), zip(*rows, strict=True), strict=True):
                    column.extend(values_of_rows)
            whole = len(named["open_time"])
            is_full = whole == (span.end - span.start) // series.interval.length  # no row can be damaged then
            count = whole if is_full else connection.execute(_COUNT, values).scalar_one()
        if whole < count:
            self.candles(series, span, count)  # counts the damaged ones, and logs them
        return [_compact(column, "q" if name in {"open_time", "trades"} else "d") for name, column in named.items()]

    def quotes(self, source: str, pair: Pair, span: Span, limit: int, *, newest: bool = False) -> Sequence[Quote]:
        values = parameters(SeriesKey(source, pair, Interval.MINUTE_1), span)
        quotes = self._page("top_of_book", _QUOTES[newest], quote_of, values, limit)
        return quotes[::-1] if newest else quotes

    def gaps(self, series: SeriesKey, span: Span) -> Sequence[StoredGap]:
        return self._rows("gaps", _GAPS, lambda row: gap_of(row, series.interval), parameters(series, span))

    def revisions(self, series: SeriesKey, span: Span) -> Sequence[Candle]:
        """Return the candles that open in `span` as they were before they were replaced, by opening and change."""
        return self._rows("revisions", _REVISIONS, lambda row: candle_of((*row, None)).candle, parameters(series, span))

    def quarantine(self, series: SeriesKey, span: Span) -> Sequence[Quarantined]:
        """Return the rejected rows that open in `span`, ascending."""
        return self._rows("quarantine", _QUARANTINE, quarantined_of, parameters(series, span))

    def streams(self, source: str, pair: Pair, span: Span) -> Sequence[StreamSpan]:
        return self._rows("streams", _STREAMS, stream_of, parameters(SeriesKey(source, pair, Interval.MINUTE_1), span))

    def built(self, series: SeriesKey, span: Span, limit: int) -> Sequence[BuiltCandle]:
        return self._page("built_candles", _BUILT, built_of, parameters(series, span), limit)

    def minute_forecasts(
        self, series: SeriesKey, span: Span, limit: int, *, newest: bool = False
    ) -> Sequence[MinuteForecast]:
        rows = self._page("forecasts", _FORECASTS[newest], forecasts.unpack, parameters(series, span), limit)
        return rows[::-1] if newest else rows

    def hour_forecasts(
        self, series: SeriesKey, span: Span, limit: int, *, newest: bool = False
    ) -> Sequence[HourForecast]:
        query, values = _HOUR_FORECASTS[newest], parameters(series, span)
        rows = self._page("hour_forecasts", query, hour_forecasts.unpack, values, limit)
        return rows[::-1] if newest else rows

    def minute_records(self, series: SeriesKey | None = None) -> Mapping[SeriesKey, MinuteRecord]:
        query, values = (forecasts.RECORDS, {}) if series is None else (forecasts.RECORD, parameters(series))
        return forecasts.grouped(self._rows("forecast_scores", query, forecasts.scored, values))

    def minute_models(self) -> Mapping[SeriesKey, MinuteModel]:
        return dict(self._rows("minute_models", _MODELS, minute_model_of))

    def shards(self) -> Sequence[ShardState]:
        if self.path is not None:
            return ()
        with self.snapshot() as connection:
            return shards.read(connection)

    def sizes(self) -> Mapping[SeriesKey, int]:
        with self.snapshot() as connection:
            total = connection.execute(_BYTES[connection.dialect.name]).scalar_one()
        stored = self.collected()
        candles = sum(collected.candles for collected in stored) or 1
        return {collected.series: total * collected.candles // candles for collected in stored}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fault(self) -> str | None:
        """Return why the tables cannot be used; None if they can."""
        with self.snapshot() as connection:
            return tables.check_version(connection)

    def _rows(
        self, table: str, query: _Select, read: Callable[[_Row], _T], values: Mapping[str, object] | None = None
    ) -> list[_T]:
        """Return all sound rows."""
        with self.snapshot() as connection:
            rows = connection.execute(query, values or {}).all()
        return self._sound(table, rows, read)

    def _page(
        self, table: str, query: _Select, read: Callable[[Sequence[Any]], _T], values: Mapping[str, object], limit: int
    ) -> list[_T]:
        """Return at most `limit` sound rows; fewer mean that there are no more."""
        limit, page, offset = min(max(limit, 0), _MOST_ROWS), list[_T](), 0
        for _ in range(_MOST_READS):
            size = max(limit - len(page), _READ_AGAIN) if offset else limit
            with self.snapshot() as connection:
                # tuples of the driver, in less time than rows of SQLAlchemy
                answer = connection.execute(query, {**values, "limit": size, "offset": offset})
                rows = answer.cursor.fetchall()
            page += self._sound(table, rows, read)
            offset += len(rows)
            if len(rows) < size or len(page) >= limit:
                break
        return page[:limit]

    def _sound(self, table: str, rows: Sequence[_R], read: Callable[[_R], _T]) -> list[_T]:
        """Return what `read` makes of rows, without the damaged ones, for which it raises an error."""
        try:
            return list(map(read, rows))
        except _DAMAGE:
            pass
        sound = []
        for row in rows:
            try:
                sound.append(read(row))
            except _DAMAGE as error:
                self._count_damaged(table, row, error)
        return sound

    def _count_damaged(self, table: str, row: object, error: Exception) -> None:
        self.damaged += 1
        values = list(row) if isinstance(row, Iterable) else [row]
        key = ", ".join(shown(value) for value in values[:4])  # it is among them
        if (table, key) not in self._logged and len(self._logged) < MOST_LOGGED:
            self._logged.add((table, key))
            facts = {"database": self.address, "table": table, "row": key, "reason": shown(str(error))}
            logs.event(_log, logging.WARNING, "damaged row left out", **facts)


def _compact(column: list[Any], code: str) -> Sequence[Any]:
    """Return numbers as an array with this type code, in a quarter of the memory; as they are if some are missing."""
    try:
        return array(code, column)
    except TypeError:  # None is among them
        return column


def _order(collected: CollectedSeries) -> tuple[str, Pair, int]:
    return collected.series.source, collected.series.pair, collected.series.interval.seconds
