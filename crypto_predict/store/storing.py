"""Storing the candles of one or many series: only what is new or differs, with the VWAP that follows from it."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, select, update

from crypto_predict.market import Candle, Interval, SeriesKey
from crypto_predict.market.candle import DAY_SECONDS, Session, differ, session_end
from crypto_predict.store import bulk, partitions
from crypto_predict.store.columns import MONDAY_SECONDS, among
from crypto_predict.store.tables import price_history, revisions, symbols

_HEAD = ("candles", "first_open", "last_open", "session_turnover", "session_volume")
_UPDATE = (
    update(symbols)
    .where(symbols.c.id == bindparam("key"))
    .values({name: bindparam(name) for name in _HEAD} | {"version": symbols.c.version + 1})
)
_STORED = select(price_history).where(
    price_history.c.series == bindparam("of"), price_history.c.open_time.between(bindparam("first"), bindparam("last"))
)


class Openings(NamedTuple):
    """Openings of a series, in seconds since 1970."""

    start: int  # included
    end: int  # not included


# The row of a series, locked against other writers: its name, id, interval, `_HEAD` and how far its rollups reach.
Symbol = Row[*tuple[Any, ...]]


def lock(connection: Connection, series: Sequence[SeriesKey]) -> dict[SeriesKey, Symbol]:
    """Lock series against other writers; those that do not exist are left out."""
    keys = {(key.source, str(key.pair), key.interval.seconds): key for key in series}
    columns = symbols.c
    query = (
        select(
            columns.id,
            columns.source,
            columns.pair,
            columns.interval,
            *(columns[head] for head in _HEAD),
            columns.unrolled,
        )
        .where(among(connection, (columns.source, columns.pair, columns.interval), keys))
        .order_by(columns.id)  # two writers that lock the same series do so in the same order
        .with_for_update()
    )
    return {keys[row.source, row.pair, row.interval]: row for row in connection.execute(query).all()}


def by_opening(candles: Sequence[Candle], step: int) -> dict[int, Candle]:
    """Return the candles by their openings in seconds since 1970. Of two with one opening the last one is taken."""
    openings = [candle[0].timestamp() for candle in candles]
    for opening in openings:
        if (opening - MONDAY_SECONDS) % step:
            raise ValueError(
                f"a candle of {step} s cannot open at {opening} s after 1970: it belongs in the quarantine"
            )
    return dict(zip(map(int, openings), candles, strict=True))


class Change:
    """What a write changes in the candles of one series."""

    def __init__(self, connection: Connection, symbol: Symbol, incoming: dict[int, Candle]) -> None:
        """Compare candles with the stored ones; `incoming` is not empty."""
        self.symbol, self.openings = symbol, sorted(incoming)
        first, last = self.openings[0], self.openings[-1]
        self.span = Openings(first, last + symbol.interval)
        self.is_appended = symbol.last_open is None or first > symbol.last_open
        # of the candles before the change; the first opening if there are none
        self.newest_end: int = first if symbol.last_open is None else symbol.last_open + symbol.interval
        stored = {} if self.is_appended else _stored(connection, symbol, first, last)
        self._changed = incoming if not stored else dict[int, Candle]()
        self.revised: list[bulk.Values] = []  # as they were, ascending
        # From the first to the last of `rows`, and the last one, once all were taken.
        self.written: Openings | None = None
        self.last_row: bulk.Values = ()
        for opening in self.openings if stored else ():
            candle, row = incoming[opening], stored.get(opening)
            if row is not None and differ(row[2:-1], candle[1:]):
                self.revised.append(row[:-1])
            elif row is not None:  # a stream and REST may each have values that the other one lacks
                candle = _joined(candle, row)
            if row is None or row[2:-1] != candle[1:]:
                self._changed[opening] = candle
        self.new = len(incoming.keys() - stored.keys())
        self._old: dict[int, bulk.Values] = {}  # the stored candles of all sessions in which something changes
        self._session = Session()
        if self._changed:
            first, last = min(self._changed), max(self._changed)
            session = _session_before(symbol, first)
            if session is None:
                self._old = _stored(connection, symbol, first - first % DAY_SECONDS, session_end(last) - 1)
            else:
                self._session = session

    @property
    def base(self) -> Interval:
        """The length of its candles."""
        return Interval.of_seconds(self.symbol.interval)

    def rows(self) -> Iterator[bulk.Values]:
        """Return the rows that are new, or differ in a number or in the VWAP that follows from it."""
        series, old, add = self.symbol.id, self._old, self._session.add
        merged: dict[int, bulk.Values] = {opening: row[1:-1] for opening, row in old.items()} | self._changed
        first_written = last_written = None
        for opening in sorted(merged):
            candle = merged[opening]
            _, first, high, low, close, volume, quote, trades, taker_base, taker_quote = candle  # faster than a slice
            vwap = add(opening, candle)
            row = (series, opening, first, high, low, close, volume, quote, trades, taker_base, taker_quote, vwap)
            if old.get(opening) != row:
                last_written, last_row = opening, row
                if first_written is None:
                    first_written = opening
                yield row
        if first_written is not None and last_written is not None:
            self.written, self.last_row = Openings(first_written, last_written + self.symbol.interval), last_row

    def head(self) -> bulk.Values:
        """Return the values of `_HEAD` after the change, once all `rows` were taken."""
        count, first_open, last_open, turnover, volume = self.symbol[4:9]
        first, last = min(self._changed), max(self._changed)
        first = first if first_open is None else min(first, first_open)
        last = last if last_open is None else max(last, last_open)
        if last < self._session.end:
            turnover, volume = self._session.turnover, self._session.volume
        return count + self.new, first, last, turnover, volume

    def __len__(self) -> int:
        return len(self._changed)


def store(connection: Connection, changes: Sequence[Change], now: int) -> None:
    """Store the changes of locked series: candles, the VWAP of their sessions, and the old values; `now` in us."""
    changes = [change for change in changes if len(change)]
    revised = [(*row, now) for change in changes for row in change.revised]
    bulk.insert(connection, revisions, ("series", "open_time", *Candle._fields[1:], "changed_at_us"), revised)
    partitions.make(connection, chain.from_iterable(partitions.months_of(change.openings) for change in changes))
    bulk.upsert(connection, price_history, chain.from_iterable(change.rows() for change in changes))
    if changes:
        heads = [(change.symbol.id, change.head()) for change in changes]
        connection.execute(_UPDATE, [{"key": key, **dict(zip(_HEAD, head, strict=True))} for key, head in heads])


def united(spans: Sequence[Openings]) -> Iterator[Openings]:
    """Return spans in ascending order, merged where they overlap or touch."""
    merged: Openings | None = None
    for span in sorted(spans):
        if merged is None or span.start > merged.end:
            if merged is not None:
                yield merged
            merged = span
        else:
            merged = Openings(merged.start, max(merged.end, span.end))
    if merged is not None:
        yield merged


def _session_before(symbol: Symbol, opening: int) -> Session | None:
    """Return the session that a candle continues or begins; None if stored candles must be read for that."""
    last_open, turnover, volume = symbol.last_open, symbol.session_turnover, symbol.session_volume
    if last_open is None or opening >= session_end(last_open):
        return Session()
    if opening <= last_open or turnover is None or volume is None:
        return None
    return Session(last_open, turnover, volume)


def _joined(candle: Candle, row: bulk.Values) -> Candle:
    """Return a candle with the values of its stored row that it does not have."""
    if None not in candle:
        return candle
    pairs = zip(candle[1:], row[2:-1], strict=True)
    return Candle._make((candle[0], *(old if value is None else value for value, old in pairs)))


def _stored(connection: Connection, symbol: Symbol, first: int, last: int) -> dict[int, bulk.Values]:
    """Return the rows that open from `first` to `last`: tuples of the driver, in half the time of SQLAlchemy's rows."""
    answer = connection.execute(_STORED, {"of": symbol.id, "first": first, "last": last})
    return {row[1]: row for row in answer.cursor.fetchall()}
