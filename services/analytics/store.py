"""The analytics service's queries: ratings, taken over or imported, and the reports made of them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.stats import Rating
from services.analytics.ratings import LISTED, Cell, Named, Wrong, refused
from services.kit.db import count, json, row, rows

KEY = "run_id, dialogue_id, metric, rater, kind"
CELLS = f"{KEY}, character, scenario, replicate, score"


async def run(tx: AsyncConnection, run_id: UUID, tenant_id: UUID | None = None) -> RowMapping | None:
    """The run as the gateway publishes it, with what a report says of its suite."""
    return await row(
        tx,
        "SELECT r.*, s.sha256 AS suite_sha256, s.language, coalesce((s.document ->> 'experimental')::boolean, false)"
        " AS experimental FROM gateway.runs_v1 r JOIN gateway.suites_v1 s ON s.id = r.suite_id"
        " WHERE r.id = :run AND r.tenant_id = coalesce(CAST(:tenant AS uuid), r.tenant_id)",
        run=run_id,
        tenant=tenant_id,
    )


async def lock(tx: AsyncConnection, *run_ids: UUID) -> None:
    """Until the end of the transaction nobody else changes these runs' ratings or reports."""
    for run_id in sorted(run_ids):  # always in the same order: two imports of the same runs must not wait in a ring
        await row(tx, "SELECT pg_advisory_xact_lock(hashtextextended('analytics:' || :run, 0))", run=str(run_id))


# --- ratings ----------------------------------------------------------------------------------------------------------


async def add_from_verdicts(tx: AsyncConnection, run_id: UUID) -> int:
    """Take over every score of the run's verdicts that is not here yet; returns how many were not."""
    return await count(
        tx,
        f"""
        INSERT INTO analytics.ratings (tenant_id, {CELLS}, explanation)
        SELECT v.tenant_id, v.run_id, v.dialogue_id, s.key, v.judge, 'judge', v.character, v.scenario, v.replicate,
            (s.value ->> 'score')::smallint, s.value ->> 'explanation'
        FROM judge.verdicts_v1 v CROSS JOIN LATERAL jsonb_each(v.scores) s
        WHERE v.run_id = :run AND v.state = 'done'
        ON CONFLICT ({KEY}) DO NOTHING
        """,
        run=run_id,
    )


async def dialogues_of(
    tx: AsyncConnection, tenant_id: UUID, run_ids: Sequence[UUID]
) -> dict[UUID, dict[tuple[str, str | None], list[Named]]]:
    """The dialogues of those of the runs that are the tenant's, by character and scenario."""
    found = await rows(
        tx,
        "SELECT r.id AS run_id, d.id, d.character, d.scenario, d.replicate"
        " FROM gateway.runs_v1 r LEFT JOIN generator.dialogues_v1 d ON d.run_id = r.id"
        " WHERE r.tenant_id = :tenant AND r.id = ANY(CAST(:runs AS uuid[]))",
        tenant=tenant_id,
        runs=list(run_ids),
    )
    dialogues: dict[UUID, dict[tuple[str, str | None], list[Named]]] = defaultdict(lambda: defaultdict(list))
    for r in found:
        if r["id"] is None:
            dialogues[r["run_id"]] = {}
        else:
            dialogues[r["run_id"]][r["character"], r["scenario"]].append(Named(r["id"], r["replicate"]))
    return dialogues


async def import_cells(tx: AsyncConnection, tenant_id: UUID, cells: Sequence[Cell], *, replace: bool) -> int:
    """Store the (locked) runs' cells; returns how many are new or changed, the others were there already.

    A cell with another score is replaced or, without ``replace``, ``InvalidInput`` with its line. Reports of runs
    whose ratings changed are dropped. COPY is twice as fast as the next best way to bring in a full study.
    """
    await _copy(tx, cells)
    if not replace:
        await _refuse_other_scores(tx)
    outcome = (
        "DO UPDATE SET score = excluded.score, explanation = NULL, created_at = now()" if replace else "DO NOTHING"
    )
    changed = await rows(
        tx,
        f"""
        WITH stored AS (
            INSERT INTO analytics.ratings AS r (tenant_id, {CELLS}) SELECT :tenant, {CELLS} FROM incoming
            ON CONFLICT ({KEY}) {outcome} {"WHERE r.score <> excluded.score" if replace else ""} RETURNING r.run_id)
        SELECT run_id, count(*) AS stored FROM stored GROUP BY run_id
        """,
        tenant=tenant_id,
    )
    await drop_reports(tx, [r["run_id"] for r in changed])
    return sum(r["stored"] for r in changed)


async def exported(tx: AsyncConnection, run_id: UUID) -> AsyncIterator[Sequence[Row[Any]]]:
    """The run's ratings in parts, in an order that does not change."""
    found = await tx.stream(
        text(
            "SELECT run_id, dialogue_id, character, scenario, replicate, metric, rater, kind, score"
            " FROM analytics.ratings WHERE run_id = :run"
            " ORDER BY character, scenario, replicate, dialogue_id, metric, kind, rater"
        ),
        {"run": run_id},
    )
    async for part in found.partitions(2000):
        yield part


async def _copy(tx: AsyncConnection, cells: Iterable[Cell]) -> None:
    await tx.execute(
        text(
            "CREATE TEMPORARY TABLE incoming (line integer, run_id uuid, dialogue_id uuid, character text,"
            " scenario text, replicate integer, metric text, rater text, kind text, score smallint) ON COMMIT DROP"
        )
    )  # this statement also begins the transaction, which SQLAlchemy does no sooner: COPY must be inside it
    connection = (await tx.get_raw_connection()).driver_connection
    assert connection is not None
    await connection.copy_records_to_table("incoming", records=cells, columns=Cell._fields)


async def _refuse_other_scores(tx: AsyncConnection) -> None:
    wrong = await rows(
        tx,
        f"SELECT i.line, i.score, r.score AS stored FROM incoming i JOIN analytics.ratings r USING ({KEY})"
        " WHERE i.score <> r.score ORDER BY i.line LIMIT :listed",
        listed=LISTED,
    )
    if wrong:
        what = "the score is {score}, and {stored} is stored for the same cell and rater; ?replace=true replaces it"
        raise refused(Wrong(r["line"], what.format(**r)) for r in wrong)


# --- what a report is made of -----------------------------------------------------------------------------------------


async def kinds(tx: AsyncConnection, run_id: UUID) -> set[str]:
    """The kinds of raters that rated the run."""
    return {
        r["kind"] for r in await rows(tx, "SELECT DISTINCT kind FROM analytics.ratings WHERE run_id = :run", run=run_id)
    }


async def ratings(tx: AsyncConnection, run_id: UUID, kind: str) -> list[Rating]:
    """The run's ratings by raters of that kind."""
    found = await tx.execute(
        text(
            "SELECT dialogue_id::text, character, scenario, metric, rater, kind, score"
            " FROM analytics.ratings WHERE run_id = :run AND kind = :kind"
        ),
        {"run": run_id, "kind": kind},
    )
    return [Rating(*r) for r in found]


async def dialogues(tx: AsyncConnection, run_id: UUID) -> list[RowMapping]:
    """The run's dialogues: how each ended, what the candidate replied, and how its verdicts ended."""
    return await rows(
        tx,
        """
        SELECT d.id::text, d.state, d.error ->> 'code' AS error, d.scenario IS NULL AS own_log,
            jsonb_path_query_array(d.turns, '$[*].assistant') AS replies,
            (SELECT array_agg(coalesce(v.error ->> 'code', v.state)) FROM judge.verdicts_v1 v
             WHERE v.run_id = d.run_id AND v.dialogue_id = d.id) AS verdicts
        FROM generator.dialogues_v1 d WHERE d.run_id = :run
        """,
        run=run_id,
    )


# --- reports ----------------------------------------------------------------------------------------------------------


async def report(tx: AsyncConnection, run: RowMapping) -> dict[str, Any] | None:
    """The stored report of the run's revision."""
    found = await row(
        tx,
        "SELECT document FROM analytics.reports WHERE run_id = :run AND revision = :revision",
        run=run["id"],
        revision=run["revision"],
    )
    return found["document"] if found else None


async def save_report(tx: AsyncConnection, run: RowMapping, document: dict[str, Any], ratings_sha256: str) -> None:
    """Keep the report of the run's revision, in place of any before; a reader of an old revision comes too late."""
    await count(
        tx,
        "INSERT INTO analytics.reports (run_id, tenant_id, revision, ratings_sha256, document, sha256)"
        " VALUES (:run, :tenant, :revision, :ratings, CAST(:document AS jsonb), :sha256)"
        " ON CONFLICT (run_id) DO UPDATE SET revision = excluded.revision, ratings_sha256 = excluded.ratings_sha256,"
        " document = excluded.document, sha256 = excluded.sha256, created_at = now()"
        " WHERE reports.revision <= excluded.revision",
        run=run["id"],
        tenant=run["tenant_id"],
        revision=run["revision"],
        ratings=ratings_sha256,
        document=json(document),
        sha256=document["sha256"],
    )


async def drop_reports(tx: AsyncConnection, run_ids: Sequence[UUID]) -> None:
    """The runs' ratings changed: their reports say nothing any more."""
    await count(tx, "DELETE FROM analytics.reports WHERE run_id = ANY(CAST(:runs AS uuid[]))", runs=list(run_ids))


async def open_work(tx: AsyncConnection) -> list[RowMapping]:
    """Open runs that want something of us: ``unstored`` scores of verdicts, or a report (``unsummarised``)."""
    return await rows(
        tx,
        """
        SELECT * FROM (
            SELECT r.id,
                r.phase = 'analysing' AND NOT EXISTS (
                    SELECT FROM analytics.reports p WHERE p.run_id = r.id AND p.revision = r.revision) AS unsummarised,
                EXISTS (
                    SELECT FROM judge.verdicts_v1 v WHERE v.run_id = r.id AND v.state = 'done' AND v.scores <> '{}'
                    AND NOT EXISTS (
                        SELECT FROM analytics.ratings t WHERE t.run_id = r.id AND t.dialogue_id = v.dialogue_id
                        AND t.rater = v.judge AND t.kind = 'judge')) AS unstored
            FROM gateway.runs_v1 r WHERE r.status IN ('queued', 'running', 'cancelling')) w
        WHERE unsummarised OR unstored
        """,
    )
