"""A database of the market: candles, quotes, gaps and what became of them, on SQLite or PostgreSQL.

- `address`: what ``--database`` may be
- `tables`, `migrations`, `schema`: the tables, the steps that make them, and their version
- `database`: connections and errors
- `reading`, `writing`: the implementations of the ports
- `columns`: what instants and numbers are in a row
- `storing`, `bulk`, `gaps`, `holding`: candles, many rows at once, what is missing, and reservations
- `forecasts`, `streams`, `purging`: minute forecasts, states of streams, and what is deleted
"""

from crypto_predict.store.database import Connections
from crypto_predict.store.reading import Database
from crypto_predict.store.writing import WritableDatabase

__all__ = ["Database", "WritableDatabase", "open_reader", "open_writer"]


def open_reader(url: str) -> Database:
    """Open a database for reading. It is not changed, and another process may write to it.

    Raises:
        InvalidValue: `url` is malformed; see `address`.
        DatabaseError: The database does not exist, cannot be reached, or has another schema.
    """
    return Database(Connections(url, read_only=True))


def open_writer(url: str) -> WritableDatabase:
    """Open a database for writing; create or upgrade its tables. Two processes may do so at once.

    The folder of a file is created, a database on a server is not.

    Raises:
        InvalidValue: `url` is malformed; see `address`.
        DatabaseError: The database cannot be created or reached, or its schema is newer than that of this program.
    """
    return WritableDatabase(Connections(url, read_only=False))
