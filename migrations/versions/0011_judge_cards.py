"""judge: cards: what was measured of each judge"""

from alembic import op

from migrations.publish import own, publish

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the judge service measures by its battery, and what analytics measures by ratings."""
    op.execute(
        """CREATE TABLE judge.cards (
            configuration text NOT NULL,
            language text NOT NULL,
            attack text NOT NULL,
            tenant_id uuid NOT NULL,
            judge text NOT NULL,
            battery text NOT NULL,
            document jsonb NOT NULL,
            measured_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (configuration, language, attack)
        )"""
    )
    own("judge", "cards")
    publish(
        "judge",
        "cards",
        "configuration, language, attack, judge, battery, document, measured_at",
        "gateway",
        "analytics",
    )
    op.execute(
        """CREATE TABLE analytics.judge_measures (
            tenant_id uuid NOT NULL,
            configuration text NOT NULL,
            judge text NOT NULL,
            document jsonb NOT NULL,
            measured_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, configuration)
        )"""
    )
    own("analytics", "judge_measures")
    publish("analytics", "judge_measures", "tenant_id, configuration, judge, document, measured_at", "gateway")
    op.execute(
        """CREATE TABLE analytics.unmeasured (
            tenant_id uuid PRIMARY KEY,
            since timestamptz NOT NULL DEFAULT clock_timestamp()
        )"""
    )
    own("analytics", "unmeasured")
    op.execute("CREATE INDEX ix_ratings_human ON analytics.ratings (tenant_id, run_id) WHERE kind = 'human'")
    op.execute("INSERT INTO analytics.unmeasured (tenant_id) SELECT DISTINCT tenant_id FROM analytics.ratings")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX analytics.ix_ratings_human")
    op.execute("DROP TABLE judge.cards, analytics.judge_measures, analytics.unmeasured CASCADE")
