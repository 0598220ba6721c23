"""The analytics service's queries: ratings, taken over or imported, and the reports made of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import FINAL, RaterKind
from esrp.diversity import batch_count
from esrp.stats.diversity import BatchRating
from services.analytics.imports import imported
from services.analytics.imports.diversity import BatchCell
from services.analytics.imports.imported import COUNTS, Import
from services.analytics.imports.ratings import Cell, Named
from services.analytics.records import LISTED, Faults, Wrong, refused
from services.kit.bulk import Rows, copied
from services.kit.db import count, json, row, rows

Fields: TypeAlias = RowMapping | Mapping[str, Any]

# A rating takes the place of another one that was imported, never of one that a judge gave here.
REPLACED = (
    "UPDATE SET score = excluded.score, explanation = NULL, created_at = now(), import_id = excluded.import_id"
    " WHERE r.score <> excluded.score AND r.import_id IS NOT NULL"
)
KEY = "run_id, dialogue_id, metric, rater, kind"
CELLS = f"{KEY}, character, scenario, replicate, score"
BATCH_KEY = "run_id, character, batch, rater, kind"
OF_A_RUN = tuple(
    f"analytics.{table}"
    for table in ("ratings", "reports", "diversity_ratings", "imports", "rated", "agreements", "wordings", "taken")
)
MOST_AGREEMENTS = 20  # that one look asks for: each takes a second or two of a processor


@dataclass(frozen=True, slots=True)
class Agreed:
    """Whose agreement: all ratings of a kind, by their hash."""

    kind: RaterKind
    ratings_sha256: str


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


async def finished(
    tx: AsyncConnection,
    tenant_id: UUID,
    *,
    suite: str | None = None,
    candidate: str | None = None,
    judge: str | None = None,
    most: int,
) -> list[RowMapping]:
    """The tenant's newest final runs, newest first, and whether each is ``rated``; ``suite``: a name, or a version."""
    return await rows(
        tx,
        "SELECT id, name, status, suite_id, suite_label, candidate_name, judges, labels, manifest, plan, created_at,"
        f" EXISTS (SELECT FROM analytics.ratings t WHERE t.run_id = r.id AND {COUNTS}) AS rated"
        " FROM gateway.runs_v1 r WHERE tenant_id = :tenant AND status = ANY(:final)"
        " AND (CAST(:suite AS text) IS NULL OR :suite IN (suite_label, split_part(suite_label, '@', 1)))"
        " AND (CAST(:candidate AS text) IS NULL OR candidate_name = :candidate)"
        " AND (CAST(:judge AS text) IS NULL OR :judge = ANY(judges))"
        " ORDER BY created_at DESC, id DESC LIMIT :most",
        tenant=tenant_id,
        final=list(FINAL),
        suite=suite,
        candidate=candidate,
        judge=judge,
        most=most,
    )


async def lock(tx: AsyncConnection, *run_ids: UUID) -> None:
    """Until the end of the transaction nobody else changes these runs' ratings or reports."""
    for run_id in sorted(run_ids):  # always in the same order: two imports of the same runs must not wait in a ring
        await row(tx, "SELECT pg_advisory_xact_lock(hashtextextended('analytics:' || :run, 0))", run=str(run_id))


# --- ratings ----------------------------------------------------------------------------------------------------------


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


async def judge_names(tx: AsyncConnection, tenant_id: UUID) -> list[str]:
    """Every judge that a run of the tenant has asked for."""
    found = await rows(
        tx, "SELECT DISTINCT unnest(judges) AS name FROM gateway.runs_v1 WHERE tenant_id = :tenant", tenant=tenant_id
    )
    return [r["name"] for r in found]


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


async def rated_dialogues(tx: AsyncConnection, run_id: UUID) -> list[UUID]:
    """The dialogues that have a rating, in the order of an export."""
    found = await rows(
        tx,
        "SELECT dialogue_id FROM analytics.ratings WHERE run_id = :run"
        " GROUP BY dialogue_id, character, scenario, replicate ORDER BY character, scenario, replicate, dialogue_id",
        run=run_id,
    )
    return [r["dialogue_id"] for r in found]


async def exported(tx: AsyncConnection, run_id: UUID, dialogue_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """All ratings of some of the run's dialogues, in an order that does not change."""
    found = await tx.execute(
        text(
            "SELECT run_id, dialogue_id, character, scenario, replicate, metric, rater, kind, score"
            " FROM analytics.ratings WHERE run_id = :run AND dialogue_id = ANY(CAST(:dialogues AS uuid[]))"
            " ORDER BY character, scenario, replicate, dialogue_id, metric, kind, rater"
        ),
        {"run": run_id, "dialogues": dialogue_ids},
    )
    return found.all()


async def _copy(tx: AsyncConnection, cells: Iterable[Cell] | Iterable[BatchCell], fields: tuple[str, ...]) -> None:
    columns = ", ".join(f"{name} {INCOMING.get(name, 'text')}" for name in fields)
    await tx.execute(
        text(f"CREATE TEMPORARY TABLE incoming ({columns}) ON COMMIT DROP")
    )  # this statement also begins the transaction, which SQLAlchemy does no sooner: COPY must be inside it
    connection = (await tx.get_raw_connection()).driver_connection
    assert connection is not None
    await connection.copy_records_to_table("incoming", records=cells, columns=fields)


INCOMING = {
    **dict.fromkeys(("line", "replicate", "batch"), "integer"),
    **dict.fromkeys(("run_id", "dialogue_id"), "uuid"),
    "score": "smallint",
}


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


# --- diversity --------------------------------------------------------------------------------------------------------


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


async def diversity_ratings(tx: AsyncConnection, run_id: UUID) -> list[BatchRating]:
    """The run's ratings of batches, as far as they count."""
    found = await tx.execute(
        text(
            "SELECT t.character, t.batch, t.rater, t.kind, t.score FROM analytics.diversity_ratings t"
            f" JOIN gateway.runs_v1 r ON r.id = t.run_id WHERE t.run_id = :run AND {COUNTS}"
        ),
        {"run": run_id},
    )
    return [BatchRating(*r) for r in found]


async def is_played(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether every dialogue of the run's plan has ended."""
    sql = """
        SELECT r.id FROM gateway.runs_v1 r WHERE r.id = :run AND (r.plan ->> 'dialogues')::int <= (
            SELECT sum(t.done + t.failed) FROM generator.tallies_v1 t WHERE t.run_id = r.id)"""
    return await row(tx, sql, run=run_id) is not None


async def wording(tx: AsyncConnection, run_id: UUID) -> RowMapping | None:
    """What was counted of the run's replies, and the hash of these."""
    return await row(tx, "SELECT texts_sha256, document FROM analytics.wordings WHERE run_id = :run", run=run_id)


async def save_wording(tx: AsyncConnection, run: Fields, texts_sha256: str, document: Any) -> None:
    """Keep what was counted of the run's replies."""
    await count(
        tx,
        "INSERT INTO analytics.wordings (run_id, tenant_id, texts_sha256, document)"
        " VALUES (:run, :tenant, :texts, CAST(:document AS json)) ON CONFLICT (run_id) DO UPDATE"
        " SET texts_sha256 = excluded.texts_sha256, document = excluded.document, created_at = now()",
        run=run["id"],
        tenant=run["tenant_id"],
        texts=texts_sha256,
        document=json(document),
    )


# --- what a report is made of -----------------------------------------------------------------------------------------


async def sampling(tx: AsyncConnection, run_id: UUID) -> Rows:
    """Each dialogue whose human ratings belong to a random sample, and who says so: ``random`` or ``drawn``."""
    return await copied(
        tx,
        "SELECT json_build_array(dialogue_id, min(sampling)) FROM analytics.ratings"
        f" WHERE run_id = '{run_id}' AND kind = 'human' AND sampling IS NOT NULL GROUP BY dialogue_id",
    )


async def kinds(tx: AsyncConnection, run_ids: Sequence[UUID]) -> set[RaterKind]:
    """Who rated any of the runs."""
    found = await rows(
        tx,
        "SELECT kind FROM (VALUES ('judge'), ('human')) k(kind) WHERE EXISTS (SELECT FROM analytics.ratings t"
        " JOIN gateway.runs_v1 r ON r.id = t.run_id"
        f" WHERE t.run_id = ANY(CAST(:runs AS uuid[])) AND t.kind = k.kind AND {COUNTS})",
        runs=list(run_ids),
    )
    return {r["kind"] for r in found}


async def judges(tx: AsyncConnection, run_id: UUID) -> list[str]:
    """The judges whose scores are there, by name."""
    sql = (
        "SELECT DISTINCT t.rater FROM analytics.ratings t JOIN gateway.runs_v1 r ON r.id = t.run_id"
        f" WHERE t.run_id = :run AND t.kind = 'judge' AND {COUNTS} ORDER BY t.rater"
    )
    return [r["rater"] for r in await rows(tx, sql, run=run_id)]


async def scenarios(tx: AsyncConnection, suite_id: UUID) -> Rows:
    """The suite's scenarios in its order: id, persona, emotion and location of each."""
    return await copied(
        tx,
        f"""
        SELECT json_build_object('id', s.value ->> 'id', 'persona', s.value ->> 'persona',
            'emotion', s.value ->> 'emotion', 'location', s.value ->> 'location')
        FROM gateway.suites_v1 u CROSS JOIN LATERAL
            jsonb_array_elements(coalesce(u.document -> 'scenarios', '[]')) WITH ORDINALITY s(value, place)
        WHERE u.id = '{suite_id}' ORDER BY s.place
        """,
    )


async def changes(tx: AsyncConnection, run_id: UUID) -> int:
    """How often the run's ratings have changed: what is read together with it is of that state."""
    found = await row(tx, "SELECT changes FROM analytics.rated WHERE run_id = :run", run=run_id)
    return found["changes"] if found else 0


async def dialogues(tx: AsyncConnection, run_id: UUID) -> Rows:
    """The run's dialogues: how each ended, what the candidate replied, and how its verdicts ended."""
    return await copied(
        tx,
        f"""
        SELECT to_json(x) FROM (
            SELECT d.id, d.state, d.error ->> 'code' AS error, d.scenario IS NULL AS own_log, d.position,
                d.character, d.scenario, d.replicate, jsonb_path_query_array(d.turns, '$[*].assistant') AS replies,
                v.verdicts
            FROM generator.dialogues_v1 d LEFT JOIN (
                SELECT dialogue_id, array_agg(DISTINCT coalesce(error ->> 'code', state)) AS verdicts
                FROM judge.verdicts_v1 WHERE run_id = '{run_id}' GROUP BY dialogue_id) v ON v.dialogue_id = d.id
            WHERE d.run_id = '{run_id}' ORDER BY d.position) x
        """,
    )


# --- reports ----------------------------------------------------------------------------------------------------------


async def report(tx: AsyncConnection, run_id: UUID, tenant_id: UUID | None) -> RowMapping | None:
    """A final run's stored report and the agreement of its raters as text, with what its judges' cards need.

    One without limits was written when these were sentences in it: it is made again.
    """
    return await row(
        tx,
        """
        SELECT r.id, r.tenant_id, r.status, r.judges, r.manifest, s.language, p.document::text AS document,
            p.limits::text AS limits, a.document::text AS agreement
        FROM gateway.runs_v1 r JOIN analytics.reports p ON p.run_id = r.id AND p.revision = r.revision
        JOIN gateway.suites_v1 s ON s.id = r.suite_id
        LEFT JOIN analytics.agreements a
            ON a.run_id = r.id AND a.kind = p.agreement_kind AND a.ratings_sha256 = p.agreement_sha256
        WHERE r.id = :run AND r.tenant_id = coalesce(CAST(:tenant AS uuid), r.tenant_id) AND r.status = ANY(:final)
            AND p.limits IS NOT NULL
        """,
        run=run_id,
        tenant=tenant_id,
        final=list(FINAL),
    )


async def documents(tx: AsyncConnection, run_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The stored reports of those of the final runs that have one, as text."""
    found = await rows(
        tx,
        "SELECT r.id, p.document::text AS document FROM gateway.runs_v1 r"
        " JOIN analytics.reports p ON p.run_id = r.id AND p.revision = r.revision"
        " WHERE r.id = ANY(CAST(:runs AS uuid[]))",
        runs=list(run_ids),
    )
    return {r["id"]: r["document"] for r in found}


async def reported(tx: AsyncConnection, run_ids: Sequence[UUID]) -> dict[UUID, RaterKind | None]:
    """Those of the final runs that have a stored report, and whose ratings it covers: calibrated means are judges'."""
    found = await rows(
        tx,
        "SELECT r.id, nullif(replace(p.document ->> 'raters', 'calibrated', 'judge'), '') AS raters"
        " FROM gateway.runs_v1 r JOIN analytics.reports p ON p.run_id = r.id AND p.revision = r.revision"
        " WHERE r.id = ANY(CAST(:runs AS uuid[]))",
        runs=list(run_ids),
    )
    return {r["id"]: r["raters"] for r in found}


async def is_reported(tx: AsyncConnection, run_id: UUID, revision: int) -> bool:
    """Whether the report of the run's revision, by its ratings as they are, is stored."""
    sql = "SELECT 1 FROM analytics.reports WHERE run_id = :run AND revision = :revision"
    return await row(tx, sql, run=run_id, revision=revision) is not None


async def save_report(
    tx: AsyncConnection,
    run: Fields,
    document: bytes,
    limits: bytes,
    ratings_sha256: str,
    sha256: str,
    agreed: Agreed | None,
) -> None:
    """Keep the report of the run's revision, in place of any before; a reader of an old revision comes too late."""
    await count(
        tx,
        "INSERT INTO analytics.reports (run_id, tenant_id, revision, ratings_sha256, document, limits, sha256,"
        " agreement_kind, agreement_sha256) VALUES (:run, :tenant, :revision, :ratings, CAST(:document AS json),"
        " CAST(:limits AS json), :sha256, :kind, :agreement)"
        " ON CONFLICT (run_id) DO UPDATE SET revision = excluded.revision, ratings_sha256 = excluded.ratings_sha256,"
        " document = excluded.document, limits = excluded.limits, sha256 = excluded.sha256,"
        " agreement_kind = excluded.agreement_kind, agreement_sha256 = excluded.agreement_sha256, created_at = now()"
        " WHERE reports.revision <= excluded.revision",
        run=run["id"],
        tenant=run["tenant_id"],
        revision=run["revision"],
        ratings=ratings_sha256,
        document=document.decode(),
        limits=limits.decode(),
        sha256=sha256,
        kind=agreed.kind if agreed else None,
        agreement=agreed.ratings_sha256 if agreed else None,
    )


async def drop_reports(tx: AsyncConnection, run_ids: Sequence[UUID]) -> None:
    """The runs' ratings changed: their reports say nothing any more, and their agreement is to be computed anew."""
    if not run_ids:
        return
    await count(tx, "DELETE FROM analytics.reports WHERE run_id = ANY(CAST(:runs AS uuid[]))", runs=list(run_ids))
    await count(
        tx,
        "INSERT INTO analytics.rated (run_id, tenant_id) SELECT id, tenant_id FROM gateway.runs_v1"
        " WHERE id = ANY(CAST(:runs AS uuid[])) ON CONFLICT (run_id) DO UPDATE SET changes = rated.changes + 1",
        runs=list(run_ids),
    )


# --- agreement --------------------------------------------------------------------------------------------------------


async def agreement(tx: AsyncConnection, run_id: UUID, agreed: Agreed) -> dict[str, Any] | None:
    """The stored agreement of raters of that kind, if it is that of these ratings."""
    found = await row(
        tx,
        "SELECT document FROM analytics.agreements WHERE run_id = :run AND kind = :kind AND ratings_sha256 = :ratings",
        run=run_id,
        kind=agreed.kind,
        ratings=agreed.ratings_sha256,
    )
    return found["document"] if found else None


async def agreed(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether the agreement of the run's ratings as they are now is known."""
    found = await row(tx, "SELECT agreed >= changes AS known FROM analytics.rated WHERE run_id = :run", run=run_id)
    return found is None or bool(found["known"])


async def save_agreement(tx: AsyncConnection, run: Fields, of: Agreed, document: Any) -> None:
    """Keep the agreement of these ratings."""
    await count(
        tx,
        "INSERT INTO analytics.agreements (run_id, kind, tenant_id, ratings_sha256, document)"
        " VALUES (:run, :kind, :tenant, :ratings, CAST(:document AS json)) ON CONFLICT (run_id, kind) DO UPDATE"
        " SET ratings_sha256 = excluded.ratings_sha256, document = excluded.document, created_at = now()",
        run=run["id"],
        kind=of.kind,
        tenant=run["tenant_id"],
        ratings=of.ratings_sha256,
        document=json(document),
    )


async def mark_agreed(tx: AsyncConnection, run_id: UUID, at: int) -> None:
    """The agreement of the run's ratings after so many changes is stored."""
    await count(
        tx,
        "UPDATE analytics.rated SET agreed = greatest(agreed, :at) WHERE run_id = :run",
        run=run_id,
        at=at,
    )


# --- work -------------------------------------------------------------------------------------------------------------


async def without_agreement(tx: AsyncConnection) -> list[UUID]:
    """Final runs whose ratings changed since their agreement was computed; those that changed first."""
    found = await rows(
        tx,
        "SELECT a.run_id FROM analytics.rated a JOIN gateway.runs_v1 r ON r.id = a.run_id"
        " WHERE a.agreed < a.changes AND r.status = ANY(:final) ORDER BY a.run_id LIMIT :most",
        final=list(FINAL),
        most=MOST_AGREEMENTS,
    )
    return [r["run_id"] for r in found]
