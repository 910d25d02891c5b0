"""The tables of a market database, the same on SQLite and PostgreSQL. `migrations` creates them, on `upgrade`.

Times are whole seconds since 1970 in UTC, or microseconds where a name ends in ``_us``. Spans include their start and
not their end. ``series`` is the number of a row of `symbols`.
"""

import logging
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

SCHEMA = "0008"  # the newest step of `migrations`
_TABLE = "crypto_predict_schema"
_LOCK = 7_164_035_212  # of PostgreSQL, for as long as a process upgrades

metadata = sa.MetaData()


def _keys(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, primary_key=True, autoincrement=False) for name in names]


def _values(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _series(*, primary_key: bool = True) -> sa.Column[int]:
    return sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), primary_key=primary_key, nullable=False)


def _candle() -> list[sa.Column[Any]]:
    """Return the columns of the fields of `Candle` that follow its opening."""
    prices = _values(sa.Double, "open", "high", "low", "close", "volume")
    trades, taker = sa.Column("trades", sa.BigInteger), ("taker_base_volume", "taker_quote_volume")
    return [*prices, sa.Column("quote_volume", sa.Double), trades, *(sa.Column(name, sa.Double) for name in taker)]


def _keyed(name: str, *columns: sa.Column[Any] | sa.Index) -> sa.Table:
    """Return a table whose rows are found by their key alone: without a number of its own for each row."""
    return sa.Table(name, metadata, *columns, sqlite_with_rowid=False)


def _listed(name: str, *columns: sa.Column[Any], time: str) -> sa.Table:
    """Return a table with any number of rows for one time of a series."""
    number = sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    index = sa.Index(f"{name}_by_candle", "series", time)
    return sa.Table(name, metadata, number, _series(primary_key=False), *columns, index)


symbols = sa.Table(
    "symbols",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *_values(sa.Text, "source", "pair"),  # the latter as BTC/USD
    *_values(sa.Integer, "interval"),  # seconds
    *_values(sa.Boolean, "simulated"),
    *_values(sa.Text, "state"),
    *_values(sa.BigInteger, "candles"),  # how many are stored
    sa.Column("first_open", sa.BigInteger),  # of the stored candles
    sa.Column("last_open", sa.BigInteger),
    sa.Column("since", sa.BigInteger),  # how far back it shall be collected
    sa.Column("compared", sa.BigInteger, nullable=False, server_default="0"),  # candles of a stream, with those of REST
    sa.Column("mismatched", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column(
        "version", sa.BigInteger, nullable=False, server_default="0"
    ),  # grows with each change of candles and coverage
    # The sums of the session of `last_open`, from which the VWAP of a candle that follows is computed without reading
    # the session; null after an upgrade and while there are no candles.
    sa.Column("session_turnover", sa.Double),
    sa.Column("session_volume", sa.Double),
    sa.Column("unrolled", sa.BigInteger),  # the midnight before which `rollups` lack candles; null: they lack none
    sa.Index("symbols_by_name", "source", "pair", "interval", unique=True),
)

# One table holds every candle: a candle takes some 100 bytes on SQLite. `series` is not a foreign key, which would
# double the time of a write on PostgreSQL: every write has locked that row.
price_history = sa.Table(
    "price_history",
    metadata,
    *_keys(sa.Integer, "series"),
    *_keys(sa.BigInteger, "open_time"),
    *_candle(),
    sa.Column("vwap", sa.Double),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (open_time)",  # `partitions` makes one for each month
)

# Candles made of shorter ones, of the lengths that `rollups` keeps; a table of their own, which outlives the candles.
rollups = _keyed(
    "rollups",
    *_keys(sa.Integer, "series"),
    *_keys(sa.Integer, "interval"),  # seconds
    *_keys(sa.BigInteger, "open_time"),
    *_candle(),
    sa.Column("vwap", sa.Double),
)

top_of_book = _keyed(
    "top_of_book",
    *_keys(sa.Text, "source", "pair"),
    *_keys(sa.BigInteger, "time_us"),
    *_values(sa.Double, "bid", "bid_size", "ask", "ask_size"),
)

# Candles built from ticks. Not every interval that is built is also a series of `symbols`.
built_candles = _keyed(
    "built_candles",
    *_keys(sa.Text, "source", "pair"),
    *_keys(sa.Integer, "interval"),  # seconds
    *_keys(sa.BigInteger, "open_time"),
    *_values(sa.Double, "open", "high", "low", "close"),
    *_values(sa.BigInteger, "ticks", "late"),
    *_values(sa.Boolean, "partial"),
    sa.Column("volume", sa.Double),
)

# What was known of the stream of a pair; the spans of one pair do not overlap.
streams = _keyed(
    "streams",
    *_keys(sa.Text, "source", "pair"),
    *_keys(sa.BigInteger, "start_us"),
    *_values(sa.BigInteger, "end_us"),
    *_values(sa.Text, "state", "reason"),  # the former a value of `StreamState`
    sa.Index("streams_by_end", "source", "end_us"),  # the newest spans, which are extended, among many old ones
)

# The spans for which the source was asked and its answer is stored; they neither overlap nor touch.
coverage = _keyed("coverage", _series(), *_keys(sa.BigInteger, "start_time"), *_values(sa.BigInteger, "end_time"))

# Spans that were covered and whose candles are deleted, so that their rollups are all that is left of them.
purged = _keyed("purged", _series(), *_keys(sa.BigInteger, "start_time"), *_values(sa.BigInteger, "end_time"))

gaps = _keyed(
    "gaps",
    _series(),
    *_keys(sa.BigInteger, "start_time"),
    *_values(sa.BigInteger, "end_time"),
    *_values(sa.Text, "cause"),
    *_values(sa.Integer, "attempts"),
    *_values(sa.Text, "verdict"),
    *_values(sa.BigInteger, "found_at_us"),
)

# The old values of candles that were changed.
revisions = _listed(
    "revisions",
    *_values(sa.BigInteger, "open_time"),
    *_candle(),
    *_values(sa.BigInteger, "changed_at_us"),
    time="open_time",
)

# Rows that no market can have made. Their numbers are a JSON list in the order of Candle, with NaN and Infinity, since
# a database column cannot hold every one of them.
quarantine = _listed(
    "quarantine",
    *_values(sa.BigInteger, "open_time_us"),
    *_values(sa.Text, "numbers", "reason"),
    *_values(sa.BigInteger, "found_at_us"),
    time="open_time_us",
)

# Minute forecasts, of the last day or so.
forecasts = _keyed(
    "forecasts",
    _series(),
    *_keys(sa.BigInteger, "cutoff"),
    *_values(sa.Double, "price"),  # at the cutoff
    *_values(sa.LargeBinary, "distances"),  # of the point and the quantiles; `forecasts` packs them
)

# Forecasts of hours, of the last days. `series` is that of the minutes which the hours are made of.
hour_forecasts = _keyed(
    "hour_forecasts",
    _series(),
    *_keys(sa.BigInteger, "cutoff"),
    *_values(sa.Double, "price"),  # at the cutoff
    *_values(sa.LargeBinary, "distances"),  # of the quantiles; `hour_forecasts` packs them
)

# The span of the outcomes that were scored.
forecast_records = _keyed(
    "forecast_records",
    _series(),
    sa.Column("since", sa.BigInteger),  # the first outcome; null before it
    *_values(sa.BigInteger, "until"),  # the newest close that was scored: no outcome counts twice
)

# The sums of `MinuteScores`, whose fields have these names and this order.
forecast_scores = _keyed(
    "forecast_scores",
    _series(),
    *_keys(sa.Integer, "horizon_minutes"),
    *_values(sa.BigInteger, "forecasts"),
    *_values(sa.Double, "error", "persistence_error", "winkler", "persistence_winkler", "crps", "persistence_crps"),
    *_values(sa.BigInteger, "inside_50", "inside_80", "inside_90"),
)

minute_models = _keyed(
    "minute_models",
    _series(),
    *_values(sa.BigInteger, "fitted_at_us"),
    *_values(sa.Text, "content"),  # JSON, which is not read here
)

# The register of outages, which outlives what it was made of. `pairs` is a JSON list.
outages = _keyed(
    "outages",
    *_keys(sa.BigInteger, "start_us"),  # first: pages are read in this order
    *_keys(sa.Text, "source"),
    *_keys(sa.Boolean, "is_ours"),
    *_values(sa.BigInteger, "end_us"),
    *_values(sa.Boolean, "is_over"),
    *_values(sa.Text, "cause", "reason", "pairs"),
    *_values(sa.BigInteger, "filled", "awaited", "lost", "rejected"),  # minutes of the pairs
    sa.Index("outages_by_start", "start_us", "end_us"),
)

# Up to when the register is complete.
outage_records = _keyed("outage_records", *_keys(sa.Text, "source"), *_values(sa.BigInteger, "until_us"))


def check_version(connection: sa.Connection) -> str | None:
    """Return why this program cannot read the tables; None if it can."""
    version = _version(connection)
    if version is None:
        return "it does not contain the tables of this program; collect.py --database creates them"
    if version < SCHEMA:
        return f"its schema {version} is older than that of this program, {SCHEMA}; run collect.py to upgrade it"
    if version > SCHEMA:
        return f"its schema {version} is newer than that of this program, {SCHEMA}; update the program"
    return None


def prepare(connection: sa.Connection, step: Callable[[sa.Connection], None]) -> None:
    """Do a step that precedes the upgrade of an earlier schema, in this transaction."""
    _wait_for_upgrades(connection)
    if (_version(connection) or SCHEMA) < SCHEMA:
        step(connection)


def upgrade(connection: sa.Connection) -> str | None:
    """Create or upgrade the tables in this transaction; return why that is not possible, or None.

    Of two processes the second waits. A database whose upgrade fails or is killed stays as it was.
    """
    _wait_for_upgrades(connection)
    version = _version(connection)
    if version == SCHEMA:
        return None
    if version is None and connection.dialect.name == "sqlite" and sa.inspect(connection).get_table_names():
        return "the file belongs to another program; name another one"
    if version is not None and version > SCHEMA:
        return check_version(connection)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # at level info it lists its own plugins
    from alembic import command  # noqa: PLC0415 a server that only reads does not wait for this import
    from alembic.config import Config  # noqa: PLC0415 the same

    config = Config()
    config.set_main_option("script_location", "crypto_predict.store:migrations")
    config.set_main_option("path_separator", "os")
    # SQLite too can undo changes of tables: Alembic assumes the opposite, since its driver by default cannot
    config.attributes["options"] = {"connection": connection, "version_table": _TABLE, "transactional_ddl": True}
    command.upgrade(config, SCHEMA)
    return None


def _wait_for_upgrades(connection: sa.Connection) -> None:
    """Wait until no other process upgrades the tables, and let none do so until the end of the transaction."""
    if connection.dialect.name == "postgresql":  # a transaction of SQLite is a lock already
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_TABLE):
        return None
    return connection.execute(sa.text(f"SELECT version_num FROM {_TABLE}")).scalar()  # noqa: S608 - a constant
