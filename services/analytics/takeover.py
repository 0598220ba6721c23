"""What judges said is taken over as it comes: what changed since the last look, and nothing else."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.analytics.imports.store import BATCH_KEY, CELLS, KEY
from services.kit.db import count, many, row
from services.work import watermark
from services.work.watermark import changed, since

TAKEN = "analytics.taken"


@dataclass(frozen=True, slots=True)
class Taken:
    """How many ratings of dialogues, and of batches, are new, changed or gone."""

    ratings: int = 0
    batches: int = 0

    def __bool__(self) -> bool:
        """Whether anything has changed."""
        return self.ratings + self.batches > 0


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that is not final: whether scores of its judges are not here yet, and whether its report is to be made."""

    id: UUID
    unstored: bool
    unsummarised: bool | None


async def take_over(tx: AsyncConnection, run_id: UUID) -> Taken:
    """Take over every score of the (locked) run's verdicts that is not here yet.

    A batch whose replies are no longer the run's has no score any more.
    """
    run = await row(tx, "SELECT tenant_id FROM gateway.runs_v1 WHERE id = :run", run=run_id)
    if run is None:
        return Taken()
    looked = await watermark.look(tx, TAKEN, run_id)
    await _make_way(tx, run_id, looked.since)
    taken = Taken(
        await _add_ratings(tx, run_id, looked.since),
        await _add_batches(tx, run_id, looked.since) + await _drop_outdated(tx, run_id, looked.since),
    )
    await watermark.seen(tx, TAKEN, run_id, run["tenant_id"], looked)
    return taken


async def is_rated(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether every dialogue of the run has ended and every judge has said what it will.

    Of a run that was told to try again the gateway says so.
    """
    return await row(tx, _RATED, run=run_id) is not None


async def open_work(tx: AsyncConnection) -> list[OpenRun]:
    """Open runs that want something of us."""
    return await many(
        tx,
        OpenRun,
        f"""
        SELECT * FROM (
            SELECT r.id, {_LEFT} AS unstored, r.phase = 'analysing' AND NOT EXISTS (
                SELECT FROM analytics.reports p WHERE p.run_id = r.id AND p.revision = r.revision) AS unsummarised
            FROM gateway.runs_v1 r WHERE r.status IN ('queued', 'running', 'cancelling')) w
        WHERE unsummarised OR unstored
        """,
    )


async def _make_way(tx: AsyncConnection, run_id: UUID, looked_since: str) -> None:
    """An import that has the judge's name, from before these were reserved, makes way for its verdict."""
    await count(
        tx,
        f"""
        DELETE FROM analytics.ratings t USING judge.verdicts_v1 v
        WHERE EXISTS (SELECT FROM analytics.imports i WHERE i.run_id = :run AND i.kind = 'judge')
            AND t.run_id = :run AND t.kind = 'judge' AND t.import_id IS NOT NULL AND v.run_id = t.run_id
            AND v.dialogue_id = t.dialogue_id AND v.judge = t.rater AND v.state = 'done' AND {changed("v")}
            AND v.scores -> t.metric IS NOT NULL
        """,
        run=run_id,
        since=looked_since,
    )


async def _add_ratings(tx: AsyncConnection, run_id: UUID, looked_since: str) -> int:
    return await count(
        tx,
        f"""
        INSERT INTO analytics.ratings (tenant_id, {CELLS}, explanation)
        SELECT v.tenant_id, v.run_id, v.dialogue_id, s.key, v.judge, 'judge', v.character, v.scenario, v.replicate,
            (s.value ->> 'score')::smallint, s.value ->> 'explanation'
        FROM judge.verdicts_v1 v CROSS JOIN LATERAL jsonb_each(v.scores) s
        WHERE v.run_id = :run AND v.state = 'done' AND {changed("v")}
        ON CONFLICT ({KEY}) DO NOTHING
        """,
        run=run_id,
        since=looked_since,
    )


async def _add_batches(tx: AsyncConnection, run_id: UUID, looked_since: str) -> int:
    return await count(
        tx,
        f"""
        INSERT INTO analytics.diversity_ratings AS r (tenant_id, {BATCH_KEY}, score, explanation)
        SELECT v.tenant_id, v.run_id, v.character, v.batch, v.judge, 'judge', v.score, v.explanation
        FROM judge.diversity_verdicts_v1 v
        WHERE v.run_id = :run AND v.state = 'done' AND v.score IS NOT NULL AND {changed("v")}
        ON CONFLICT ({BATCH_KEY}) DO UPDATE SET score = excluded.score, explanation = excluded.explanation,
            import_id = NULL
        WHERE r.score <> excluded.score OR r.import_id IS NOT NULL
        """,
        run=run_id,
        since=looked_since,
    )


async def _drop_outdated(tx: AsyncConnection, run_id: UUID, looked_since: str) -> int:
    return await count(
        tx,
        f"""
        DELETE FROM analytics.diversity_ratings r USING (
            SELECT DISTINCT v.character, v.batch, v.judge FROM judge.diversity_verdicts_v1 v
            WHERE v.run_id = :run AND v.state = 'outdated' AND {changed("v")}) gone
        WHERE r.run_id = :run AND r.kind = 'judge' AND r.import_id IS NULL
            AND (r.character, r.batch, r.rater) = (gone.character, gone.batch, gone.judge)
            AND NOT EXISTS (SELECT FROM judge.diversity_verdicts_v1 v WHERE v.run_id = :run
                AND (v.character, v.batch, v.judge) = (r.character, r.batch, r.rater)
                AND v.state = 'done' AND v.score IS NOT NULL)
        """,
        run=run_id,
        since=looked_since,
    )


# A condition on a run `r`: a judge has said something that is not here.
_LEFT = f"""(EXISTS (
        SELECT FROM judge.verdicts_v1 v WHERE v.run_id = r.id AND v.state = 'done' AND v.scores <> '{{}}'
        AND v.changed_in >= {since(TAKEN, "r.id")} AND NOT EXISTS (
            SELECT FROM analytics.ratings t WHERE t.run_id = r.id AND t.dialogue_id = v.dialogue_id
            AND t.rater = v.judge AND t.kind = 'judge' AND t.import_id IS NULL))
    OR EXISTS (
        SELECT FROM judge.diversity_verdicts_v1 v WHERE v.run_id = r.id AND v.state = 'done' AND v.score IS NOT NULL
        AND v.changed_in >= {since(TAKEN, "r.id")} AND NOT EXISTS (
            SELECT FROM analytics.diversity_ratings t WHERE t.run_id = r.id AND t.character = v.character
            AND t.batch = v.batch AND t.rater = v.judge AND t.kind = 'judge' AND t.import_id IS NULL)))"""

_RATED = """
    SELECT r.id FROM gateway.runs_v1 r CROSS JOIN LATERAL (
        SELECT sum(t.done) AS done, sum(t.failed) AS failed FROM generator.tallies_v1 t WHERE t.run_id = r.id) d
    WHERE r.id = :run AND r.status = 'running' AND r.retry_at IS NULL AND cardinality(r.judges) > 0
        AND d.done > 0 AND d.done + d.failed >= (r.plan ->> 'dialogues')::int
        AND d.done * cardinality(r.judges) <= (SELECT sum(t.done + t.failed) FROM judge.tallies_v1 t
            WHERE t.run_id = r.id AND t.judge = ANY(r.judges))
        AND EXISTS (SELECT FROM judge.diversity_plans_v1 p WHERE p.run_id = r.id AND p.revision = r.revision)
        AND NOT EXISTS (SELECT FROM judge.diversity_verdicts_v1 v
            WHERE v.run_id = r.id AND v.state IN ('waiting', 'rating'))"""
