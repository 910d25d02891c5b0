"""Longer candles, which are kept beside those that they are made of. Those of older candles are made later."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DAY = 86_400


def upgrade() -> None:
    """Create the tables, and note that they lack every candle up to the next midnight."""
    op.create_table(
        "rollups",
        sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("interval", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("open_time", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("open", "high", "low", "close", "volume")),
        sa.Column("quote_volume", sa.Double),
        sa.Column("trades", sa.BigInteger),
        sa.Column("taker_base_volume", sa.Double),
        sa.Column("taker_quote_volume", sa.Double),
        sa.Column("vwap", sa.Double),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "purged",
        sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), primary_key=True, nullable=False),
        sa.Column("start_time", sa.BigInteger, primary_key=True),
        sa.Column("end_time", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.add_column("symbols", sa.Column("unrolled", sa.BigInteger))
    op.execute(f"UPDATE symbols SET unrolled = last_open - last_open % {_DAY} + {_DAY}")  # noqa: S608 - a constant
