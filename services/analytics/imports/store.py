"""The queries of imports: what a file's lines may mean, and its ratings stored together."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.diversity import batch_count
from services.analytics.imports import imported
from services.analytics.imports.diversity import BatchCell
from services.analytics.imports.imported import Import
from services.analytics.imports.ratings import Cell, Named
from services.analytics.rated import drop_reports
from services.analytics.records import LISTED, Faults, Wrong, refused
from services.kit.db import rows

# A rating takes the place of another one that was imported, never of one that a judge gave here.
REPLACED = (
    "UPDATE SET score = excluded.score, explanation = NULL, created_at = now(), import_id = excluded.import_id"
    " WHERE r.score <> excluded.score AND r.import_id IS NOT NULL"
)
KEY = "run_id, dialogue_id, metric, rater, kind"
CELLS = f"{KEY}, character, scenario, replicate, score"
BATCH_KEY = "run_id, character, batch, rater, kind"
INCOMING = {
    **dict.fromkeys(("line", "replicate", "batch"), "integer"),
    **dict.fromkeys(("run_id", "dialogue_id"), "uuid"),
    "score": "smallint",
}


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


async def batches_of(tx: AsyncConnection, tenant_id: UUID, run_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """How many batches each character of those of the runs has that are the tenant's."""
    found = await rows(
        tx,
        """
        SELECT r.id AS run_id, d.character, count(t.reply) FILTER (WHERE t.reply ~ '\\S') AS replies
        FROM gateway.runs_v1 r LEFT JOIN generator.dialogues_v1 d
            ON d.run_id = r.id AND d.state = 'done'
        LEFT JOIN LATERAL (SELECT turn ->> 'assistant' AS reply FROM jsonb_array_elements(d.turns) turn) t ON true
        WHERE r.tenant_id = :tenant AND r.id = ANY(CAST(:runs AS uuid[])) GROUP BY r.id, d.character
        """,
        tenant=tenant_id,
        runs=list(run_ids),
    )
    batches: dict[UUID, dict[str, int]] = defaultdict(dict)
    for r in found:
        batches[r["run_id"]] |= {r["character"]: batch_count(r["replies"])} if r["character"] is not None else {}
    return batches


async def import_cells(
    tx: AsyncConnection,
    tenant_id: UUID,
    given: Import,
    cells: Sequence[Cell],
    *,
    replace: bool,
    sampling: str | None = None,
) -> dict[UUID, int]:
    """Store the (locked) runs' cells; returns how many of each run are new or changed, the others were there already.

    A cell with another score is replaced or, without ``replace``, ``InvalidInput`` with its line; what was not imported
    is never replaced. ``sampling`` is kept with all cells, also those that were there. Reports of runs whose ratings
    changed are dropped. COPY is twice as fast as the next best way to bring in a full study.
    """
    await _copy(tx, cells, Cell._fields)
    stored = await rows(
        tx,
        f"""
        WITH stored AS (
            INSERT INTO analytics.ratings AS r (tenant_id, {CELLS}, sampling, import_id)
            SELECT :tenant, {CELLS}, CAST(:sampling AS text), :import FROM incoming
            ON CONFLICT ({KEY}) DO {REPLACED if replace else "NOTHING"}
            RETURNING r.run_id, r.rater, r.kind, r.xmax <> 0 AS replaced)
        {imported.kept("dialogue")}
        """,
        **imported.values(given, tenant_id, sampling),
    )
    found = {r["run_id"]: r["stored"] for r in stored}
    if not replace and sum(found.values()) < len(cells):  # where all are new, none can contradict
        await _refuse_other_scores(tx, "ratings", KEY, "cell")
    declared = await _declare(tx, tenant_id, given, sampling) if sampling else set()
    await drop_reports(tx, sorted(declared | set(found)))
    return found


async def import_batches(
    tx: AsyncConnection, tenant_id: UUID, given: Import, cells: Sequence[BatchCell], *, replace: bool
) -> dict[UUID, int]:
    """Store the (locked) runs' ratings of batches, as ``import_cells`` does."""
    await _copy(tx, cells, BatchCell._fields)
    if not replace:
        await _refuse_other_scores(tx, "diversity_ratings", BATCH_KEY, "batch")
    stored = await rows(
        tx,
        f"""
        WITH stored AS (
            INSERT INTO analytics.diversity_ratings AS r (tenant_id, {BATCH_KEY}, score, import_id)
            SELECT :tenant, {BATCH_KEY}, score, :import FROM incoming
            ON CONFLICT ({BATCH_KEY}) DO {REPLACED if replace else "NOTHING"}
            RETURNING r.run_id, r.rater, r.kind, r.xmax <> 0 AS replaced)
        {imported.kept("batch")}
        """,
        **imported.values(given, tenant_id, None),
    )
    found = {r["run_id"]: r["stored"] for r in stored}
    await drop_reports(tx, sorted(found))
    return found


async def _declare(tx: AsyncConnection, tenant_id: UUID, given: Import, sampling: str) -> set[UUID]:
    """Say of all incoming cells how their dialogues were chosen; the runs for which that is news."""
    changed = await rows(
        tx,
        f"""
        WITH declared AS (
            UPDATE analytics.ratings r SET sampling = :sampling FROM incoming i
            WHERE {" AND ".join(f"r.{name} = i.{name}" for name in KEY.split(", "))}
                AND r.import_id IS NOT NULL AND r.sampling IS DISTINCT FROM :sampling
            RETURNING r.run_id, r.rater, r.kind)
        {imported.DECLARED}
        """,
        **imported.values(given, tenant_id, sampling),
    )
    return {r["run_id"] for r in changed}


async def _copy(tx: AsyncConnection, cells: Iterable[Cell] | Iterable[BatchCell], fields: tuple[str, ...]) -> None:
    columns = ", ".join(f"{name} {INCOMING.get(name, 'text')}" for name in fields)
    await tx.execute(
        text(f"CREATE TEMPORARY TABLE incoming ({columns}) ON COMMIT DROP")
    )  # this statement also begins the transaction, which SQLAlchemy does no sooner: COPY must be inside it
    connection = (await tx.get_raw_connection()).driver_connection
    assert connection is not None
    await connection.copy_records_to_table("incoming", records=cells, columns=fields)


async def _refuse_other_scores(tx: AsyncConnection, table: str, key: str, what_: str) -> None:
    wrong = await rows(
        tx,
        f"SELECT i.line, i.score, r.score AS stored FROM incoming i JOIN analytics.{table} r USING ({key})"
        " WHERE i.score <> r.score ORDER BY i.line LIMIT :listed",
        listed=LISTED,
    )
    if wrong:
        what = f"the score is {{score}}, and {{stored}} is stored for the same {what_} and rater;"
        what += " ?replace=true replaces it"
        raise refused(Faults(Wrong(r["line"], what.format(**r)) for r in wrong))
