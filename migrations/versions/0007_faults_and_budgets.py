"""all: attempts, pacing of endpoints, budgets, retries and extensions of a run"""

from alembic import op

from migrations.publish import own, publish

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

RUNS = (
    "id, tenant_id, status, phase, revision, suite_id, suite_label, candidate, candidate_name, secret_id,"
    " transcript_id, simulator, judges, rounds, replicates, sample, plan, manifest, manifest_sha256, created_at"
)
DIALOGUES = (
    "id, tenant_id, run_id, position, character, scenario, replicate, state, turns, error, candidate_calls,"
    " candidate_prompt_tokens, candidate_completion_tokens, simulator_calls, simulator_prompt_tokens,"
    " simulator_completion_tokens, finished_at"
)
VERDICTS = (
    "id, tenant_id, run_id, dialogue_id, character, scenario, replicate, judge, state, scores, raw, error, calls,"
    " prompt_tokens, completion_tokens, finished_at"
)
SLICES = "id, run_id, expires_at, reserved_calls, reserved_tokens, reserved_cost"


def upgrade() -> None:
    """New columns, the tables of pacing and exhausted budgets, and the views that show them."""
    op.execute(
        """ALTER TABLE gateway.runs ADD budget jsonb, ADD prices jsonb, ADD retry_at timestamptz,
            ADD frozen_id uuid REFERENCES gateway.transcripts, ADD request_sha256 text"""
    )
    op.execute(
        "CREATE INDEX ix_runs_tenant_id_request_sha256 ON gateway.runs (tenant_id, request_sha256)"
        " WHERE request_sha256 IS NOT NULL"
    )
    op.execute(
        """ALTER TABLE generator.dialogues ADD attempts integer NOT NULL DEFAULT 0, ADD not_before timestamptz,
            ADD cut_replies integer NOT NULL DEFAULT 0"""
    )
    op.execute("ALTER TABLE judge.verdicts ADD not_before timestamptz")
    op.execute("DROP VIEW gateway.runs_v1")
    publish(
        "gateway", "runs", f"{RUNS}, budget, prices, retry_at, frozen_id, labels", "generator", "judge", "analytics"
    )
    op.execute("DROP VIEW generator.dialogues_v1")
    publish(
        "generator",
        "dialogues",
        f"{DIALOGUES}, attempts, cut_replies",
        "gateway",
        "judge",
        "analytics",
    )
    for schema, others in (("generator", ("judge", "gateway")), ("judge", ("generator", "gateway"))):
        _budget(schema, *others)
        _pacing(schema)
    # What the judge has spent is part of what a budget leaves to the generator.
    op.execute("DROP VIEW judge.verdicts_v1")
    publish("judge", "verdicts", VERDICTS, "gateway", "analytics", "generator")


def _budget(schema: str, *readers: str) -> None:
    op.execute(
        f"""ALTER TABLE {schema}.slices ADD reserved_calls double precision NOT NULL DEFAULT 0,
            ADD reserved_tokens double precision NOT NULL DEFAULT 0,
            ADD reserved_cost double precision NOT NULL DEFAULT 0"""
    )
    publish(schema, "slices", SLICES, *readers)
    op.execute(
        f"""CREATE TABLE {schema}.exhausted (
            run_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            revision integer NOT NULL
        )"""
    )
    own(schema, "exhausted")
    publish(schema, "exhausted", "run_id, tenant_id, revision", *readers)


def _pacing(schema: str) -> None:
    op.execute(
        f"""CREATE TABLE {schema}.pacing (
            tenant_id uuid NOT NULL,
            endpoint text NOT NULL,
            pace jsonb,
            calls_left double precision NOT NULL,
            tokens_left double precision NOT NULL,
            heard_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, endpoint)
        ) WITH (fillfactor = 50)"""
    )
    op.execute(
        f"""CREATE TABLE {schema}.seats (
            tenant_id uuid NOT NULL,
            endpoint text NOT NULL,
            worker uuid NOT NULL,
            granted integer NOT NULL,
            wanted integer NOT NULL,
            cap integer NOT NULL,
            heard_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, endpoint, worker)
        ) WITH (fillfactor = 50)"""
    )
    op.execute(
        f"""CREATE TABLE {schema}.pace_changes (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            tenant_id uuid NOT NULL,
            endpoint text NOT NULL,
            "limit" integer NOT NULL,
            cause text NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp()
        )"""
    )
    op.execute(f"CREATE INDEX ix_pace_changes_endpoint_at ON {schema}.pace_changes (tenant_id, endpoint, at)")
    for table in ("pacing", "seats", "pace_changes"):
        own(schema, table)
    publish(schema, "pace_changes", 'id, tenant_id, endpoint, "limit", cause, at', "gateway")


def downgrade() -> None:
    """Back to the views and tables of before."""
    for schema in ("generator", "judge"):
        op.execute(f"DROP TABLE {schema}.exhausted, {schema}.pacing, {schema}.seats, {schema}.pace_changes CASCADE")
        op.execute(f"DROP VIEW {schema}.slices_v1")
        op.execute(f"ALTER TABLE {schema}.slices DROP reserved_calls, DROP reserved_tokens, DROP reserved_cost")
    op.execute("DROP VIEW generator.dialogues_v1")
    op.execute("ALTER TABLE generator.dialogues DROP attempts, DROP not_before, DROP cut_replies")
    publish("generator", "dialogues", DIALOGUES, "gateway", "judge", "analytics")
    op.execute("DROP VIEW judge.verdicts_v1")
    op.execute("ALTER TABLE judge.verdicts DROP not_before")
    op.execute("REVOKE ALL ON judge.verdicts FROM esrp_generator")
    publish("judge", "verdicts", VERDICTS, "gateway", "analytics")
    op.execute("DROP VIEW gateway.runs_v1")
    op.execute("ALTER TABLE gateway.runs DROP budget, DROP prices, DROP retry_at, DROP frozen_id, DROP request_sha256")
    publish("gateway", "runs", RUNS, "generator", "judge", "analytics")
