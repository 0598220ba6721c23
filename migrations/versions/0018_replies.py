"""analytics: what is counted of replies is kept by dialogue, as they come"""

from alembic import op

from migrations.publish import own

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TRIGGERS = ("note_change", "tally_update")  # of a table that only learns when its rows changed
FIRST = "3"  # the first transaction of any cluster


def upgrade() -> None:
    """Dialogues that ended before changes were noted say that they ended in the first transaction."""
    op.execute(
        """CREATE TABLE analytics.replies (run_id uuid NOT NULL, tenant_id uuid NOT NULL,
            dialogue_id uuid PRIMARY KEY, counted json NOT NULL)"""
    )
    op.execute("CREATE INDEX ix_replies_run_id ON analytics.replies (run_id)")
    op.execute(
        "CREATE TABLE analytics.counted (run_id uuid PRIMARY KEY, tenant_id uuid NOT NULL, upto xid8 NOT NULL)"
        " WITH (fillfactor = 50)"
    )
    own("analytics", "replies")
    own("analytics", "counted")
    op.execute("DROP TABLE analytics.wordings")
    for trigger in TRIGGERS:
        op.execute(f"ALTER TABLE generator.dialogues DISABLE TRIGGER {trigger}")
    op.execute(
        f"UPDATE generator.dialogues SET changed_in = '{FIRST}'"
        " WHERE changed_in IS NULL AND state IN ('done', 'failed')"
    )
    for trigger in TRIGGERS:
        op.execute(f"ALTER TABLE generator.dialogues ENABLE TRIGGER {trigger}")


def downgrade() -> None:
    """What was counted is counted again by run."""
    op.execute("DROP TABLE analytics.replies, analytics.counted")
    op.execute(
        """CREATE TABLE analytics.wordings (run_id uuid PRIMARY KEY, tenant_id uuid NOT NULL,
            texts_sha256 text NOT NULL, document json NOT NULL, created_at timestamptz NOT NULL DEFAULT now())"""
    )
    own("analytics", "wordings")
