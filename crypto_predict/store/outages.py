"""The register of outages: made of streams, coverage and gaps, and kept when these are deleted."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import BigInteger, Connection, Row, Select, bindparam, delete, func, select

from crypto_predict.market import EPOCH, Interval, Pair, Span, StoredGap
from crypto_predict.market.collected import ACTIVE, Difference, StreamSpan, StreamState
from crypto_predict.market.downtime import MonthOfOutages, monthly, whole_months
from crypto_predict.market.register import (
    Cause,
    Fate,
    OutageKey,
    PairRecord,
    RegisteredOutage,
    outages,
    reconciled,
)
from crypto_predict.store import bulk, tables
from crypto_predict.store.columns import instant, instant_us, microseconds, seconds_up, text, whole
from crypto_predict.store.longer import Database
from crypto_predict.store.rows import gap_of, span_of
from crypto_predict.store.tables import coverage, gaps, outage_records, streams, symbols

STALE = timedelta(seconds=150)  # a running collector brings the register up to date once a minute
LATE = timedelta(hours=1)  # how long what has happened may wait to be stored
LONGEST = timedelta(days=30)  # how long an outage can last of which every state is read again

_MINUTE = Interval.MINUTE_1
_TIES = 64  # outages that begin in the same microsecond, more than there are sources
_EVER = Span(EPOCH, EPOCH + timedelta(days=300_000))

_T = TypeVar("_T")
_Row = Row[*tuple[Any, ...]]
_Select = Select[*tuple[Any, ...]]
_REGISTER = tables.outages.c
_MINUTES = (symbols.c.source == bindparam("source")) & (symbols.c.interval == _MINUTE.seconds)
_SINCE, _SINCE_US = (bindparam(name, type_=BigInteger) for name in ("since", "since_us"))
_STATE = (streams.c.pair, streams.c.start_us, streams.c.end_us, streams.c.state, streams.c.reason)
_older = streams.alias()

_SERIES = select(symbols.c.id, symbols.c.pair, symbols.c.state, symbols.c.first_open, symbols.c.last_open).where(
    _MINUTES
)
_STATES = select(*_STATE).where(streams.c.source == bindparam("source"), streams.c.end_us >= _SINCE_US)
_STATES_BEFORE = (  # the last one of each pair
    select(*_STATE)
    .join(symbols, (symbols.c.source == streams.c.source) & (symbols.c.pair == streams.c.pair))
    .where(
        _MINUTES,
        streams.c.start_us
        == select(func.max(_older.c.start_us))
        .where(_older.c.source == symbols.c.source, _older.c.pair == symbols.c.pair, _older.c.start_us < _SINCE_US)
        .scalar_subquery(),
    )
)
_COVERED, _GAPS = (
    select(table.c.series, *(table.c[name] for name in names))
    .join(symbols, symbols.c.id == table.c.series)
    .where(_MINUTES, table.c.end_time > _SINCE)
    .order_by(table.c.series, table.c.start_time)
    for table, names in (
        (coverage, ("start_time", "end_time")),
        (gaps, ("start_time", "end_time", "cause", "attempts", "verdict", "found_at_us")),
    )
)
_SOURCES = (  # with how far the register of each is complete
    select(symbols.c.source, func.max(outage_records.c.until_us))
    .outerjoin(outage_records, outage_records.c.source == symbols.c.source)
    .where(symbols.c.interval == _MINUTE.seconds)
    .group_by(symbols.c.source)
    .order_by(symbols.c.source)
)
_DIFFERENCES = (
    select(symbols.c.source, func.sum(symbols.c.compared), func.sum(symbols.c.mismatched))
    .where(symbols.c.interval == _MINUTE.seconds)
    .group_by(symbols.c.source)
    .order_by(symbols.c.source)
)


class Renewal(NamedTuple):
    """What takes the place of stored outages of a source, `current`; the register may be as it is already."""

    replaced: Sequence[RegisteredOutage]
    current: Sequence[RegisteredOutage]


class RegisterDatabase(Database):
    """A database of the market with its register of outages, open for reading; `ports` describes it."""

    def outages(
        self, span: Span, limit: int, now: datetime, *, source: str | None = None, pair: Pair | None = None
    ) -> Sequence[RegisteredOutage]:
        query = _overlapping(select(tables.outages), span, source).order_by(_REGISTER.start_us.desc())
        if pair is not None:
            query = query.where(_REGISTER.pairs.contains(json.dumps(str(pair)), autoescape=True))
        with self.snapshot() as connection:
            renewals = self._renewals(connection, now, source)
            spare = _TIES + sum(len(renewal.replaced) for renewal in renewals)
            rows = connection.execute(query.limit(limit + spare)).all()
        replaced = {outage.key for renewal in renewals for outage in renewal.replaced}
        page = [outage for outage in self._sound("outages", rows, _outage) if outage.key not in replaced]
        page += [
            outage
            for renewal in renewals
            for outage in renewal.current
            if outage.span.start < span.end and outage.span.end > span.start and pair in {None, *outage.pairs}
        ]
        page.sort(key=lambda outage: (outage.span.start, outage.source, outage.cause.is_ours), reverse=True)
        size = min(limit, len(page))
        while 0 < size < len(page) and page[size].span.start == page[size - 1].span.start:
            size += 1
        return page[:size]

    def outage(self, key: OutageKey, now: datetime) -> RegisteredOutage | None:
        second = Span(key.at, key.at + timedelta(seconds=1))
        of_key = [
            outage
            for outage in self.outages(second, _TIES, now, source=key.source)
            if outage.cause.is_ours == key.is_ours
        ]
        return of_key[0] if of_key else None

    def outage_months(self, span: Span, now: datetime, *, source: str | None = None) -> Sequence[MonthOfOutages]:
        span = whole_months(span)
        columns = (_REGISTER.source, _REGISTER.is_ours, _REGISTER.start_us, _REGISTER.end_us)
        with self.snapshot() as connection:
            renewals = self._renewals(connection, now, source)
            rows = connection.execute(_overlapping(select(*columns), span, source)).all()
        spans = dict(self._sound("outages", rows, _ends))
        for renewal in renewals:
            for outage in renewal.replaced:
                spans.pop(_place(outage), None)
            spans |= {_place(outage): outage.span for outage in renewal.current if outage.span.end > span.start}
        return [
            month
            for month in monthly(((*place[:2], lasting) for place, lasting in spans.items()), now)
            if f"{span.start:%Y-%m}" <= month.month < f"{span.end:%Y-%m}"
        ]

    def differences(self, source: str | None = None) -> Sequence[Difference]:
        query = _DIFFERENCES if source is None else _DIFFERENCES.where(symbols.c.source == source)
        return self._rows(
            "symbols", query, lambda row: Difference(text(row[0]), whole(int(row[1])), whole(int(row[2])))
        )

    def _renewals(self, connection: Connection, now: datetime, source: str | None) -> list[Renewal]:
        """Return what is to change in the registers that no running collector brings up to date."""
        return [
            self._renewal(connection, name, until - LATE, now)
            for name, until in self._complete_until(connection).items()
            if source in {None, name} and until is not None and now - until > STALE
        ]

    def _complete_until(self, connection: Connection) -> dict[str, datetime | None]:
        """Return up to when the register of each source is complete; None if it was never made."""
        return dict(self._sound("outage_records", connection.execute(_SOURCES).all(), _until))

    def _renewal(self, connection: Connection, source: str, since: datetime, now: datetime) -> Renewal:
        """Return what takes the place of the outages of a source since an instant."""
        read_since, known = since, list[RegisteredOutage]()
        for _ in range(2):  # an outage of one side may last since before one of the other
            span = Span(read_since - _MINUTE.length, _EVER.end)
            known = self._sound(
                "outages", connection.execute(_overlapping(select(tables.outages), span, source)).all(), _outage
            )
            starts = [outage.span.start for outage in known if not outage.cause.is_ours]
            read_since = min([read_since, *(start - _MINUTE.length for start in starts if since - start <= LONGEST)])
        current = outages(source, self._records(connection, source, read_since), now)
        return Renewal(known, reconciled(known, [outage for outage in current if outage.span.end >= since], since))

    def _records(self, connection: Connection, source: str, since: datetime) -> list[PairRecord]:
        """Return what is stored of the minutes of each pair since an instant, and its last state before that."""
        values: dict[str, object] = {"source": source, "since_us": microseconds(since)}
        shared: dict[tuple[Any, ...], StreamSpan] = {}  # the pairs of a source have most of their states in common

        def state(row: _Row) -> tuple[str, StreamSpan]:
            key = tuple(row[1:])
            if key not in shared:
                shared[key] = StreamSpan(_span_us(*key[:2]), StreamState(row[3]), text(row[4]))
            return row[0], shared[key]

        states: dict[str, dict[datetime, StreamSpan]] = defaultdict(dict)
        for query in (_STATES_BEFORE, _STATES):
            for pair, stream in self._sound("streams", connection.execute(query, values).all(), state):
                states[pair][stream.span.start] = stream
        if not states:  # nothing was ever listened to, as where only backfills write
            return []
        ends = [min(stream.span.end for stream in of_pair.values()) for of_pair in states.values()]
        values["since"] = seconds_up(min([since, *ends]))
        covered = _by_series(self._sound("coverage", connection.execute(_COVERED, values).all(), _covered))
        missing = _by_series(self._sound("gaps", connection.execute(_GAPS, values).all(), _gap))

        def pair_record(row: _Row) -> PairRecord:
            of_pair = states.get(row.pair, {})
            return PairRecord(
                pair=Pair.parse(row.pair),
                is_active=row.state == ACTIVE,
                streams=[of_pair[start] for start in sorted(of_pair)],
                covered=list(_between(covered.get(row.id, []), row.first_open, row.last_open)),
                gaps=missing.get(row.id, []),
            )

        return self._sound("symbols", connection.execute(_SERIES, values).all(), pair_record)


def write(connection: Connection, renewals: Mapping[str, Renewal], now: datetime) -> None:
    """Store what is to change in the register of each source, and that it is complete up to `now`."""
    for source, renewal in sorted(renewals.items()):
        gone = {_place(outage) for outage in renewal.replaced} - {_place(outage) for outage in renewal.current}
        for _, is_ours, start in sorted(gone):
            own = (_REGISTER.source == source) & (_REGISTER.is_ours == is_ours)
            connection.execute(delete(tables.outages).where(own, _REGISTER.start_us == microseconds(start)))
        changed = [outage for outage in renewal.current if outage not in renewal.replaced]
        bulk.upsert(connection, tables.outages, map(_row, changed))
    bulk.upsert(connection, outage_records, ((source, microseconds(now)) for source in sorted(renewals)))


def _overlapping(query: _Select, span: Span, source: str | None) -> _Select:
    query = query.where(_REGISTER.start_us < microseconds(span.end), _REGISTER.end_us > microseconds(span.start))
    return query if source is None else query.where(_REGISTER.source == source)


def _place(outage: RegisteredOutage) -> tuple[str, bool, datetime]:
    return outage.source, outage.cause.is_ours, outage.span.start


def _row(outage: RegisteredOutage) -> bulk.Values:
    source, is_ours, start = _place(outage)
    pairs = json.dumps(list(map(str, outage.pairs)))
    told = outage.is_over, outage.cause.value, outage.reason, pairs
    return (
        microseconds(start),
        source,
        is_ours,
        microseconds(outage.span.end),
        *told,
        *(outage.minutes[fate] for fate in Fate),
    )


def _outage(row: _Row) -> RegisteredOutage:
    cause = Cause(row.cause)
    if cause.is_ours != row.is_ours:
        raise ValueError(f"{row.cause} is not a cause of this side")
    return RegisteredOutage(
        source=text(row.source),
        cause=cause,
        reason=text(row.reason),
        span=_span_us(row.start_us, row.end_us),
        is_over=bool(row.is_over),
        pairs=_pairs(text(row.pairs)),
        minutes=Counter({fate: whole(getattr(row, fate.value)) for fate in Fate}),
    )


@lru_cache(maxsize=256)
def _pairs(names: str) -> tuple[Pair, ...]:
    """Return the pairs of a JSON list of their names; most outages concern the same ones."""
    return tuple(map(Pair.parse, json.loads(names)))


def _ends(row: _Row) -> tuple[tuple[str, bool, datetime], Span]:
    span = _span_us(row.start_us, row.end_us)
    return (text(row.source), bool(row.is_ours), span.start), span


def _until(row: _Row) -> tuple[str, datetime | None]:
    return text(row[0]), None if row[1] is None else instant_us(row[1])


def _covered(row: _Row) -> tuple[int, Span]:
    return row[0], span_of(row[1:])


def _gap(row: _Row) -> tuple[int, StoredGap]:
    return row[0], gap_of(row[1:], _MINUTE)


def _span_us(start: int, end: int) -> Span:
    span = Span(instant_us(start), instant_us(end))
    if span.start > span.end:
        raise ValueError("it ends before it begins")
    return span


def _by_series(rows: Iterable[tuple[int, _T]]) -> dict[int, list[_T]]:
    grouped: dict[int, list[_T]] = defaultdict(list)
    for series, value in rows:
        grouped[series].append(value)
    return grouped


def _between(covered: Iterable[Span], first_open: int | None, last_open: int | None) -> Iterator[Span]:
    """Yield what of the covered spans lies between the first candle and the newest one, both included."""
    if first_open is None or last_open is None:
        return
    first, end = instant(first_open), instant(last_open) + _MINUTE.length
    for span in covered:
        if span.start < end and span.end > first:
            yield Span(max(span.start, first), min(span.end, end))
