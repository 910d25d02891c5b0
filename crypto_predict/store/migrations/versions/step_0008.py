"""The register of outages."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; the next run of the collector fills them."""
    op.create_table(
        "outages",
        sa.Column("start_us", sa.BigInteger, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("is_ours", sa.Boolean, primary_key=True),
        sa.Column("end_us", sa.BigInteger, nullable=False),
        sa.Column("is_over", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("cause", "reason", "pairs")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("filled", "awaited", "lost", "rejected")),
        sa.Index("outages_by_start", "start_us", "end_us"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outage_records",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("until_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
