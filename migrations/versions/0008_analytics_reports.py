"""analytics: diversity ratings, how people's dialogues were chosen, stored agreement and counts of texts"""

from alembic import op

from migrations.publish import own, publish

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

RUNS = (
    "id, tenant_id, status, phase, revision, suite_id, suite_label, candidate, candidate_name, secret_id,"
    " transcript_id, simulator, judges, rounds, replicates, sample, plan, manifest, manifest_sha256, created_at,"
    " budget, prices, retry_at, frozen_id, labels"
)

TABLES = {
    "diversity_ratings": """
        tenant_id uuid NOT NULL,
        run_id uuid NOT NULL,
        character text NOT NULL,
        batch integer NOT NULL CONSTRAINT ck_diversity_ratings_batch CHECK (batch > 0),
        rater text NOT NULL,
        kind text NOT NULL CONSTRAINT ck_diversity_ratings_kind CHECK (kind IN ('judge', 'human')),
        score smallint NOT NULL CONSTRAINT ck_diversity_ratings_score CHECK (score BETWEEN 1 AND 5),
        explanation text,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (run_id, character, batch, rater, kind)""",
    # How often a run's ratings have changed, and up to which change their agreement is known.
    "rated": """
        run_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        changes bigint NOT NULL DEFAULT 1,
        agreed bigint NOT NULL DEFAULT 0""",
    "agreements": """
        run_id uuid NOT NULL,
        kind text NOT NULL CONSTRAINT ck_agreements_kind CHECK (kind IN ('judge', 'human')),
        tenant_id uuid NOT NULL,
        ratings_sha256 text NOT NULL,
        document json NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (run_id, kind)""",
    # What is counted of a run's replies, by the hash of these: it takes longer than a report of new ratings may.
    "wordings": """
        run_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        texts_sha256 text NOT NULL,
        document json NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()""",
}


def upgrade() -> None:
    """The tables; reports are kept as they were written, and say of whose agreement they speak; runs have names."""
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE analytics.{table} ({columns})")
        own("analytics", table)
    op.execute(
        "ALTER TABLE analytics.ratings ADD sampling text"
        " CONSTRAINT ck_ratings_sampling CHECK (sampling IN ('random', 'drawn'))"
    )
    op.execute("DELETE FROM analytics.reports")  # they say less than is said from now on, and are made when read
    op.execute("ALTER TABLE analytics.reports ALTER document TYPE json USING document::json")
    op.execute("ALTER TABLE analytics.reports ADD agreement_kind text, ADD agreement_sha256 text")
    op.execute(
        "INSERT INTO analytics.rated (run_id, tenant_id) SELECT DISTINCT run_id, tenant_id FROM analytics.ratings"
    )
    publish("analytics", "agreements", "tenant_id, run_id, kind, ratings_sha256, created_at", "gateway")
    op.execute("DROP VIEW gateway.runs_v1")
    publish("gateway", "runs", f"{RUNS}, name", "generator", "judge", "analytics")


def downgrade() -> None:
    """Back to ratings and reports alone."""
    op.execute("DROP VIEW gateway.runs_v1")
    publish("gateway", "runs", RUNS, "generator", "judge", "analytics")
    op.execute("ALTER TABLE analytics.reports DROP agreement_kind, DROP agreement_sha256")
    op.execute("ALTER TABLE analytics.reports ALTER document TYPE jsonb USING document::jsonb")
    op.execute("ALTER TABLE analytics.ratings DROP sampling")
    op.execute("DROP TABLE " + ", ".join(f"analytics.{table}" for table in reversed(TABLES)) + " CASCADE")
