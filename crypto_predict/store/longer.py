"""Reads of candles that are made of the stored ones: out of rollups where these are kept, or of the candles."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, Table, TextClause, bindparam, func, select

from crypto_predict.market import Interval, SeriesKey, Span, StoredCandle, aggregate
from crypto_predict.store import rollups, tables
from crypto_predict.store.columns import MOST_SECONDS, THE_SERIES, instant, parameters, seconds_up
from crypto_predict.store.joining import bound, joined
from crypto_predict.store.reading import FIELDS, Rows
from crypto_predict.store.rows import candle_of, span_of
from crypto_predict.store.storing import Openings, united
from crypto_predict.store.tables import price_history, purged, symbols

_LEAST, _MOST = 500, 250_000  # candles that one statement makes at least, and parts that it reads at most

_SERIES = select(symbols.c.id, symbols.c.unrolled).where(symbols.c.id == THE_SERIES)
_PURGED = select(purged.c.start_time, purged.c.end_time).where(purged.c.series == THE_SERIES)


class _Parts(NamedTuple):
    """What candles are made of: the stored ones of a series, or its rollups of a length."""

    series: SeriesKey
    number: int  # of the series
    level: Interval | None  # None: the stored ones

    @property
    def interval(self) -> Interval:
        """The length of a part."""
        return self.level or self.series.interval


class Database(Rows):
    """A database of the market, open for reading, as `ports` describes it. Safe to share between threads.

    It is not changed, and another process may write to it.
    """

    def covered(self, series: SeriesKey, interval: Interval) -> Sequence[Span]:
        spans = list(self.coverage(series))
        if rollups.level_for(series.interval, interval) is not None:
            spans += self._rows("purged", _PURGED, span_of, parameters(series))
        openings = united([Openings(seconds_up(span.start), seconds_up(span.end)) for span in spans])
        wholes = [Span(instant(start), instant(end)).whole(interval) for start, end in openings]
        return [whole for whole in wholes if whole.start < whole.end]

    def joined(self, series: SeriesKey, interval: Interval, span: Span, limit: int) -> Sequence[StoredCandle]:
        if interval is series.interval:
            return self.candles(series, span, limit)
        with self.snapshot() as connection:
            row = connection.execute(_SERIES, parameters(series)).one_or_none()
        if row is None:
            return []
        level = rollups.level_for(series.interval, interval) if row.unrolled is None else None
        parts, end = _Parts(series, row.id, level), min(span.end, instant(MOST_SECONDS))
        whole = Span(interval.ceil(span.start), interval.ceil(end))
        if level is interval:
            return self._parts(parts, whole, limit)
        return self._joined(parts, interval, whole, limit)

    def _joined(self, parts: _Parts, interval: Interval, span: Span, limit: int) -> list[StoredCandle]:
        """Return at most `limit` candles made of parts, out of several statements if there are long gaps."""
        candles: list[StoredCandle] = []
        start, most = span.start, _MOST * parts.interval.length // interval.length
        while start < span.end and len(candles) < limit:
            end = min(span.end, start + min(max(limit - len(candles), _LEAST), most) * interval.length)
            made = self._made(parts, interval, Span(start, end))
            candles += made
            following = [] if made else self._parts(parts, Span(end, span.end), 1)
            start = interval.floor(following[0].candle.open_time) if following else end if made else span.end
        return candles[:limit]

    def _made(self, parts: _Parts, interval: Interval, span: Span) -> list[StoredCandle]:
        """Return the candles of a span, made by the database; by this program if a part is damaged, which is logged."""
        values = {"start": seconds_up(span.start), "end": seconds_up(span.end), "number": parts.number}
        with self.snapshot() as connection:
            statement = _statement(connection.dialect.name, interval, parts.level)
            rows = connection.execute(statement, {**values, "series": [parts.number]}).cursor.fetchall()
            sound = sum(row[-1] for row in rows)
            is_full = sound == (span.end - span.start) // parts.interval.length  # nothing can be damaged then
            stored = sound if is_full else connection.execute(_count(parts.level), values).scalar_one()
        if sound == stored:
            return self._sound("price_history", [row[2:-1] for row in rows], candle_of)
        found = self._parts(parts, span, stored)
        groups = groupby(found, lambda part: interval.floor(part.candle.open_time))
        return [candle for _, group in groups if (candle := _aggregated(list(group), interval)) is not None]

    def _parts(self, parts: _Parts, span: Span, limit: int) -> Sequence[StoredCandle]:
        if parts.level is None:
            return self.candles(parts.series, span, limit)
        values = parameters(parts.series, span) | {"number": parts.number}
        return self._page("rollups", _page_of(parts.level), candle_of, values, limit)


def _aggregated(parts: Sequence[StoredCandle], interval: Interval) -> StoredCandle | None:
    """Return the candle that parts of one interval make; None if a sum is too large for a number."""
    (candle,) = aggregate((part.candle for part in parts), interval)
    return None if candle.faults() else StoredCandle(candle, parts[-1].vwap)


@cache
def _statement(dialect: str, interval: Interval, level: Interval | None) -> TextClause:
    return bound(f"{joined(dialect, interval, level, counted=True)} ORDER BY opening")


@cache
def _of_parts(level: Interval | None) -> tuple[Table, Sequence[ColumnElement[bool]]]:
    """Return the table of parts, and which of its rows they are in a span."""
    table = price_history if level is None else tables.rollups
    start, end = (bindparam(name, type_=BigInteger) for name in ("start", "end"))
    own = [table.c.series == bindparam("number"), table.c.open_time >= start, table.c.open_time < end]
    return table, own if level is None else [*own, table.c.interval == level.seconds]


@cache
def _count(level: Interval | None) -> Select[int]:
    table, conditions = _of_parts(level)
    return select(func.count()).select_from(table).where(*conditions)


@cache
def _page_of(level: Interval) -> Select[Any]:
    table, conditions = _of_parts(level)
    columns = [table.c[name] for name in ("open_time", *FIELDS, "vwap")]
    query = select(*columns).where(*conditions).order_by(table.c.open_time)
    return query.limit(bindparam("limit")).offset(bindparam("offset"))
