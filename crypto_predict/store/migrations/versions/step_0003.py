"""Minute forecasts: the newest ones, the sums of their scores, and the models that they are computed from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SUMS = ("error", "persistence_error", "winkler", "persistence_winkler", "crps", "persistence_crps")
_COUNTS = ("inside_50", "inside_80", "inside_90")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "forecasts",
        _series(),
        sa.Column("cutoff", sa.BigInteger, primary_key=True),
        sa.Column("price", sa.Double, nullable=False),
        sa.Column("distances", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "forecast_records",
        _series(),
        sa.Column("since", sa.BigInteger),
        sa.Column("until", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "forecast_scores",
        _series(),
        sa.Column("horizon_minutes", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("forecasts", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in _SUMS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "minute_models",
        _series(),
        sa.Column("fitted_at_us", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _series() -> sa.Column[int]:
    return sa.Column("series", sa.Integer, sa.ForeignKey("symbols.id"), primary_key=True, nullable=False)
