"""Writes of the market: each method is one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, select, text, update

from crypto_predict.market import Candle, Pair, Quote, SeriesKey, Span
from crypto_predict.market.ports import Quarantined
from crypto_predict.market.vwap import DAY_SECONDS, session_vwaps
from crypto_predict.store import bulk, schema
from crypto_predict.store.address import SqliteFile
from crypto_predict.store.columns import microseconds, names
from crypto_predict.store.database import Connections
from crypto_predict.store.gaps import Asked, Gaps
from crypto_predict.store.holding import Holds
from crypto_predict.store.reading import Database
from crypto_predict.store.tables import price_history, quarantine, revisions, symbols, top_of_book

_NUMBERS = Candle._fields[1:]
_Symbol = Row[int, int, int | None, int | None]
_FOLLOW = text(
    "INSERT INTO symbols (source, pair, interval, simulated, state, candles)"
    " VALUES (:source, :pair, :interval, :simulated, 'active', 0) ON CONFLICT (source, pair, interval) DO NOTHING"
)


class WritableDatabase(Database):
    """A database of the market, open for writing: a `MarketWriter`. Safe to share between threads."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._holds = Holds(connections)

    def hold(self, series: SeriesKey) -> AbstractContextManager[None]:
        """Reserve a series for this process inside the context.

        Raises:
            SeriesHeld: Another process has reserved it; the error names that process.
        """
        return self._holds.hold(series)

    def follow(self, series: SeriesKey, *, simulated: bool) -> None:
        """Add a series without candles; do nothing if it exists.

        Raises:
            DatabaseError: It exists with the other value of `simulated`.
        """
        row = {
            "source": series.source,
            "pair": str(series.pair),
            "interval": series.interval.seconds,
            "simulated": simulated,
        }
        with self._connections.transaction() as connection:
            connection.execute(_FOLLOW, row)
            stored = connection.execute(select(symbols.c.simulated).where(names(series))).scalar_one()
        if stored != simulated:
            kind = "simulated" if stored else "real"
            raise self._connections.error(
                f"its {_title(series)} has {kind} prices; use another database for the others"
            )

    def write(
        self,
        series: SeriesKey,
        candles: Sequence[Candle],
        covered: Span | None = None,
        quarantined: Sequence[Quarantined] = (),
    ) -> int:
        """Store sound candles and return how many were new or changed; `MarketWriter` states the rules.

        Of two writers of one series the second waits. Of two candles with one opening the last one is stored.
        """
        now = microseconds(datetime.now(UTC))
        step = series.interval.seconds
        incoming = _by_opening(candles, step)
        asked = Asked.of(covered, series.interval) if covered else None
        with self._connections.transaction() as connection:
            symbol = self._lock(connection, series)
            changes = _store(connection, symbol, incoming, now) if incoming else 0
            _reject(connection, symbol.id, quarantined, now)
            gaps = Gaps(connection, symbol.id, step, now)
            if asked is not None:
                gaps.cover(asked)
            if asked is not None or changes:
                gaps.renew(_touched(incoming, step, asked), asked)
        return changes

    def write_quotes(self, source: str, pair: Pair, quotes: Iterable[Quote]) -> int:
        """Store quotes and return how many were new or changed."""
        key = (source, str(pair))
        rows = {
            microseconds(quote.time): (
                *key,
                microseconds(quote.time),
                quote.bid,
                quote.bid_size,
                quote.ask,
                quote.ask_size,
            )
            for quote in quotes
        }
        if not rows:
            return 0
        with self._connections.transaction() as connection:
            stored = set(bulk.fetch_between(connection, top_of_book, key, (min(rows), max(rows))))
            new = [row for row in rows.values() if row not in stored]
            bulk.upsert(connection, top_of_book, iter(new))
        return len(new)

    def _prepare(self) -> None:
        address = self._connections.address
        if isinstance(address, SqliteFile):
            with self._connections.errors():
                address.path.parent.mkdir(parents=True, exist_ok=True)
        with self._connections.transaction() as connection:
            fault = schema.upgrade(connection)
        if fault:
            raise self._connections.error(fault)
        if isinstance(address, SqliteFile):
            self._connections.use_wal()

    def _lock(self, connection: Connection, series: SeriesKey) -> _Symbol:
        """Return the row of a series, locked against other writers."""
        columns = (symbols.c.id, symbols.c.candles, symbols.c.first_open, symbols.c.last_open)
        row = connection.execute(select(*columns).where(names(series)).with_for_update()).one_or_none()
        if row is None:
            raise self._connections.error(f"it does not contain {_title(series)}; `follow` adds a series")
        return row


def _title(series: SeriesKey) -> str:
    return f"{series.source} {series.pair} {series.interval.label}"


def _by_opening(candles: Sequence[Candle], step: int) -> dict[int, Candle]:
    """Return the candles by their openings."""
    openings = [candle[0].timestamp() for candle in candles]
    for opening in openings:
        if opening % step:
            raise ValueError(
                f"a candle of {step} s cannot open at {opening} s after 1970: it belongs in the quarantine"
            )
    return dict(zip(map(int, openings), candles, strict=True))


def _touched(incoming: dict[int, Candle], step: int, asked: Asked | None) -> Asked:
    """Return the span of every opening whose candle or coverage a write changes."""
    written = [Asked(min(incoming), max(incoming) + step)] if incoming else []
    spans = written if asked is None else [*written, asked]
    return Asked(min(span.start for span in spans), max(span.end for span in spans))


def _store(
    connection: Connection,
    symbol: _Symbol,
    incoming: dict[int, Candle],
    now: int,
) -> int:
    """Store candles, the VWAP of their sessions, and the old values of those that change; return how many did."""
    series, count, first_open, last_open = symbol
    first, last = min(incoming), max(incoming)
    whole_days = (first - first % DAY_SECONDS, last - last % DAY_SECONDS + DAY_SECONDS - 1)
    stored = {row[1]: row for row in bulk.fetch_between(connection, price_history, (series,), whole_days)}
    revised = [
        (*stored[opening][:-1], now)
        for opening in sorted(stored.keys() & incoming.keys())
        if stored[opening][2:-1] != incoming[opening][1:]
    ]
    new = len(incoming) - len(stored.keys() & incoming.keys())
    bulk.insert(connection, revisions, ("series", "open_time", *_NUMBERS, "changed_at_us"), revised)
    bulk.upsert(connection, price_history, _changed_rows(series, stored, incoming))
    if new:
        found_first = first if first_open is None else min(first, first_open)
        found_last = last if last_open is None else max(last, last_open)
        values = {"candles": count + new, "first_open": found_first, "last_open": found_last}
        connection.execute(update(symbols).where(symbols.c.id == series).values(values))
    return new + len(revised)


def _changed_rows(series: int, stored: dict[int, bulk.Values], incoming: dict[int, Candle]) -> Iterator[bulk.Values]:
    """Return the rows that are new, or differ from the stored ones: in a number or in the VWAP that follows from it."""
    merged: dict[int, bulk.Values] = {opening: row[1:-1] for opening, row in stored.items()} | incoming
    openings = sorted(merged)
    candles = [merged[opening] for opening in openings]
    for opening, candle, vwap in zip(openings, candles, session_vwaps(openings, candles), strict=True):
        _, first, high, low, last, volume, quote, trades, taker_base, taker_quote = candle  # twice as fast as a slice
        row = (series, opening, first, high, low, last, volume, quote, trades, taker_base, taker_quote, vwap)
        if stored.get(opening) != row:
            yield row


def _reject(connection: Connection, series: int, quarantined: Sequence[Quarantined], now: int) -> None:
    """Store rejected rows that are not stored yet: a source returns the same ones every time it is asked."""
    if not quarantined:
        return
    rows = [(microseconds(row.candle.open_time), json.dumps(row.candle[1:]), row.reason) for row in quarantined]
    times = [row[0] for row in rows]
    columns = quarantine.c
    found = connection.execute(
        select(columns.open_time_us, columns.numbers, columns.reason).where(
            columns.series == series, columns.open_time_us.between(min(times), max(times))
        )
    )
    known = {tuple(row) for row in found}
    new = [(series, *row, now) for row in dict.fromkeys(rows) if row not in known]
    bulk.insert(connection, quarantine, ("series", "open_time_us", "numbers", "reason", "found_at_us"), new)
