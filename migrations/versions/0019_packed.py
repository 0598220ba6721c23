"""analytics: a run's ratings as arrays in one row, and figures by a hash of what they follow from"""

from alembic import op

from migrations.publish import own

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = {
    # Of the ratings after so many changes (analytics.rated); what counts of them also depends on who rates the run.
    "packed": """
        run_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        changes bigint NOT NULL,
        judged boolean NOT NULL,
        kinds text[] NOT NULL,
        document bytea NOT NULL,
        sha256 text NOT NULL""",
    "figures": """
        key char(64) PRIMARY KEY,
        tenant_id uuid NOT NULL,
        run_ids uuid[] NOT NULL,
        media_type text NOT NULL,
        groups integer NOT NULL,
        content bytea NOT NULL,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp()""",
}


def upgrade() -> None:
    """Both, empty: they fill as they are asked for. Postgres compresses neither: it is packed, or to be read fast."""
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE analytics.{table} ({columns})")
        own("analytics", table)
    op.execute("ALTER TABLE analytics.packed ALTER document SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE analytics.figures ALTER content SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX ix_figures_tenant_id_made_at ON analytics.figures (tenant_id, made_at)")
    op.execute("CREATE INDEX ix_figures_run_ids ON analytics.figures USING gin (run_ids)")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE " + ", ".join(f"analytics.{table}" for table in TABLES))
