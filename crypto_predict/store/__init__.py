"""A database of the market: candles, quotes, gaps and what became of them, on SQLite or PostgreSQL.

- `tables`, `migrations`: the tables and their version, and the steps that make them
- `partitions`: the months of the candles on PostgreSQL
- `database`: addresses, connections and errors
- `reading`, `longer`, `writing`: the implementations of the ports
- `columns`, `rows`: what instants and numbers are in a row, and what a row means
- `storing`, `bulk`, `gaps`, `holding`: candles, many rows at once, what is missing, and reservations
- `shards`: which process collects which shard
- `joining`, `rollups`: candles made of shorter ones, and those of them that are kept
- `forecasts`, `hour_forecasts`: those of minutes with their scores, and those of hours
- `streams`, `purging`: states of streams, and what is deleted
- `outages`: the register of outages
"""

from crypto_predict.store.outages import RegisterDatabase as Database
from crypto_predict.store.writing import WritableDatabase

__all__ = ["Database", "WritableDatabase", "open_reader", "open_writer"]

open_reader, open_writer = Database, WritableDatabase
