"""analytics: every import of ratings is kept, and a rating says which import it came with"""

from alembic import op

from migrations.publish import own

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = {"ratings": "dialogue", "diversity_ratings": "batch"}

# Until now an import could overwrite what a judge of the service had said. Its verdict is still there.
MEND = """
    WITH mended AS (
        UPDATE analytics.ratings t
        SET score = (v.scores -> t.metric ->> 'score')::smallint, explanation = v.scores -> t.metric ->> 'explanation'
        FROM judge.verdicts v
        WHERE v.run_id = t.run_id AND v.dialogue_id = t.dialogue_id AND v.judge = t.rater AND v.state = 'done'
            AND t.kind = 'judge' AND (v.scores -> t.metric ->> 'score')::smallint <> t.score
        RETURNING t.run_id
    ), mended_batches AS (
        UPDATE analytics.diversity_ratings t SET score = v.score, explanation = v.explanation
        FROM judge.diversity_verdicts v
        WHERE v.run_id = t.run_id AND v.character = t.character AND v.batch = t.batch AND v.judge = t.rater
            AND v.state = 'done' AND t.kind = 'judge' AND v.score <> t.score
        RETURNING t.run_id
    ), runs AS (
        SELECT run_id FROM mended UNION SELECT run_id FROM mended_batches
    ), outdated AS (
        DELETE FROM analytics.reports p USING runs WHERE p.run_id = runs.run_id
    )
    UPDATE analytics.rated a SET changes = changes + 1 FROM runs WHERE a.run_id = runs.run_id
"""

OWN = {
    "ratings": """
        SELECT FROM judge.verdicts v WHERE v.run_id = t.run_id AND v.dialogue_id = t.dialogue_id
            AND v.judge = t.rater AND v.state = 'done' AND v.scores -> t.metric IS NOT NULL""",
    "diversity_ratings": """
        SELECT FROM judge.diversity_verdicts v WHERE v.run_id = t.run_id AND v.character = t.character
            AND v.batch = t.batch AND v.judge = t.rater AND v.score IS NOT NULL""",
}

# What judges did not say here was imported. Whose key that was nobody knows any more.
KNOW = """
    WITH made AS (
        INSERT INTO analytics.imports (run_id, import_id, tenant_id, unit, rater, kind, rows, sampling, at)
        SELECT t.run_id, gen_random_uuid(), t.tenant_id, '{unit}', t.rater, t.kind, count(*), {sampling},
            max(t.created_at)
        FROM analytics.{table} t WHERE t.kind = 'human' OR NOT EXISTS ({own})
        GROUP BY t.run_id, t.tenant_id, t.rater, t.kind
        RETURNING *
    )
    UPDATE analytics.{table} t SET import_id = m.import_id FROM made m
    WHERE t.run_id = m.run_id AND t.rater = m.rater AND t.kind = m.kind AND (t.kind = 'human' OR NOT EXISTS ({own}))
"""

# Imported ratings of judges count no more in a run that has judges of its own: its report is made anew.
RECOUNT = """
    WITH runs AS (
        SELECT DISTINCT i.run_id FROM analytics.imports i JOIN gateway.runs r ON r.id = i.run_id
        WHERE i.kind = 'judge' AND r.judges <> '{}'
    ), outdated AS (
        DELETE FROM analytics.reports p USING runs WHERE p.run_id = runs.run_id
    )
    UPDATE analytics.rated a SET changes = changes + 1 FROM runs WHERE a.run_id = runs.run_id
"""


def upgrade() -> None:
    """The imports; those that were made before as far as they can be told, without what they did to judges' scores."""
    op.execute(
        """CREATE TABLE analytics.imports (
            run_id uuid NOT NULL,
            import_id uuid NOT NULL,
            tenant_id uuid NOT NULL,
            unit text NOT NULL CONSTRAINT ck_imports_unit CHECK (unit IN ('dialogue', 'batch')),
            rater text NOT NULL,
            kind text NOT NULL CONSTRAINT ck_imports_kind CHECK (kind IN ('judge', 'human')),
            rows integer NOT NULL,
            replaced integer NOT NULL DEFAULT 0,
            sampling text,
            key_id uuid,
            key_name text,
            at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (run_id, import_id, rater, kind)
        )"""
    )
    own("analytics", "imports")
    op.execute(MEND)
    for table, unit in TABLES.items():
        op.execute(f"ALTER TABLE analytics.{table} ADD import_id uuid")
        sampling = "max(t.sampling)" if table == "ratings" else "NULL"
        op.execute(KNOW.format(table=table, unit=unit, sampling=sampling, own=OWN[table]))
    op.execute(RECOUNT)
    op.execute(
        "CREATE INDEX ix_ratings_imported_judges ON analytics.ratings (run_id)"
        " WHERE kind = 'judge' AND import_id IS NOT NULL"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX analytics.ix_ratings_imported_judges")
    for table in TABLES:
        op.execute(f"ALTER TABLE analytics.{table} DROP import_id")
    op.execute("DROP TABLE analytics.imports")
