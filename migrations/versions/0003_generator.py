"""generator: dialogues with every turn as it arrives, and the leases under which they are played"""

from alembic import op

from migrations.publish import own, publish

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The generator's tables, and what it publishes."""
    op.execute(
        """CREATE TABLE generator.dialogues (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL,
            position integer NOT NULL,
            character text NOT NULL,
            scenario text,
            replicate integer NOT NULL,
            state text NOT NULL CONSTRAINT ck_dialogues_state
                CHECK (state IN ('waiting', 'playing', 'done', 'failed', 'cancelled')),
            turns jsonb NOT NULL DEFAULT '[]',
            error jsonb,
            slice_id uuid,
            candidate_calls integer NOT NULL DEFAULT 0,
            candidate_prompt_tokens bigint NOT NULL DEFAULT 0,
            candidate_completion_tokens bigint NOT NULL DEFAULT 0,
            simulator_calls integer NOT NULL DEFAULT 0,
            simulator_prompt_tokens bigint NOT NULL DEFAULT 0,
            simulator_completion_tokens bigint NOT NULL DEFAULT 0,
            finished_at timestamptz
        ) WITH (fillfactor = 70)"""
    )
    op.execute("CREATE INDEX ix_dialogues_run_id_position ON generator.dialogues (run_id, position)")
    op.execute(
        "CREATE INDEX ix_dialogues_open ON generator.dialogues (run_id, position) WHERE state IN ('waiting', 'playing')"
    )
    op.execute(
        """CREATE TABLE generator.slices (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL,
            expires_at timestamptz NOT NULL
        )"""
    )
    own("generator", "dialogues")
    own("generator", "slices")
    publish(
        "generator",
        "dialogues",
        "id, tenant_id, run_id, position, character, scenario, replicate, state, turns, error, candidate_calls,"
        " candidate_prompt_tokens, candidate_completion_tokens, simulator_calls, simulator_prompt_tokens,"
        " simulator_completion_tokens, finished_at",
        "gateway",
        "judge",
        "analytics",
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE generator.dialogues, generator.slices CASCADE")
