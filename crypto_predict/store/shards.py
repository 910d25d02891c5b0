"""Which process collects which shard, as the advisory locks of a PostgreSQL server show it.

A collector *claims* the shard that it was started for, and *collects* the shards whose pairs it follows: its own, and
those that no other process collects. Each is an advisory lock. Its first number says which of the two it is, and its
second one has the shard. A process has all of its locks on one connection.
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy import text as statement

from crypto_predict.market.collected import Shard, ShardState

MOST_SHARDS = 2**15 - 1


def numbers(name: str) -> tuple[int, int]:
    """Return the two numbers of an advisory lock, of 31 bits each: pg_locks shows them as they are."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF, int.from_bytes(digest[4:8], "big") & 0x7FFFFFFF


COLLECTS, CLAIMS = numbers("collector")[0], numbers("claim of a shard")[0]

# Another user may not see what the process is called.
LOCKS = (
    "SELECT classid::bigint AS kind, objid::bigint AS number, pid, coalesce(application_name || ' since '"
    " || to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'), 'another process') AS process"
    " FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 2"
    " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_SHARDS = statement(f"{LOCKS} AND classid IN ({COLLECTS}, {CLAIMS})")


def number_of(shard: Shard) -> int:
    """Return the second number of the locks of a shard."""
    return shard.of << 15 | shard.number


def shard_of(number: int) -> Shard:
    """Return the shard of the second number of a lock."""
    return Shard(number & MOST_SHARDS, number >> 15)


def read(connection: Connection) -> Sequence[ShardState]:
    """Return the shards that are collected or claimed, ascending."""
    collectors, claims = dict[int, tuple[int, str]](), dict[int, tuple[int, str]]()
    for kind, number, backend, process in connection.execute(_SHARDS):
        (collectors if kind == COLLECTS else claims)[number] = backend, process
    claiming = {backend for backend, _ in claims.values()}
    states = []
    for number in sorted(collectors.keys() | claims.keys()):
        backend, collector = collectors.get(number, (None, ""))
        claimed_backend, claimed_by = claims.get(number, (None, ""))
        is_guest = backend in claiming and backend != claimed_backend
        states.append(ShardState(shard_of(number), collector, claimed_by, is_guest))
    return states
