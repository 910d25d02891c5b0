"""What Alembic runs to apply steps: on the connection of `tables.upgrade`, inside its transaction."""

from alembic import context

from crypto_predict.store.tables import metadata

context.configure(**context.config.attributes["options"], target_metadata=metadata)
context.run_migrations()
