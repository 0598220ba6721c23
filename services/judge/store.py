"""The judge's queries: verdicts, expected of every finished dialogue, claimed under a lease, saved once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.judge.rating import Fault, Score, Verdict
from services.kit.db import count, json, many, row, rows
from services.kit.ids import verdict_id
from services.work import claims, watermark
from services.work.claims import chosen, free, goes_on, saved
from services.work.published import Run
from services.work.watermark import changed, since

OF_A_RUN = tuple(
    f"judge.{table}" for table in ("verdicts", "diversity_verdicts", "diversity_plans", "expected", "tallies")
)
EXPECTED = "judge.expected"
ATTEMPTS = 5  # of a verdict against faults that may pass; each is several calls, and the pauses grow to minutes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A verdict that is ours to give until the lease ends, and the dialogue that it is about."""

    id: UUID
    dialogue_id: UUID
    judge: str
    character: str
    scenario: str | None
    replicate: int
    turns: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Given:
    """A verdict to be saved."""

    id: UUID
    verdict: Verdict


async def expect(tx: AsyncConnection, run: Run) -> int:
    """Write down a verdict of each judge for every dialogue that was finished since we last looked.

    Returns how many are new.
    """
    looked = await watermark.look(tx, EXPECTED, run.id)
    sql = f"SELECT d.id FROM generator.dialogues_v1 d WHERE d.run_id = :run AND d.state = 'done' AND {changed('d')}"
    ended = await rows(tx, sql, run=run.id, since=looked.since)
    if not ended:
        return 0
    wanted = [(r["id"], judge) for r in ended for judge in run.judges]
    added = await count(
        tx,
        """
        INSERT INTO judge.verdicts (id, tenant_id, run_id, dialogue_id, character, scenario, replicate, judge, state)
        SELECT x.id, d.tenant_id, d.run_id, d.id, d.character, d.scenario, d.replicate, x.judge, 'waiting'
        FROM unnest(CAST(:ids AS uuid[]), CAST(:dialogues AS uuid[]), CAST(:judges AS text[]))
            AS x(id, dialogue_id, judge)
        JOIN generator.dialogues_v1 d ON d.id = x.dialogue_id
        ON CONFLICT (id) DO NOTHING
        """,
        ids=[verdict_id(dialogue, judge) for dialogue, judge in wanted],
        dialogues=[dialogue for dialogue, _ in wanted],
        judges=[judge for _, judge in wanted],
    )
    await watermark.seen(tx, EXPECTED, run.id, run.tenant_id, looked)
    return added


async def retry_failed(tx: AsyncConnection, run: Run) -> None:
    """What had failed when a retry was asked for waits again."""
    await count(
        tx,
        "UPDATE judge.verdicts SET state = 'waiting', attempts = 0, not_before = NULL, finished_at = NULL"
        " WHERE run_id = :run AND state = 'failed' AND finished_at < CAST(:at AS timestamptz)",
        run=run.id,
        at=run.retry_at,
    )


async def claim(tx: AsyncConnection, run_id: UUID, judge: str, slice_id: UUID, wanted: int) -> list[Claimed]:
    """Lease up to ``wanted`` verdicts of an open run that the judge may give now."""
    return await many(
        tx,
        Claimed,
        f"""
        {chosen("judge.verdicts", "v", "v.run_id = :run", "v.judge = :judge", _FREE, goes_on(":run"))}
        UPDATE judge.verdicts v SET state = 'rating', slice_id = :slice
        FROM free, generator.dialogues_v1 d
        WHERE v.id = free.id AND d.id = v.dialogue_id
        RETURNING v.id, v.dialogue_id, v.judge, v.character, v.scenario, v.replicate, d.turns
        """,
        run=run_id,
        judge=judge,
        slice=slice_id,
        wanted=wanted,
    )


async def save(tx: AsyncConnection, slice_id: UUID, given: Sequence[Given]) -> list[bool]:
    """Write all of them in one statement, fenced by the lease; says of each whether it was still ours."""
    return await saved(
        tx,
        _SAVE,
        slice_id,
        [g.id for g in given],
        scores=[json({metric: _kept(score) for metric, score in g.verdict.scores.items()}) for g in given],
        raws=[g.verdict.raw for g in given],
        errors=[None if g.verdict.error is None else json(shown(g.verdict.error)) for g in given],
        retryable=[g.verdict.error is not None and g.verdict.error.retryable for g in given],
        stopped=[g.verdict.stopped for g in given],
        attempts=ATTEMPTS,
        calls=[g.verdict.usage.calls for g in given],
        prompt_tokens=[g.verdict.usage.prompt_tokens for g in given],
        completion_tokens=[g.verdict.usage.completion_tokens for g in given],
    )


async def is_left(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether verdicts of the run wait for somebody."""
    found = await row(tx, f"SELECT v.id FROM judge.verdicts v WHERE v.run_id = :run AND {_FREE} LIMIT 1", run=run_id)
    return found is not None


async def unrated_runs(tx: AsyncConnection) -> list[UUID]:
    """Open runs with a finished dialogue that a judge has still to rate and nobody is about to."""
    found = await rows(
        tx,
        f"""
        SELECT r.id FROM gateway.runs_v1 r
        WHERE r.status IN ('queued', 'running') AND cardinality(r.judges) > 0 AND (
            EXISTS (SELECT FROM judge.verdicts v WHERE v.run_id = r.id AND {_FREE})
            OR EXISTS (SELECT FROM judge.verdicts v
                WHERE v.run_id = r.id AND v.state = 'failed' AND v.finished_at < r.retry_at)
            OR EXISTS (SELECT FROM generator.dialogues_v1 d WHERE d.run_id = r.id AND d.state = 'done'
                AND d.changed_in >= {since(EXPECTED, "r.id")}
                AND NOT EXISTS (SELECT FROM judge.verdicts v
                    WHERE v.run_id = r.id AND v.dialogue_id = d.id AND v.judge = r.judges[1])))
        """,
    )
    return [run["id"] for run in found]


async def free_abandoned(tx: AsyncConnection) -> None:
    """Give back what dead leases hold."""
    await claims.free_abandoned(tx, "judge.verdicts", "rating")
    await claims.forget_leases(tx, "judge")


def _kept(score: Score) -> dict[str, Any]:
    kept = asdict(score)
    if score.distribution is None:
        del kept["distribution"]
    return kept


def shown(fault: Fault) -> dict[str, str]:
    """A fault as it is kept and shown."""
    return {"code": fault.code, "message": fault.message}


_FREE = free("judge", "v", "rating")

# Of what was given (`x`): the state of a verdict `v` after it, and all that a judge's call leaves but its scores.
STATE_AFTER = """WHEN x.stopped OR x.retryable AND v.attempts + 1 < :attempts THEN 'waiting'
            WHEN x.error IS NULL THEN 'done' ELSE 'failed' END"""
LEFT_BY_A_CALL = """raw = x.raw,
        error = CAST(x.error AS jsonb),
        attempts = v.attempts + (NOT x.stopped)::int,
        not_before = CASE WHEN x.retryable THEN now() + make_interval(secs => 5 * 3 ^ v.attempts) END,
        slice_id = NULL,
        calls = v.calls + x.calls,
        prompt_tokens = v.prompt_tokens + x.prompt_tokens,
        completion_tokens = v.completion_tokens + x.completion_tokens,
        finished_at = now()"""

_SAVE = f"""
    UPDATE judge.verdicts v SET
        state = CASE {STATE_AFTER},
        scores = CAST(x.scores AS jsonb),
        {LEFT_BY_A_CALL}
    FROM unnest(CAST(:ids AS uuid[]), CAST(:scores AS text[]), CAST(:raws AS text[]), CAST(:errors AS text[]),
        CAST(:retryable AS boolean[]), CAST(:stopped AS boolean[]), CAST(:calls AS integer[]),
        CAST(:prompt_tokens AS bigint[]), CAST(:completion_tokens AS bigint[]))
        AS x(id, scores, raw, error, retryable, stopped, calls, prompt_tokens, completion_tokens)
    WHERE v.id = x.id AND v.slice_id = :slice AND v.state = 'rating'
    RETURNING v.id"""
