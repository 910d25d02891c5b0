"""Storing the candles of one or many series: only what is new or differs, with the VWAP that follows from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import Connection, Row, Select, bindparam, select, tuple_, update

from crypto_predict.market import Candle, SeriesKey
from crypto_predict.market.candle import differ
from crypto_predict.market.vwap import DAY_SECONDS, Session, session_end
from crypto_predict.store import bulk
from crypto_predict.store.tables import price_history, revisions, symbols

_NUMBERS = Candle._fields[1:]
_HEAD = ("candles", "first_open", "last_open", "session_turnover", "session_volume")
_UPDATE = (
    update(symbols)
    .where(symbols.c.id == bindparam("key"))
    .values({name: bindparam(name) for name in _HEAD} | {"version": symbols.c.version + 1})
)
_Head = tuple[int, int | None, int | None, float | None, float | None]
_Symbol = tuple[int, str, str, int, int, int | None, int | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Symbol:
    """The row of a series, locked against other writers."""

    id: int
    step: int  # the seconds of its interval
    head: _Head  # the values of `_HEAD`

    @property
    def last_open(self) -> int | None:
        """The newest opening."""
        return self.head[2]

    def session_before(self, opening: int) -> Session | None:
        """Return the session that a candle continues or begins; None if stored candles must be read for that."""
        _, _, last_open, turnover, volume = self.head
        if last_open is None or opening >= session_end(last_open):
            return Session()
        if opening <= last_open or turnover is None or volume is None:
            return None
        return Session(last_open, turnover, volume)


def lock(connection: Connection, series: Sequence[SeriesKey]) -> dict[SeriesKey, Symbol]:
    """Lock series against other writers; those that do not exist are left out."""
    keys = {(key.source, str(key.pair), key.interval.seconds): key for key in series}
    columns = symbols.c
    name = tuple_(columns.source, columns.pair, columns.interval)
    query: Select[*_Symbol] = (
        select(columns.id, columns.source, columns.pair, columns.interval, *(columns[name] for name in _HEAD))
        .where(name.in_(list(keys)))
        .order_by(columns.id)  # two writers that lock the same series do so in the same order
        .with_for_update()
    )
    rows: Sequence[Row[*_Symbol]] = connection.execute(query).all()
    return {keys[row[1], row[2], row[3]]: Symbol(row[0], row[3], row[4:]) for row in rows}


def by_opening(candles: Sequence[Candle], step: int) -> dict[int, Candle]:
    """Return the candles by their openings in seconds since 1970. Of two with one opening the last one is taken."""
    openings = [candle[0].timestamp() for candle in candles]
    for opening in openings:
        if opening % step:
            raise ValueError(
                f"a candle of {step} s cannot open at {opening} s after 1970: it belongs in the quarantine"
            )
    return dict(zip(map(int, openings), candles, strict=True))


class Change:
    """What a write changes in the candles of one series."""

    def __init__(self, connection: Connection, symbol: Symbol, incoming: dict[int, Candle]) -> None:
        """Compare candles with the stored ones; `incoming` is not empty."""
        self.symbol = symbol
        last_open = symbol.last_open
        first, last = min(incoming), max(incoming)
        stored = {} if last_open is None or first > last_open else _stored(connection, symbol, (first, last))
        self._changed = incoming if not stored else dict[int, Candle]()
        self.revised: list[bulk.Values] = []  # as they were, ascending
        for opening in sorted(incoming) if stored else ():
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
            session = symbol.session_before(first)
            if session is None:
                whole_days = (first - first % DAY_SECONDS, session_end(last) - 1)
                self._old = _stored(connection, symbol, whole_days)
            else:
                self._session = session

    def rows(self) -> Iterator[bulk.Values]:
        """Return the rows that are new, or differ in a number or in the VWAP that follows from it."""
        series, old, add = self.symbol.id, self._old, self._session.add
        merged: dict[int, bulk.Values] = {opening: row[1:-1] for opening, row in old.items()} | self._changed
        for opening in sorted(merged):
            candle = merged[opening]
            _, first, high, low, close, volume, quote, trades, taker_base, taker_quote = candle  # faster than a slice
            vwap = add(opening, candle)
            row = (series, opening, first, high, low, close, volume, quote, trades, taker_base, taker_quote, vwap)
            if old.get(opening) != row:
                yield row

    def head(self) -> _Head:
        """Return the values of the series after the change, once all `rows` were taken."""
        count, first_open, last_open, turnover, volume = self.symbol.head
        first, last = min(self._changed), max(self._changed)
        first = first if first_open is None else min(first, first_open)
        last = last if last_open is None else max(last, last_open)
        if last < self._session.end:
            turnover, volume = self._session.turnover, self._session.volume
        return count + self.new, first, last, turnover, volume

    def __len__(self) -> int:
        return len(self._changed)


def store(connection: Connection, changes: Sequence[Change], now: int) -> None:
    """Store candles, the VWAP of their sessions, and the old values of those that change.

    Args:
        connection: Of a transaction in which the series are locked.
        changes: Of one series each.
        now: In microseconds.
    """
    changes = [change for change in changes if len(change)]
    revised = [(*row, now) for change in changes for row in change.revised]
    bulk.insert(connection, revisions, ("series", "open_time", *_NUMBERS, "changed_at_us"), revised)
    bulk.upsert(connection, price_history, chain.from_iterable(change.rows() for change in changes))
    if changes:
        heads = [(change.symbol.id, change.head()) for change in changes]
        connection.execute(_UPDATE, [{"key": key, **dict(zip(_HEAD, head, strict=True))} for key, head in heads])


def _joined(candle: Candle, row: bulk.Values) -> Candle:
    """Return a candle with the values of its stored row that it does not have."""
    if None not in candle:
        return candle
    pairs = zip(candle[1:], row[2:-1], strict=True)
    return Candle._make((candle[0], *(old if value is None else value for value, old in pairs)))


def _stored(connection: Connection, symbol: Symbol, between: tuple[int, int]) -> dict[int, bulk.Values]:
    return {row[1]: row for row in bulk.fetch_between(connection, price_history, (symbol.id,), between)}
