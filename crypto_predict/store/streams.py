"""What was known of the streams of pairs: spans of one state, which do not overlap."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, select

from crypto_predict.market import Pair
from crypto_predict.market.collected import StreamSpan
from crypto_predict.store import bulk, tables
from crypto_predict.store.columns import microseconds

_Row = tuple[int, int, str, str]  # start and end in microseconds, state, reason
_DELETE = delete(tables.streams).where(
    tables.streams.c.source == bindparam("of_source"),
    tables.streams.c.pair == bindparam("of_pair"),
    tables.streams.c.start_us == bindparam("start"),
)


def write(connection: Connection, source: str, pairs: Sequence[Pair], stream: StreamSpan) -> None:
    """Store a state for many pairs, at least one, in few statements."""
    new = (microseconds(stream.span.start), microseconds(stream.span.end), stream.state.value, stream.reason)
    columns = tables.streams.c
    # The pairs are not in the query: SQLite would then read all spans of each instead of the newest ones by their end.
    touching = (
        select(columns.pair, columns.start_us, columns.end_us, columns.state, columns.reason)
        .where(columns.source == source, columns.start_us <= new[1], columns.end_us >= new[0])
        .order_by(columns.start_us)
    )
    old = defaultdict[str, list[_Row]](list)
    for pair, *row in connection.execute(touching):
        old[pair].append((row[0], row[1], row[2], row[3]))
    gone, changed = [], []
    for pair in sorted({str(pair) for pair in pairs}):  # in one order, so that two writers do not wait for each other
        before, after = old[pair], _replaced(old[pair], new)
        starts = {row[0] for row in after}
        gone += [{"of_source": source, "of_pair": pair, "start": row[0]} for row in before if row[0] not in starts]
        changed += [(source, pair, *row) for row in after if row not in before]
    if gone:
        connection.execute(_DELETE, gone)
    bulk.upsert(connection, tables.streams, iter(changed))


def _replaced(old: Sequence[_Row], new: _Row) -> list[_Row]:
    """Return what replaces the spans that overlap or touch a new one.

    Those of the same state become one with it, which has the reason of the first; the others keep what the new one
    leaves of them.
    """
    start, end, state, reason = new
    same = [row for row in old if row[2] == state]
    rest = [
        part
        for row in old
        if row[2] != state
        for part in ((row[0], min(row[1], start), *row[2:]), (max(row[0], end), row[1], *row[2:]))
        if part[0] < part[1]
    ]
    if same and same[0][0] < start:
        reason = same[0][3]
    union = (min([start, *(row[0] for row in same)]), max([end, *(row[1] for row in same)]), state, reason)
    return sorted([union, *rest])
