"""The volume of candles that are built from ticks; older ones do not have any."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("built_candles", sa.Column("volume", sa.Double))
