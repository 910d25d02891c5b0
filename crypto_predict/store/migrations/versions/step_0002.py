"""Live collecting: the counts and sums of a series, built candles and streams."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, which does not rewrite a table, and create the tables."""
    op.add_column("symbols", sa.Column("since", sa.BigInteger))
    for name in ("compared", "mismatched", "version"):
        op.add_column("symbols", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    for name in ("session_turnover", "session_volume"):
        op.add_column("symbols", sa.Column(name, sa.Double))
    op.create_table(
        "built_candles",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("pair", sa.Text, primary_key=True),
        sa.Column("interval", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("open_time", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("open", "high", "low", "close")),
        sa.Column("ticks", sa.BigInteger, nullable=False),
        sa.Column("late", sa.BigInteger, nullable=False),
        sa.Column("partial", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "streams",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("pair", sa.Text, primary_key=True),
        sa.Column("start_us", sa.BigInteger, primary_key=True),
        sa.Column("end_us", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Index("streams_by_end", "source", "end_us"),
        sqlite_with_rowid=False,
    )
