"""judge, gateway: judged diversity, runs over another run's dialogues, and shortlists"""

from alembic import op

from migrations.publish import own, publish

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The batches that judges rate, and what the gateway knows of rejudged runs and shortlists."""
    # `revision` of the run for which all batches were made, and how many dialogues were played when some were.
    op.execute(
        """CREATE TABLE judge.diversity_plans (
            run_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            revision integer,
            played integer NOT NULL
        )"""
    )
    # A batch whose replies are no longer those of the run is `outdated`: it was paid for, so it is not deleted.
    op.execute(
        """CREATE TABLE judge.diversity_verdicts (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL,
            character text NOT NULL,
            batch integer NOT NULL,
            judge text NOT NULL,
            replies jsonb NOT NULL,
            state text NOT NULL CONSTRAINT ck_diversity_verdicts_state
                CHECK (state IN ('waiting', 'rating', 'done', 'failed', 'outdated')),
            outdated boolean NOT NULL DEFAULT false,
            score smallint CONSTRAINT ck_diversity_verdicts_score CHECK (score BETWEEN 1 AND 5),
            explanation text,
            raw text,
            error jsonb,
            attempts integer NOT NULL DEFAULT 0,
            not_before timestamptz,
            slice_id uuid,
            calls integer NOT NULL DEFAULT 0,
            prompt_tokens bigint NOT NULL DEFAULT 0,
            completion_tokens bigint NOT NULL DEFAULT 0,
            finished_at timestamptz
        ) WITH (fillfactor = 70)"""
    )
    op.execute("CREATE INDEX ix_diversity_verdicts_run_id ON judge.diversity_verdicts (run_id, character, batch)")
    op.execute(
        "CREATE INDEX ix_diversity_verdicts_open ON judge.diversity_verdicts (judge)"
        " WHERE state IN ('waiting', 'rating')"
    )
    own("judge", "diversity_plans")
    own("judge", "diversity_verdicts")
    publish("judge", "diversity_plans", "run_id, tenant_id, revision", "gateway")
    # What the judge has spent is part of what a budget leaves to the generator.
    publish(
        "judge",
        "diversity_verdicts",
        "id, tenant_id, run_id, character, batch, judge, replies, state, score, explanation, raw, error, calls,"
        " prompt_tokens, completion_tokens, finished_at",
        "gateway",
        "analytics",
        "generator",
    )
    # A run over another's dialogues is one over a transcript: that of the other, or a copy made of what it has played.
    op.execute(
        """CREATE TABLE gateway.rejudged_runs (
            run_id uuid PRIMARY KEY REFERENCES gateway.runs ON DELETE CASCADE,
            tenant_id uuid NOT NULL,
            source_id uuid NOT NULL REFERENCES gateway.runs,
            copy_id uuid REFERENCES gateway.transcripts
        )"""
    )
    op.execute("CREATE INDEX ix_rejudged_runs_source_id ON gateway.rejudged_runs (source_id)")
    own("gateway", "rejudged_runs")
    publish("gateway", "rejudged_runs", "run_id, tenant_id, source_id", "analytics")
    op.execute(
        """CREATE TABLE gateway.shortlists (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            name text,
            suite_label text NOT NULL,
            judges text[] NOT NULL,
            keep integer NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )"""
    )
    op.execute(
        """CREATE TABLE gateway.shortlist_runs (
            shortlist_id uuid NOT NULL REFERENCES gateway.shortlists,
            position integer NOT NULL,
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL REFERENCES gateway.runs ON DELETE CASCADE,
            PRIMARY KEY (shortlist_id, position)
        )"""
    )
    op.execute("CREATE INDEX ix_shortlist_runs_run_id ON gateway.shortlist_runs (run_id)")
    own("gateway", "shortlists")
    own("gateway", "shortlist_runs")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE gateway.shortlist_runs, gateway.shortlists, gateway.rejudged_runs CASCADE")
    op.execute("DROP TABLE judge.diversity_verdicts, judge.diversity_plans CASCADE")
