"""analytics: what a report does not show is kept as facts, beside the report"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A report without them was written before; it is made again, with the same hash, when it is read."""
    op.execute("ALTER TABLE analytics.reports ADD limits json")


def downgrade() -> None:
    """Reports hold no sentences any more: they are made again when they are read."""
    op.execute("ALTER TABLE analytics.reports DROP limits")
    op.execute("DELETE FROM analytics.reports")
