"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "symbols",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("pair", sa.Text, nullable=False),
        sa.Column("interval", sa.Integer, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("candles", sa.BigInteger, nullable=False),
        sa.Column("first_open", sa.BigInteger),
        sa.Column("last_open", sa.BigInteger),
        sa.Index("symbols_by_name", "source", "pair", "interval", unique=True),
    )
    op.create_table(
        "price_history",
        sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("open_time", sa.BigInteger, primary_key=True),
        *_numbers(),
        sa.Column("vwap", sa.Double),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "top_of_book",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("pair", sa.Text, primary_key=True),
        sa.Column("time_us", sa.BigInteger, primary_key=True),
        sa.Column("bid", sa.Double, nullable=False),
        sa.Column("bid_size", sa.Double, nullable=False),
        sa.Column("ask", sa.Double, nullable=False),
        sa.Column("ask_size", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "coverage",
        sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), primary_key=True, nullable=False),
        sa.Column("start_time", sa.BigInteger, primary_key=True),
        sa.Column("end_time", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gaps",
        sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), primary_key=True, nullable=False),
        sa.Column("start_time", sa.BigInteger, primary_key=True),
        sa.Column("end_time", sa.BigInteger, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("found_at_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "revisions",
        sa.Column("id", number, primary_key=True),
        sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), nullable=False),
        sa.Column("open_time", sa.BigInteger, nullable=False),
        *_numbers(),
        sa.Column("changed_at_us", sa.BigInteger, nullable=False),
        sa.Index("revisions_by_candle", "series", "open_time"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", number, primary_key=True),
        sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), nullable=False),
        sa.Column("open_time_us", sa.BigInteger, nullable=False),
        sa.Column("numbers", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("found_at_us", sa.BigInteger, nullable=False),
        sa.Index("quarantine_by_candle", "series", "open_time_us"),
    )


def _numbers() -> list[sa.Column[float] | sa.Column[int]]:
    required = [sa.Column(name, sa.Double, nullable=False) for name in ("open", "high", "low", "close", "volume")]
    return [
        *required,
        sa.Column("quote_volume", sa.Double),
        sa.Column("trades", sa.BigInteger),
        sa.Column("taker_base_volume", sa.Double),
        sa.Column("taker_quote_volume", sa.Double),
    ]
