"""Rights, in one place: only the owner writes; others read what is published as ``<schema>.<name>_v1``."""

from alembic import op


def own(schema: str, table: str) -> None:
    """The schema's role may do everything with its table."""
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{table} TO esrp_{schema}")


def publish(schema: str, name: str, columns: str, *readers: str, table: str | None = None) -> None:
    """Publish columns of a table as the view ``<schema>.<name>_v1`` to the readers' roles.

    The view works with the reader's own rights (``security_invoker``), so that it can never show more than the
    grants say; therefore the same columns are granted on the table too.
    """
    table = table or name
    op.execute(
        f"CREATE VIEW {schema}.{name}_v1 WITH (security_invoker = true) AS SELECT {columns} FROM {schema}.{table}"
    )
    for reader in (schema, *readers):
        op.execute(f"GRANT USAGE ON SCHEMA {schema} TO esrp_{reader}")
        op.execute(f"GRANT SELECT ({columns}) ON {schema}.{table} TO esrp_{reader}")
        op.execute(f"GRANT SELECT ON {schema}.{name}_v1 TO esrp_{reader}")
