"""Statements that join candles into longer ones in the database, as `market.aggregate` does."""

from functools import cache

from sqlalchemy import Double, TextClause, bindparam, text

from crypto_predict.market import Interval
from crypto_predict.store.columns import MONDAY_SECONDS

# Volumes from here on are left out: PostgreSQL refuses a sum that is too large for a number. No market has them.
MOST = 1e304

_OPTIONAL = ("quote_volume", "trades", "taker_base_volume", "taker_quote_volume")
# What no market can have made was altered outside of this program, and is not part of a longer candle. The first open
# and the last close are looked at where they are read.
_SOUND = " AND ".join(
    [
        "low > 0 AND high >= low AND high < :most AND volume >= 0 AND volume < :most",
        *(f"({name} BETWEEN 0 AND :most) IS NOT FALSE" for name in _OPTIONAL),
    ]
)
_LEAST = {"sqlite": "min", "postgresql": "least"}


@cache
def joined(dialect: str, interval: Interval, parts: Interval | None, *, counted: bool = False) -> str:
    """Return the query of the candles of `interval` of :series (a list) made of parts that open from :start to :end.

    The parts are rollups of that length, or the stored candles if it is None. The columns are those of the table
    `rollups`; if `counted`, then how many parts a candle has. :most is `MOST`.
    """
    table = "price_history" if parts is None else "rollups"
    columns = [
        "grouped.series",
        str(interval.seconds),
        "opening",
        _edge(table, parts, "open", "first"),
        "high",
        "low",
        _edge(table, parts, "close", "last"),
        "volume",
        *_OPTIONAL,
        _edge(table, parts, "vwap", "last"),
        *(["parts"] if counted else []),
    ]
    return f"SELECT {', '.join(columns)} FROM ({_grouped(dialect, table, interval, parts)}) AS grouped WHERE TRUE"  # noqa: S608 - names of tables.py


def bound(statement: str) -> TextClause:
    """Return a statement that contains `joined`, with its parameters."""
    return text(statement).bindparams(bindparam("series", expanding=True), bindparam("most", MOST, Double))


def _grouped(dialect: str, table: str, interval: Interval, parts: Interval | None) -> str:
    """Return the query of everything but the values of the first and the last part, whose openings it has."""
    columns = [
        "series",
        f"open_time - (open_time - {MONDAY_SECONDS}) % {interval.seconds} AS opening",
        "min(open_time) AS first, max(open_time) AS last, max(high) AS high, min(low) AS low, sum(volume) AS volume",
        *(f"CASE WHEN count({name}) = count(*) THEN {_sum(dialect, name)} END AS {name}" for name in _OPTIONAL),
        "count(*) AS parts",
    ]
    own = "" if parts is None else f" AND interval = {parts.seconds}"
    where = f"series IN :series{own} AND open_time >= :start AND open_time < :end AND {_SOUND}"
    return f"SELECT {', '.join(columns)} FROM {table} WHERE {where} GROUP BY 1, 2"  # noqa: S608 - names of tables.py


def _edge(table: str, parts: Interval | None, name: str, end: str) -> str:
    """Return the query of a value of the first or the last part: one look into the key of its table.

    The bounds tell PostgreSQL which months these looks can be in: without them each would search all of them.
    """
    own = "" if parts is None else f" AND part.interval = {parts.seconds}"
    bounds = "part.open_time >= :start AND part.open_time < :end"
    where = f"part.series = grouped.series{own} AND part.open_time = grouped.{end} AND {bounds}"
    return f"(SELECT part.{name} FROM {table} AS part WHERE {where})"  # noqa: S608 - names of tables.py


def _sum(dialect: str, name: str) -> str:
    if name != "trades":
        return f"sum({name})"
    # as real numbers: a sum of integers that is too large would fail
    return f"CAST({_LEAST[dialect]}(sum(CAST(trades AS DOUBLE PRECISION)), 9e18) AS BIGINT)"
