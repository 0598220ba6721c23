"""judge: one verdict a dialogue and judge, with the raw reply, and the leases under which they are made"""

from alembic import op

from migrations.publish import own, publish

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The judge's tables, and what it publishes."""
    op.execute(
        """CREATE TABLE judge.verdicts (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL,
            dialogue_id uuid NOT NULL,
            character text NOT NULL,
            scenario text,
            replicate integer NOT NULL,
            judge text NOT NULL,
            state text NOT NULL CONSTRAINT ck_verdicts_state CHECK (state IN ('waiting', 'rating', 'done', 'failed')),
            scores jsonb NOT NULL DEFAULT '{}',
            raw text,
            error jsonb,
            attempts integer NOT NULL DEFAULT 0,
            slice_id uuid,
            calls integer NOT NULL DEFAULT 0,
            prompt_tokens bigint NOT NULL DEFAULT 0,
            completion_tokens bigint NOT NULL DEFAULT 0,
            finished_at timestamptz
        ) WITH (fillfactor = 70)"""
    )
    op.execute("CREATE INDEX ix_verdicts_run_id ON judge.verdicts (run_id, dialogue_id)")
    op.execute("CREATE INDEX ix_verdicts_open ON judge.verdicts (judge) WHERE state IN ('waiting', 'rating')")
    op.execute(
        """CREATE TABLE judge.slices (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL,
            expires_at timestamptz NOT NULL
        )"""
    )
    own("judge", "verdicts")
    own("judge", "slices")
    publish(
        "judge",
        "verdicts",
        "id, tenant_id, run_id, dialogue_id, character, scenario, replicate, judge, state, scores, raw, error, calls,"
        " prompt_tokens, completion_tokens, finished_at",
        "gateway",
        "analytics",
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE judge.verdicts, judge.slices CASCADE")
