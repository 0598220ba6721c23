"""gates: what a release has spent of its error, results from elsewhere, and how runs of a suite differ"""

from alembic import op

from migrations.publish import own, publish

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Looks outlive the runs that they were taken at: no row of them is deleted with a run."""
    op.execute(
        """CREATE TABLE analytics.looks (
            id uuid PRIMARY KEY, tenant_id uuid NOT NULL, release text NOT NULL, baseline_run_id uuid,
            candidate text NOT NULL, run_id uuid NOT NULL, dialogues integer NOT NULL, run_dialogues integer NOT NULL,
            ratings text NOT NULL, most integer NOT NULL, spent double precision NOT NULL, again boolean NOT NULL,
            verdict text NOT NULL, at timestamptz NOT NULL DEFAULT now())"""
    )
    op.execute("CREATE INDEX ix_looks_release ON analytics.looks (tenant_id, release)")
    op.execute("CREATE INDEX ix_looks_candidate ON analytics.looks (tenant_id, candidate)")
    own("analytics", "looks")
    op.execute(
        """CREATE TABLE analytics.spreads (
            tenant_id uuid NOT NULL, suite_id uuid NOT NULL, judges text[] NOT NULL, document jsonb NOT NULL,
            at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, suite_id, judges))"""
    )
    own("analytics", "spreads")
    publish("analytics", "spreads", "tenant_id, suite_id, judges, document", "gateway")
    op.execute(
        """CREATE TABLE gateway.checks (
            run_id uuid NOT NULL REFERENCES gateway.runs (id) ON DELETE CASCADE, tenant_id uuid NOT NULL,
            name text NOT NULL, outcome text NOT NULL CONSTRAINT ck_checks_outcome CHECK (outcome IN ('pass', 'fail')),
            url text, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run_id, name))"""
    )
    own("gateway", "checks")
    publish("gateway", "checks", "run_id, tenant_id, name, outcome, url, at", "analytics")


def downgrade() -> None:
    """Without them every look has all of the error again."""
    op.execute("DROP VIEW gateway.checks_v1")
    op.execute("DROP VIEW analytics.spreads_v1")
    op.execute("DROP TABLE gateway.checks, analytics.looks, analytics.spreads")
