"""gateway: tenants and keys, suites and transcripts, runs and what happened to them"""

from alembic import op

from migrations.publish import own, publish

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = {
    "tenants": """
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()""",
    "api_keys": """
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        prefix text NOT NULL,
        sha256 bytea NOT NULL CONSTRAINT uq_api_keys_sha256 UNIQUE,
        scopes text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        revoked_at timestamptz""",
    "suites": """
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        version integer NOT NULL,
        sha256 text NOT NULL,
        language text NOT NULL,
        document jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_suites_tenant_id_name_version UNIQUE (tenant_id, name, version),
        CONSTRAINT uq_suites_tenant_id_name_sha256 UNIQUE (tenant_id, name, sha256)""",
    "transcripts": """
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        suite_id uuid NOT NULL REFERENCES gateway.suites,
        sha256 text NOT NULL,
        dialogues integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()""",
    "transcript_dialogues": """
        tenant_id uuid NOT NULL,
        transcript_id uuid NOT NULL REFERENCES gateway.transcripts ON DELETE CASCADE,
        position integer NOT NULL,
        character text NOT NULL,
        scenario text,
        replicate integer NOT NULL,
        turns jsonb NOT NULL,
        PRIMARY KEY (transcript_id, position)""",
    "secrets": """
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        sealed bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()""",
    "runs": """
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text,
        suite_id uuid NOT NULL REFERENCES gateway.suites,
        suite_label text NOT NULL,
        candidate jsonb NOT NULL,
        candidate_name text NOT NULL,
        secret_id uuid REFERENCES gateway.secrets,
        transcript_id uuid REFERENCES gateway.transcripts,
        simulator text,
        judges text[] NOT NULL,
        rounds integer NOT NULL,
        replicates integer NOT NULL,
        sample jsonb,
        labels jsonb NOT NULL,
        plan jsonb NOT NULL,
        manifest jsonb NOT NULL,
        manifest_sha256 text NOT NULL,
        status text NOT NULL CONSTRAINT ck_runs_status CHECK (status IN ('queued', 'running', 'cancelling',
            'succeeded', 'failed', 'cancelled', 'budget_exhausted')),
        phase text CONSTRAINT ck_runs_phase CHECK (phase IN ('generating', 'judging', 'analysing')),
        revision integer NOT NULL DEFAULT 1,
        error jsonb,
        warnings jsonb NOT NULL DEFAULT '[]',
        created_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        finished_at timestamptz""",
    "deletions": """
        run_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()""",
    "idempotency_keys": """
        tenant_id uuid NOT NULL,
        key text NOT NULL,
        request_sha256 text NOT NULL,
        status integer NOT NULL,
        headers jsonb NOT NULL,
        body jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, key)""",
    "events": """
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant_id uuid NOT NULL,
        run_id uuid NOT NULL REFERENCES gateway.runs ON DELETE CASCADE,
        type text NOT NULL,
        key text NOT NULL,
        data jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_events_run_id_key UNIQUE (run_id, key)""",
}

INDEXES = (
    "CREATE INDEX ix_runs_tenant_id_created_at ON gateway.runs (tenant_id, created_at, id)",
    "CREATE INDEX ix_runs_open ON gateway.runs (id) WHERE status IN ('queued', 'running', 'cancelling')",
    "CREATE INDEX ix_events_run_id_id ON gateway.events (run_id, id)",
    "CREATE INDEX ix_suites_tenant_id_created_at ON gateway.suites (tenant_id, created_at, id)",
    "CREATE INDEX ix_transcripts_tenant_id_sha256 ON gateway.transcripts (tenant_id, name, sha256)",
)


def upgrade() -> None:
    """The gateway's tables, and what it publishes."""
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE gateway.{table} ({columns})")
        own("gateway", table)
    for index in INDEXES:
        op.execute(index)
    publish(
        "gateway",
        "runs",
        "id, tenant_id, status, phase, revision, suite_id, suite_label, candidate, candidate_name, secret_id,"
        " transcript_id, simulator, judges, rounds, replicates, sample, plan, manifest, manifest_sha256, created_at",
        "generator",
        "judge",
        "analytics",
    )
    publish(
        "gateway",
        "suites",
        "id, tenant_id, name, version, sha256, language, document",
        "generator",
        "judge",
        "analytics",
    )
    publish(
        "gateway",
        "transcript_dialogues",
        "tenant_id, transcript_id, position, character, scenario, replicate, turns",
        "generator",
    )
    publish("gateway", "deletions", "run_id, tenant_id, created_at", "generator", "judge", "analytics")
    publish("gateway", "secrets", "id, tenant_id, sealed", "generator")


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE gateway.{table} CASCADE")
