"""all: what is done is counted where it happens, and readers take over what changed since they last looked"""

from alembic import op

from migrations.publish import own, publish

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

SHARDS = 8  # rows that a run's counters are spread over, so that workers who save at the same moment seldom wait

DIALOGUES = (
    "id, tenant_id, run_id, position, character, scenario, replicate, state, turns, error, candidate_calls,"
    " candidate_prompt_tokens, candidate_completion_tokens, simulator_calls, simulator_prompt_tokens,"
    " simulator_completion_tokens, finished_at, attempts, cut_replies"
)
VERDICTS = (
    "id, tenant_id, run_id, dialogue_id, character, scenario, replicate, judge, state, scores, raw, error, calls,"
    " prompt_tokens, completion_tokens, finished_at"
)
BATCHES = (
    "id, tenant_id, run_id, character, batch, judge, replies, state, score, explanation, raw, error, calls,"
    " prompt_tokens, completion_tokens, finished_at"
)
SPENT = ("calls", "prompt_tokens", "completion_tokens")
OF_DIALOGUES = {
    "written": "1",
    "done": "(state = 'done')::int",
    "failed": "(state = 'failed')::int",
    "cut_replies": "cut_replies",
    **{f"{role}_{part}": f"{role}_{part}" for role in ("candidate", "simulator") for part in SPENT},
}
OF_VERDICTS = {"done": "(state = 'done')::int", "failed": "(state = 'failed')::int", **{part: part for part in SPENT}}
OF_BATCHES = {"batches_failed": "(state = 'failed')::int", **{part: part for part in SPENT}}
OF_JUDGES = ("done", "failed", "batches_failed", *SPENT)

ENDED = "state IN ('done', 'failed', 'outdated')"
TABLES = ("generator.dialogues", "judge.verdicts", "judge.diversity_verdicts")


def upgrade() -> None:
    """Counters by run, kept by the tables themselves; and for each row the transaction that ended it."""
    _tallies("generator", ("run_id",), tuple(OF_DIALOGUES), "gateway", "judge", "analytics")
    _tallies("judge", ("run_id", "judge"), OF_JUDGES, "gateway", "generator", "analytics")
    _count("generator", "dialogues", ("run_id",), OF_DIALOGUES)
    _count("judge", "verdicts", ("run_id", "judge"), OF_VERDICTS)
    _count("judge", "diversity_verdicts", ("run_id", "judge"), OF_BATCHES)
    for table in TABLES:
        schema, _, name = table.partition(".")
        op.execute(f"ALTER TABLE {table} ADD changed_in xid8")
        op.execute(
            f"UPDATE {table} t SET changed_in = pg_current_xact_id() FROM gateway.runs r"
            f" WHERE r.status IN ('queued', 'running', 'cancelling') AND r.id = t.run_id AND t.{ENDED}"
        )
        _note_changes(schema, name)
        op.execute(f"CREATE INDEX ix_{name}_changed ON {table} (run_id, changed_in) WHERE changed_in IS NOT NULL")
        op.execute(f"CREATE INDEX ix_{name}_failed ON {table} (run_id, finished_at) WHERE state = 'failed'")
    for name in ("verdicts", "diversity_verdicts"):
        op.execute(f"DROP INDEX judge.ix_{name}_open")
        op.execute(
            f"CREATE INDEX ix_{name}_open ON judge.{name} (run_id, judge, id) WHERE state IN ('waiting', 'rating')"
        )
    op.execute("CREATE INDEX ix_slices_expires_at ON generator.slices (expires_at)")
    op.execute("CREATE INDEX ix_slices_expires_at ON judge.slices (expires_at)")
    _watermark("judge", "expected")
    _watermark("analytics", "taken")
    op.execute("ALTER TABLE gateway.runs ADD followed xid8 NOT NULL DEFAULT '0'")
    _publish(", changed_in")
    # Analytics sees by itself when all is rated.
    op.execute("GRANT SELECT (run_id, tenant_id, revision) ON judge.diversity_plans TO esrp_analytics")
    op.execute("GRANT SELECT ON judge.diversity_plans_v1 TO esrp_analytics")


def downgrade() -> None:
    """Back to counting at each read."""
    op.execute("REVOKE ALL ON judge.diversity_plans, judge.diversity_plans_v1 FROM esrp_analytics")
    op.execute("REVOKE SELECT (run_id, tenant_id, revision) ON judge.diversity_plans FROM esrp_analytics")
    _publish("")
    op.execute("ALTER TABLE gateway.runs DROP followed")
    op.execute("DROP TABLE judge.expected, analytics.taken")
    op.execute("DROP INDEX generator.ix_slices_expires_at, judge.ix_slices_expires_at")
    for name in ("verdicts", "diversity_verdicts"):
        op.execute(f"DROP INDEX judge.ix_{name}_open")
        op.execute(f"CREATE INDEX ix_{name}_open ON judge.{name} (judge) WHERE state IN ('waiting', 'rating')")
    for table in TABLES:
        schema, _, name = table.partition(".")
        op.execute(f"DROP TRIGGER note_change ON {table}")
        op.execute(f"DROP FUNCTION {schema}.note_change_{name}()")
        op.execute(f"DROP INDEX {schema}.ix_{name}_failed")
        op.execute(f"ALTER TABLE {table} DROP changed_in")
        op.execute(f"DROP TRIGGER tally_insert ON {table}")
        op.execute(f"DROP TRIGGER tally_update ON {table}")
        op.execute(f"DROP FUNCTION {schema}.tally_{name}()")
    op.execute("DROP TABLE generator.tallies, judge.tallies CASCADE")


def _tallies(schema: str, key: tuple[str, ...], counters: tuple[str, ...], *readers: str) -> None:
    columns = ", ".join(f"{name} bigint NOT NULL DEFAULT 0" for name in counters)
    keys = ", ".join(f"{name} {'uuid' if name == 'run_id' else 'text'} NOT NULL" for name in key)
    op.execute(
        f"""CREATE TABLE {schema}.tallies ({keys}, shard smallint NOT NULL, tenant_id uuid NOT NULL, {columns},
            PRIMARY KEY ({", ".join(key)}, shard)) WITH (fillfactor = 50)"""
    )
    own(schema, "tallies")
    publish(schema, "tallies", ", ".join((*key, "tenant_id", *counters)), *readers)


def _count(schema: str, table: str, key: tuple[str, ...], counters: dict[str, str]) -> None:
    """Have the table count itself: a statement adds what its rows are now and takes off what they were.

    Rows are deleted with their run, and its counters with them: there is no trigger for that.
    """
    keys, names = ", ".join(key), ", ".join(counters)
    added = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in counters)
    sums = ", ".join(f"sum({name})::bigint" for name in counters)
    some = " OR ".join(f"sum({name}) <> 0" for name in counters)

    def counted(rows: str) -> str:
        return f"""INSERT INTO {schema}.tallies AS t ({keys}, shard, tenant_id, {names})
            SELECT {keys}, pg_backend_pid() % {SHARDS}, tenant_id, {sums} FROM ({rows}) x
            GROUP BY {keys}, tenant_id HAVING {some} ORDER BY {keys}
            ON CONFLICT ({keys}, shard) DO UPDATE SET {added}"""

    def of(source: str, sign: str = "") -> str:
        return f"SELECT {keys}, tenant_id, {', '.join(f'{sign}{sql} AS {name}' for name, sql in counters.items())}" + (
            f" FROM {source}"
        )

    op.execute(
        f"""CREATE FUNCTION {schema}.tally_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN {counted(of("added"))};
            ELSE {counted(of("added") + " UNION ALL " + of("removed", "-"))};
            END IF;
            RETURN NULL;
        END $$"""
    )
    op.execute(counted(of(f"{schema}.{table}")))
    op.execute(
        f"CREATE TRIGGER tally_insert AFTER INSERT ON {schema}.{table} REFERENCING NEW TABLE AS added"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {schema}.tally_{table}()"
    )
    op.execute(
        f"CREATE TRIGGER tally_update AFTER UPDATE ON {schema}.{table}"
        f" REFERENCING NEW TABLE AS added OLD TABLE AS removed"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {schema}.tally_{table}()"
    )


def _note_changes(schema: str, table: str) -> None:
    """Have each row that ended say in which transaction it was written last."""
    op.execute(
        f"""CREATE FUNCTION {schema}.note_change_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.changed_in = pg_current_xact_id();
            RETURN NEW;
        END $$"""
    )
    op.execute(
        f"CREATE TRIGGER note_change BEFORE INSERT OR UPDATE ON {schema}.{table} FOR EACH ROW"
        f" WHEN (NEW.{ENDED}) EXECUTE FUNCTION {schema}.note_change_{table}()"
    )


def _watermark(schema: str, table: str) -> None:
    """Up to which transaction the schema's service has taken over what others publish of a run."""
    op.execute(
        f"CREATE TABLE {schema}.{table} (run_id uuid PRIMARY KEY, tenant_id uuid NOT NULL, upto xid8 NOT NULL)"
        " WITH (fillfactor = 50)"
    )
    own(schema, table)


def _publish(more: str) -> None:
    op.execute("DROP VIEW generator.dialogues_v1")
    publish("generator", "dialogues", DIALOGUES + more, "gateway", "judge", "analytics")
    op.execute("DROP VIEW judge.verdicts_v1")
    publish("judge", "verdicts", VERDICTS + more, "gateway", "analytics", "generator")
    op.execute("DROP VIEW judge.diversity_verdicts_v1")
    publish("judge", "diversity_verdicts", BATCHES + more, "gateway", "analytics", "generator")
