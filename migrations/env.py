"""Alembic's entry: runs on the connection that ``services.kit.migrate`` opened."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="public")
with context.begin_transaction():
    context.run_migrations()
