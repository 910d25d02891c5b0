"""The tables of a market database, the same on SQLite and PostgreSQL. `migrations` creates them.

Times are whole seconds since 1970 in UTC, or microseconds where a name ends in ``_us``. Spans include their start and
not their end. ``series`` is the number of a row of `symbols`.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA = "0004"  # the newest step of `migrations`

metadata = MetaData()


def _keys(kind: Any, *names: str) -> list[Column[Any]]:
    return [Column(name, kind, primary_key=True, autoincrement=False) for name in names]


def _values(kind: Any, *names: str) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name in names]


def _series(*, primary_key: bool = True) -> Column[int]:
    return Column("series", Integer, ForeignKey("symbols.id"), primary_key=primary_key, nullable=False)


def _candle() -> list[Column[Any]]:
    """Return the columns of the fields of `Candle` that follow its opening."""
    prices = _values(Double, "open", "high", "low", "close", "volume")
    trades, taker = Column("trades", BigInteger), ("taker_base_volume", "taker_quote_volume")
    return [*prices, Column("quote_volume", Double), trades, *(Column(name, Double) for name in taker)]


def _keyed(name: str, *columns: Column[Any] | Index) -> Table:
    """Return a table whose rows are found by their key alone: without a number of its own for each row."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def _listed(name: str, *columns: Column[Any], time: str) -> Table:
    """Return a table with any number of rows for one time of a series."""
    number = Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    index = Index(f"{name}_by_candle", "series", time)
    return Table(name, metadata, number, _series(primary_key=False), *columns, index)


symbols = Table(
    "symbols",
    metadata,
    Column("id", Integer, primary_key=True),
    *_values(Text, "source", "pair"),  # the latter as BTC/USD
    *_values(Integer, "interval"),  # seconds
    *_values(Boolean, "simulated"),
    *_values(Text, "state"),
    *_values(BigInteger, "candles"),  # how many are stored
    Column("first_open", BigInteger),  # of the stored candles
    Column("last_open", BigInteger),
    Column("since", BigInteger),  # how far back it shall be collected
    Column("compared", BigInteger, nullable=False, server_default="0"),  # candles of a stream, with those of REST
    Column("mismatched", BigInteger, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="0"),  # grows with each change of candles and coverage
    # The sums of the session of `last_open`, from which the VWAP of a candle that follows is computed without reading
    # the session; null after an upgrade and while there are no candles.
    Column("session_turnover", Double),
    Column("session_volume", Double),
    Index("symbols_by_name", "source", "pair", "interval", unique=True),
)

# One table holds every candle: a candle takes some 100 bytes on SQLite. `series` is not a foreign key, which would
# double the time of a write on PostgreSQL: every write has locked that row.
price_history = _keyed(
    "price_history",
    *_keys(Integer, "series"),
    *_keys(BigInteger, "open_time"),
    *_candle(),
    Column("vwap", Double),
)

top_of_book = _keyed(
    "top_of_book",
    *_keys(Text, "source", "pair"),
    *_keys(BigInteger, "time_us"),
    *_values(Double, "bid", "bid_size", "ask", "ask_size"),
)

# Candles built from ticks. Not every interval that is built is also a series of `symbols`.
built_candles = _keyed(
    "built_candles",
    *_keys(Text, "source", "pair"),
    *_keys(Integer, "interval"),  # seconds
    *_keys(BigInteger, "open_time"),
    *_values(Double, "open", "high", "low", "close"),
    *_values(BigInteger, "ticks", "late"),
    *_values(Boolean, "partial"),
    Column("volume", Double),
)

# What was known of the stream of a pair; the spans of one pair do not overlap.
streams = _keyed(
    "streams",
    *_keys(Text, "source", "pair"),
    *_keys(BigInteger, "start_us"),
    *_values(BigInteger, "end_us"),
    *_values(Text, "state", "reason"),  # the former a value of `StreamState`
    Index("streams_by_end", "source", "end_us"),  # the newest spans, which are extended, among many old ones
)

# The spans for which the source was asked and its answer is stored; they neither overlap nor touch.
coverage = _keyed("coverage", _series(), *_keys(BigInteger, "start_time"), *_values(BigInteger, "end_time"))

gaps = _keyed(
    "gaps",
    _series(),
    *_keys(BigInteger, "start_time"),
    *_values(BigInteger, "end_time"),
    *_values(Text, "cause"),
    *_values(Integer, "attempts"),
    *_values(Text, "verdict"),
    *_values(BigInteger, "found_at_us"),
)

# The old values of candles that were changed.
revisions = _listed(
    "revisions", *_values(BigInteger, "open_time"), *_candle(), *_values(BigInteger, "changed_at_us"), time="open_time"
)

# Rows that no market can have made. Their numbers are a JSON list in the order of Candle, with NaN and Infinity, since
# a database column cannot hold every one of them.
quarantine = _listed(
    "quarantine",
    *_values(BigInteger, "open_time_us"),
    *_values(Text, "numbers", "reason"),
    *_values(BigInteger, "found_at_us"),
    time="open_time_us",
)

# Minute forecasts, of the last day or so.
forecasts = _keyed(
    "forecasts",
    _series(),
    *_keys(BigInteger, "cutoff"),
    *_values(Double, "price"),  # at the cutoff
    *_values(LargeBinary, "distances"),  # of the point and the quantiles; `forecasts` packs them
)

# The span of the outcomes that were scored.
forecast_records = _keyed(
    "forecast_records",
    _series(),
    Column("since", BigInteger),  # the first outcome; null before it
    *_values(BigInteger, "until"),  # the newest close that was scored: no outcome counts twice
)

# The sums of `MinuteScores`, whose fields have these names and this order.
forecast_scores = _keyed(
    "forecast_scores",
    _series(),
    *_keys(Integer, "horizon_minutes"),
    *_values(BigInteger, "forecasts"),
    *_values(Double, "error", "persistence_error", "winkler", "persistence_winkler", "crps", "persistence_crps"),
    *_values(BigInteger, "inside_50", "inside_80", "inside_90"),
)

minute_models = _keyed(
    "minute_models",
    _series(),
    *_values(BigInteger, "fitted_at_us"),
    *_values(Text, "content"),  # JSON, which is not read here
)
