"""Forecasts of the next hours."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "hour_forecasts",
        sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), primary_key=True, nullable=False),
        sa.Column("cutoff", sa.BigInteger, primary_key=True),
        sa.Column("price", sa.Double, nullable=False),
        sa.Column("distances", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
