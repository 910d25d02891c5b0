"""Rollups: longer candles that are kept beside the shorter ones, so that a page of any interval has few parts.

They are made again from their parts in the transaction that changes these: what is stored is what the parts are. Only
the next candle of a live series is added to those that it belongs to, which is quicker with many pairs. The shortest
rollup is made of the stored candles, the longer ones of the next shorter. Where candles were deleted,
their rollups stay, unless the source was asked again for all of what a rollup is made of.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from sqlalchemy import Connection, TextClause, bindparam, delete, select, text, update

from crypto_predict.market import Interval
from crypto_predict.market.candle import DAY_SECONDS, session_end
from crypto_predict.store import bulk
from crypto_predict.store.columns import among
from crypto_predict.store.joining import bound, joined
from crypto_predict.store.storing import Change, Openings, Symbol, united
from crypto_predict.store.tables import coverage, purged, rollups, symbols

LEVELS = (Interval.MINUTE_15, Interval.HOUR_4, Interval.DAY_1)  # ascending, each a part of the next
BUILT_DAYS = 30  # whose rollups are made in one transaction: 43,200 minutes take a tenth of a second

_SUMS = ("volume", "quote_volume", "trades", "taker_base_volume", "taker_quote_volume")
_MOST_ADDED = 1e15  # where no sum can be more than its column holds


_LEAST_PARTS = 6  # of fewer a rollup would save too little
_Spans = Sequence[Openings]


@cache
def levels(base: Interval) -> tuple[Interval, ...]:
    """Return the lengths of the rollups that are kept of candles of `base`, ascending."""
    return tuple(
        level for level in LEVELS if level.seconds % base.seconds == 0 and level.seconds >= _LEAST_PARTS * base.seconds
    )


def level_for(base: Interval, interval: Interval) -> Interval | None:
    """Return the longest rollup of `base` of which candles of `interval` are made; None if it is made of `base`."""
    return max(
        (level for level in levels(base) if interval.seconds % level.seconds == 0),
        key=lambda level: level.seconds,
        default=None,
    )


def renew(connection: Connection, changes: Sequence[Change]) -> None:
    """Make the rollups again of what was written to locked series, whose coverage has been stored before."""
    spans: dict[int, Openings] = {}
    for change in changes:
        if change.written is not None and (own := levels(change.base)):
            start, end = _whole(change.written, own[0])
            unrolled = change.symbol.unrolled
            start = start if unrolled is None else max(start, unrolled)
            if start < end:
                spans[change.symbol.id] = Openings(start, end)
    kept = _kept(connection, spans)
    following = [change for change in changes if change.symbol.id in spans.keys() - kept and _is_next(change)]
    _add(connection, following)
    for change in following:
        del spans[change.symbol.id]
    together: dict[tuple[Interval, Openings], list[int]] = defaultdict(list)  # series, in one statement
    for change in changes:
        series = change.symbol.id
        if series in kept:
            days = _whole(spans[series], Interval.DAY_1)
            _make(connection, change.base, [series], days, _open(connection, series, days, kept[series]))
        elif series in spans:
            together[change.base, spans[series]].append(series)
    for (base, span), numbers in together.items():
        _make(connection, base, numbers, span, [span])


def _is_next(change: Change) -> bool:
    """Return whether a change is one candle after all others, with volumes that can be added up."""
    values = change.last_row[2:]
    is_single = len(change) == 1 and change.is_appended and change.symbol.last_open is not None
    return is_single and all(value is None or value < _MOST_ADDED for value in values)


def _add(connection: Connection, changes: Sequence[Change]) -> None:
    """Add one candle after all others to the rollups of each series."""
    together: dict[tuple[Interval, int], list[int]] = defaultdict(list)
    for change in changes:
        together[change.base, change.openings[0]].append(change.symbol.id)
    for (base, opening), series in together.items():
        if levels(base):
            connection.execute(_adding(connection.dialect.name, base), {"series": series, "opening": opening})


@cache
def _adding(dialect: str, base: Interval) -> TextClause:
    """Return what adds a candle to its rollups, or begins them. A value that is missing makes a sum null."""
    is_sqlite = dialect == "sqlite"
    greatest, least = ("max", "min") if is_sqlite else ("greatest", "least")
    own = "IN :series" if is_sqlite else "= ANY(:series)"
    sums = [f"{name} = rollups.{name} + excluded.{name}" for name in _SUMS]
    others = f"high = {greatest}(rollups.high, excluded.high), low = {least}(rollups.low, excluded.low)"
    values = ", ".join(column.name for column in list(rollups.columns)[3:])
    lengths = " UNION ALL ".join(f"SELECT {level.seconds} AS seconds" for level in levels(base))
    statement = (
        f"INSERT INTO rollups SELECT series, seconds, open_time - open_time % seconds, {values}"  # noqa: S608 - names of tables.py
        f" FROM price_history CROSS JOIN ({lengths}) AS lengths WHERE series {own} AND open_time = :opening"
        " ON CONFLICT (series, interval, open_time)"
        f" DO UPDATE SET {others}, close = excluded.close, vwap = excluded.vwap, {', '.join(sums)}"
    )
    return text(statement).bindparams(bindparam("series", expanding=is_sqlite))


def build(connection: Connection, symbol: Symbol, before: int | None) -> int | None:
    """Make the rollups of a locked series again, of at most `BUILT_DAYS` that end `before` a midnight.

    None means the end of those that lack candles, or else of all. Return where they begin, None if nothing is before.
    """
    base = Interval.of_seconds(symbol.interval)
    if symbol.last_open is None or not levels(base):
        _note(connection, symbol.id, None)
        return None
    if before is None:
        before = session_end(symbol.last_open) if symbol.unrolled is None else symbol.unrolled
    first = symbol.first_open - symbol.first_open % DAY_SECONDS
    span = Openings(min(max(before - BUILT_DAYS * DAY_SECONDS, first), before), before)
    kept = _kept(connection, {symbol.id: span}).get(symbol.id)
    runs = [span] if kept is None else _open(connection, symbol.id, span, kept)
    for level in levels(base):
        for run in runs if level is levels(base)[0] else [span]:
            own = (rollups.c.series == symbol.id) & (rollups.c.interval == level.seconds)
            connection.execute(
                delete(rollups).where(own, rollups.c.open_time >= run.start, rollups.c.open_time < run.end)
            )
    if span.end >= session_end(symbol.last_open):
        connection.execute(delete(rollups).where(rollups.c.series == symbol.id, rollups.c.open_time >= span.end))
    _make(connection, base, [symbol.id], span, runs)
    rest = span.start if span.start > first else None
    if symbol.unrolled is not None and before >= symbol.unrolled:
        _note(connection, symbol.id, rest)
    return rest


def keep(connection: Connection, spans: Mapping[int, _Spans]) -> None:
    """Remember spans of the coverage of series, by their numbers, whose candles are deleted."""
    columns = purged.c
    own = among(connection, [columns.series], ([series] for series in spans))
    before: dict[int, list[Openings]] = defaultdict(list)
    for series, start, end in connection.execute(
        select(columns.series, columns.start_time, columns.end_time).where(own)
    ):
        before[series].append(Openings(start, end))
    after = [(series, *span) for series, added in spans.items() for span in united([*before[series], *added])]
    connection.execute(delete(purged).where(own))
    bulk.insert(connection, purged, ("series", "start_time", "end_time"), after)


def _note(connection: Connection, series: int, unrolled: int | None) -> None:
    connection.execute(update(symbols).where(symbols.c.id == series).values(unrolled=unrolled))


def _make(connection: Connection, base: Interval, series: Sequence[int], span: Openings, runs: _Spans) -> None:
    """Make the rollups of series again: the shortest ones in `runs`, and of those the longer ones of `span`."""
    part: Interval | None = None
    for level in levels(base):
        for run in runs if part is None else [span]:
            start, end = _whole(run, level)
            values = {"series": list(series), "start": start, "end": end}
            connection.execute(_statement(connection.dialect.name, level, part), values)
        part = level


@cache
def _statement(dialect: str, level: Interval, part: Interval | None) -> TextClause:
    return bound(bulk.upserting(dialect, rollups, joined(dialect, level, part)))


def _kept(connection: Connection, spans: dict[int, Openings]) -> dict[int, _Spans]:
    """Return what is known to be deleted of series, by their numbers, around these spans."""
    if not spans:
        return {}
    columns, ends = (
        purged.c,
        Openings(min(span.start for span in spans.values()), max(span.end for span in spans.values())),
    )
    query = select(columns.series, columns.start_time, columns.end_time)
    own = among(connection, [columns.series], ([series] for series in spans))
    rows = connection.execute(query.where(own, columns.start_time < ends.end, columns.end_time > ends.start)).all()
    result: dict[int, list[Openings]] = defaultdict(list)
    for series, start, end in rows:
        if start < spans[series].end and end > spans[series].start:
            result[series].append(Openings(start, end))
    return dict(result)


def _open(connection: Connection, series: int, span: Openings, kept: _Spans) -> _Spans:
    """Return the parts of a span in which rollups are made again although something was deleted there.

    Those of a day, which is the session of its VWAP, stay as they are if some of its candles were deleted, unless the
    source was asked again for all of it.
    """
    columns = coverage.c
    rows = connection.execute(
        select(columns.start_time, columns.end_time)
        .where(columns.series == series, columns.start_time < span.end, columns.end_time > span.start)
        .order_by(columns.start_time)
    )
    days = [Openings(-(-start // DAY_SECONDS) * DAY_SECONDS, end - end % DAY_SECONDS) for start, end in rows]
    holes = united([_whole(hole, Interval.DAY_1) for hole in kept])
    return list(_without(span, [part for hole in holes for part in _without(hole, days)]))


def _without(span: Openings, holes: _Spans) -> Iterator[Openings]:
    """Yield the parts of a span outside of ascending holes."""
    start = span.start
    for hole in holes:
        if hole.start < hole.end and hole.end > start:
            if hole.start > start:
                yield Openings(start, min(hole.start, span.end))
            start = hole.end
        if start >= span.end:
            return
    if start < span.end:
        yield Openings(start, span.end)


def _whole(span: Openings, level: Interval) -> Openings:
    """Return the shortest span of whole rollups around a span. Midnights are openings of all of them."""
    return Openings(span.start - span.start % level.seconds, -(-span.end // level.seconds) * level.seconds)
