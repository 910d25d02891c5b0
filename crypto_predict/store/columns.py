"""How the values of the market stand in columns, and how they are read: rows may be altered by anyone.

Times are whole numbers, and a series is its number in `symbols`. SQLite stores any value in any column, and a column of
PostgreSQL may hold numbers that are not finite: what reads a value raises an error if it is not what its column means.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Row, bindparam, func, literal, select, tuple_

from crypto_predict.errors import shown
from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey, Span
from crypto_predict.market.interval import MONDAY
from crypto_predict.store.tables import symbols

# The number of a series, for queries that are built once: to build one takes longer than to execute it.
THE_SERIES = (
    select(symbols.c.id)
    .where(symbols.c.source == bindparam("of_source"), symbols.c.pair == bindparam("of_pair"))
    .where(symbols.c.interval == bindparam("of_interval"))
    .scalar_subquery()
)

# Since 1970, to the years 2 and 9999: arithmetic with instants beyond them may leave the calendar.
LEAST_SECONDS, MOST_SECONDS = -62_104_060_800, 253_370_764_800

_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)

# Since 1970: an opening of every interval, and so of weeks.
MONDAY_SECONDS = (MONDAY - EPOCH) // _SECOND


def among(
    connection: Connection, columns: Sequence[ColumnElement[Any]], rows: Iterable[Sequence[Any]]
) -> ColumnElement[bool]:
    """Return the condition that the values of columns are those of one of some rows.

    PostgreSQL gets an array a column: so the statement has the same text for any number of rows, and is prepared once.
    """
    values = [list(row) for row in rows]
    if connection.dialect.name == "sqlite":
        return tuple_(*columns).in_(values) if len(columns) > 1 else columns[0].in_([value for (value,) in values])
    arrays = (literal([row[number] for row in values], ARRAY(column.type)) for number, column in enumerate(columns))
    return tuple_(*columns).in_(select(*map(func.unnest, arrays)))


def seconds_up(time: datetime) -> int:
    """Return the whole seconds since 1970, rounded up: an opening in whole seconds is before both or before neither."""
    return -((EPOCH - time) // _SECOND)


def microseconds(time: datetime) -> int:
    """Return the microseconds since 1970."""
    return (time - EPOCH) // _MICROSECOND


def parameters(series: SeriesKey, span: Span | None = None) -> dict[str, object]:
    """Return the parameters of a query that has `THE_SERIES` or its names, and the ends of a span."""
    values = {"of_source": series.source, "of_pair": str(series.pair), "of_interval": series.interval.seconds}
    if span is None:
        return values
    ends = {"start": seconds_up(span.start), "end": seconds_up(span.end)}
    return values | ends | {"start_us": microseconds(span.start), "end_us": microseconds(span.end)}


def instant(seconds: int) -> datetime:
    """Return the time that is `seconds` after 1970, in the years 2 to 9998."""
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise ValueError(f"{seconds} is not a time: expected seconds since 1970, up to the year 9998")
    return datetime.fromtimestamp(seconds, UTC)


def instant_us(microseconds: int) -> datetime:
    """Return the time that is `microseconds` after 1970, in the years 2 to 9998."""
    if not LEAST_SECONDS <= microseconds / 1_000_000 <= MOST_SECONDS:
        raise ValueError(f"{microseconds} is not a time: expected microseconds since 1970, up to the year 9998")
    return EPOCH + timedelta(microseconds=microseconds)


def text(value: object) -> str:
    """Return a value that is text."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text")
    return value


def whole(value: object) -> int:
    """Return a value that is a whole number, not below zero."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{shown(value)} is not a whole number from 0 on")
    return value


def number(value: object) -> float:
    """Return a value that is a finite number, not below zero."""
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{shown(value)} is not a finite number from 0 on")
    return value


def series_of(row: Row[*tuple[Any, ...]]) -> SeriesKey:
    """Return the series that a row with these columns of `symbols` names."""
    pair = Pair.parse(text(row.pair))
    if str(pair) != row.pair:  # no query would find it
        raise ValueError(f"{row.pair} is not written as {pair}")
    return SeriesKey(text(row.source), pair, Interval.of_seconds(row.interval))
