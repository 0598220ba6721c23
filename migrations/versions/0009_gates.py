"""gateway: baselines and gate policies; analytics: the verdicts of gates"""

from alembic import op

from migrations.publish import own, publish

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

GATEWAY = {
    "baselines": """
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        run_id uuid NOT NULL REFERENCES gateway.runs ON DELETE CASCADE,
        set_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, name)""",
    "gates": """
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        version integer NOT NULL,
        sha256 text NOT NULL,
        policy jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_gates_tenant_id_name_version UNIQUE (tenant_id, name, version)""",
}


def upgrade() -> None:
    """Names for runs and policies, a run's own gate with its verdict, and every verdict with its evidence."""
    for table, columns in GATEWAY.items():
        op.execute(f"CREATE TABLE gateway.{table} ({columns})")
        own("gateway", table)
    op.execute("CREATE INDEX ix_baselines_run_id ON gateway.baselines (run_id)")
    op.execute(
        """ALTER TABLE gateway.runs ADD gate jsonb, ADD gating_until timestamptz, ADD verdict text
            CONSTRAINT ck_runs_verdict CHECK (verdict IN ('pass', 'fail', 'inconclusive', 'error'))"""
    )
    op.execute(
        """CREATE TABLE analytics.gates (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            run_id uuid NOT NULL,
            revision integer NOT NULL,
            baseline_run_id uuid,
            verdict text NOT NULL,
            document json NOT NULL,
            sentinel jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )"""
    )
    own("analytics", "gates")
    op.execute("CREATE INDEX ix_gates_run_id_created_at ON analytics.gates (run_id, created_at)")
    op.execute("CREATE INDEX ix_gates_baseline_run_id ON analytics.gates (baseline_run_id)")
    publish(
        "analytics",
        "gates",
        "id, tenant_id, run_id, revision, baseline_run_id, verdict, document, sentinel, created_at",
        "gateway",
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE analytics.gates CASCADE")
    op.execute("ALTER TABLE gateway.runs DROP gate, DROP gating_until, DROP verdict")
    op.execute("DROP TABLE gateway.gates, gateway.baselines")
