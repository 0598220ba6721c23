"""gateway, generator: scenario sets as they were asked for, their drafts, and which were taken into a suite"""

from alembic import op

from migrations.publish import own, publish

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The request is the gateway's and the drafts are the generator's, each published to the other."""
    op.execute(
        """CREATE TABLE gateway.scenario_sets (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            name text NOT NULL,
            language text NOT NULL,
            grid jsonb NOT NULL,
            writer jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )"""
    )
    op.execute(
        "CREATE INDEX ix_scenario_sets_tenant_id_created_at ON gateway.scenario_sets (tenant_id, created_at, id)"
    )
    op.execute(
        """CREATE TABLE gateway.scenario_selections (
            tenant_id uuid NOT NULL,
            set_id uuid NOT NULL REFERENCES gateway.scenario_sets,
            draft_id uuid NOT NULL,
            suite_id uuid NOT NULL REFERENCES gateway.suites,
            PRIMARY KEY (set_id, draft_id, suite_id)
        )"""
    )
    op.execute(
        """CREATE TABLE generator.scenario_drafts (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            set_id uuid NOT NULL,
            position integer NOT NULL,
            persona text NOT NULL,
            emotion text NOT NULL,
            location text NOT NULL,
            number integer NOT NULL,
            state text NOT NULL CONSTRAINT ck_scenario_drafts_state
                CHECK (state IN ('waiting', 'writing', 'written', 'failed')),
            event text,
            question text,
            writer jsonb,
            attempts integer NOT NULL DEFAULT 0,
            raw text,
            error jsonb,
            near_duplicate_of uuid,
            similarity double precision,
            calls integer NOT NULL DEFAULT 0,
            prompt_tokens bigint NOT NULL DEFAULT 0,
            completion_tokens bigint NOT NULL DEFAULT 0,
            slice_id uuid,
            finished_at timestamptz,
            CONSTRAINT uq_scenario_drafts_set_id_position UNIQUE (set_id, position)
        ) WITH (fillfactor = 70)"""
    )
    # What is left to do: to be written, or to be compared with the others once all are.
    op.execute(
        "CREATE INDEX ix_scenario_drafts_open ON generator.scenario_drafts (set_id, position)"
        " WHERE state IN ('waiting', 'writing') OR state = 'written' AND similarity IS NULL"
    )
    own("gateway", "scenario_sets")
    own("gateway", "scenario_selections")
    own("generator", "scenario_drafts")
    publish("gateway", "scenario_sets", "id, tenant_id, language, grid, created_at", "generator")
    publish(
        "generator",
        "scenario_drafts",
        "id, tenant_id, set_id, position, persona, emotion, location, number, state, event, question, writer, attempts,"
        " raw, error, near_duplicate_of, similarity, calls, prompt_tokens, completion_tokens, finished_at",
        "gateway",
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE gateway.scenario_selections, gateway.scenario_sets, generator.scenario_drafts CASCADE")
