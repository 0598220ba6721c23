"""gateway: a run that is a baseline is not deleted"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A name no longer goes with its run: the gates that need it would have nothing to hold against."""
    _when_the_run_goes("RESTRICT")


def downgrade() -> None:
    """It goes with its run again."""
    _when_the_run_goes("CASCADE")


def _when_the_run_goes(action: str) -> None:
    op.execute(
        f"""ALTER TABLE gateway.baselines DROP CONSTRAINT baselines_run_id_fkey,
            ADD CONSTRAINT baselines_run_id_fkey FOREIGN KEY (run_id) REFERENCES gateway.runs ON DELETE {action}"""
    )
