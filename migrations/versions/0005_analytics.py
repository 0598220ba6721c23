"""analytics: ratings of people and judges alike, and the reports that follow from them"""

from alembic import op

from migrations.publish import own, publish

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The analytics service's tables, and what it publishes."""
    op.execute(
        """CREATE TABLE analytics.ratings (
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL,
            dialogue_id uuid NOT NULL,
            character text NOT NULL,
            scenario text,
            replicate integer NOT NULL,
            metric text NOT NULL,
            rater text NOT NULL,
            kind text NOT NULL CONSTRAINT ck_ratings_kind CHECK (kind IN ('judge', 'human')),
            score smallint NOT NULL CONSTRAINT ck_ratings_score CHECK (score BETWEEN 1 AND 5),
            explanation text,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (run_id, dialogue_id, metric, rater, kind)
        )"""
    )
    op.execute(
        """CREATE TABLE analytics.reports (
            run_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            revision integer NOT NULL,
            ratings_sha256 text NOT NULL,
            document jsonb NOT NULL,
            sha256 text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )"""
    )
    own("analytics", "ratings")
    own("analytics", "reports")
    publish(
        "analytics",
        "ratings",
        "tenant_id, run_id, dialogue_id, character, scenario, replicate, metric, rater, kind, score, explanation,"
        " created_at",
        "gateway",
    )
    publish("analytics", "reports", "run_id, tenant_id, revision, sha256, created_at", "gateway")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE analytics.ratings, analytics.reports CASCADE")
