"""A table of candles for each month on PostgreSQL."""

from alembic import op

from crypto_predict.store.migrations.single_table import divide

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the single table the partition of the past."""
    divide(op.get_bind())
