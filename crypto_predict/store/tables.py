"""The tables of a market database, the same on SQLite and PostgreSQL. `migrations` creates them.

Times are whole seconds since 1970 in UTC, or microseconds where a name ends in ``_us``. Spans include their start and
not their end. ``series`` is the number of a row of `symbols`.
"""

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


def _series(*, primary_key: bool = False) -> Column[int]:
    return Column("series", Integer, ForeignKey("symbols.id"), primary_key=primary_key, nullable=False)


def _volumes() -> list[Column[float] | Column[int]]:
    return [
        Column("quote_volume", Double),
        Column("trades", BigInteger),
        Column("taker_base_volume", Double),
        Column("taker_quote_volume", Double),
    ]


def _prices() -> list[Column[float]]:
    return [Column(name, Double, nullable=False) for name in ("open", "high", "low", "close", "volume")]


symbols = Table(
    "symbols",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("pair", Text, nullable=False),  # BTC/USD
    Column("interval", Integer, nullable=False),  # seconds
    Column("simulated", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("candles", BigInteger, nullable=False),  # how many are stored
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

# One table holds every candle, without a number of its own for each row: a candle takes some 100 bytes on SQLite.
# `series` is not a foreign key, which would double the time of a write on PostgreSQL: every write has locked that row.
price_history = Table(
    "price_history",
    metadata,
    Column("series", Integer, primary_key=True, autoincrement=False),
    Column("open_time", BigInteger, primary_key=True),
    *_prices(),
    *_volumes(),
    Column("vwap", Double),
    sqlite_with_rowid=False,
)

top_of_book = Table(
    "top_of_book",
    metadata,
    Column("source", Text, primary_key=True),
    Column("pair", Text, primary_key=True),
    Column("time_us", BigInteger, primary_key=True),
    *(Column(name, Double, nullable=False) for name in ("bid", "bid_size", "ask", "ask_size")),
    sqlite_with_rowid=False,
)

# Candles built from ticks. Not every interval that is built is also a series of `symbols`.
built_candles = Table(
    "built_candles",
    metadata,
    Column("source", Text, primary_key=True),
    Column("pair", Text, primary_key=True),
    Column("interval", Integer, primary_key=True, autoincrement=False),  # seconds
    Column("open_time", BigInteger, primary_key=True),
    *(Column(name, Double, nullable=False) for name in ("open", "high", "low", "close")),
    Column("ticks", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("partial", Boolean, nullable=False),
    Column("volume", Double),
    sqlite_with_rowid=False,
)

# What was known of the stream of a pair; the spans of one pair do not overlap.
streams = Table(
    "streams",
    metadata,
    Column("source", Text, primary_key=True),
    Column("pair", Text, primary_key=True),
    Column("start_us", BigInteger, primary_key=True),
    Column("end_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # a value of `StreamState`
    Column("reason", Text, nullable=False),
    Index("streams_by_end", "source", "end_us"),  # the newest spans, which are extended, among many old ones
    sqlite_with_rowid=False,
)

# The spans for which the source was asked and its answer is stored; they neither overlap nor touch.
coverage = Table(
    "coverage",
    metadata,
    _series(primary_key=True),
    Column("start_time", BigInteger, primary_key=True),
    Column("end_time", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

gaps = Table(
    "gaps",
    metadata,
    _series(primary_key=True),
    Column("start_time", BigInteger, primary_key=True),
    Column("end_time", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("found_at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The old values of candles that were changed.
revisions = Table(
    "revisions",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    _series(),
    Column("open_time", BigInteger, nullable=False),
    *_prices(),
    *_volumes(),
    Column("changed_at_us", BigInteger, nullable=False),
    Index("revisions_by_candle", "series", "open_time"),
)

# Rows that no market can have made. Their numbers are text, since a database column cannot hold every one of them.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    _series(),
    Column("open_time_us", BigInteger, nullable=False),
    Column("numbers", Text, nullable=False),  # a JSON list in the order of Candle, with NaN and Infinity
    Column("reason", Text, nullable=False),
    Column("found_at_us", BigInteger, nullable=False),
    Index("quarantine_by_candle", "series", "open_time_us"),
)

# Minute forecasts, of the last day or so.
forecasts = Table(
    "forecasts",
    metadata,
    _series(primary_key=True),
    Column("cutoff", BigInteger, primary_key=True),
    Column("price", Double, nullable=False),  # at the cutoff
    Column("distances", LargeBinary, nullable=False),  # of the point and the quantiles; `forecasts` packs them
    sqlite_with_rowid=False,
)

# The span of the outcomes that were scored.
forecast_records = Table(
    "forecast_records",
    metadata,
    _series(primary_key=True),
    Column("since", BigInteger),  # the first outcome; null before it
    Column("until", BigInteger, nullable=False),  # the newest close that was scored: no outcome counts twice
    sqlite_with_rowid=False,
)

# The sums of `MinuteScores`, whose fields have these names and this order.
forecast_scores = Table(
    "forecast_scores",
    metadata,
    _series(primary_key=True),
    Column("horizon_minutes", Integer, primary_key=True, autoincrement=False),
    Column("forecasts", BigInteger, nullable=False),
    *(
        Column(name, Double, nullable=False)
        for name in ("error", "persistence_error", "winkler", "persistence_winkler", "crps", "persistence_crps")
    ),
    *(Column(name, BigInteger, nullable=False) for name in ("inside_50", "inside_80", "inside_90")),
    sqlite_with_rowid=False,
)

minute_models = Table(
    "minute_models",
    metadata,
    _series(primary_key=True),
    Column("fitted_at_us", BigInteger, nullable=False),
    Column("content", Text, nullable=False),  # JSON, which is not read here
    sqlite_with_rowid=False,
)
