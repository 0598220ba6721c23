"""How far runs are and how fast they go, from what the other services publish: their tallies, not their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.runs.advance import Counts
from services.gateway.runs.rows import Far, Moving, StoredRun, Used
from services.kit.db import many, one, row

ROLES = ("candidate", "simulator", "judge")
SPENT = ("calls", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """A run's counters, summed. ``judged`` is exact with one judge, else the most that it can be."""

    id: UUID
    written: int
    done: int
    failed: int
    judged: int
    verdicts: int
    candidate_calls: int
    candidate_prompt_tokens: int
    candidate_completion_tokens: int
    simulator_calls: int
    simulator_prompt_tokens: int
    simulator_completion_tokens: int
    judge_calls: int
    judge_prompt_tokens: int
    judge_completion_tokens: int

    @property
    def usage(self) -> Used:
        """Calls and tokens by role."""
        return {role: {part: getattr(self, f"{role}_{part}") for part in SPENT} for role in ROLES}

    @property
    def far(self) -> Far:
        """As clients see it."""
        return Far(generated=self.done, judged=self.judged, failed=self.failed, usage=self.usage)


@dataclass(frozen=True, slots=True)
class _Standing:
    busy: bool
    exhausted: bool
    rated: bool
    summarised: bool
    unrated: bool


async def far(tx: AsyncConnection, runs: Sequence[Moving]) -> dict[UUID, Far]:
    """How far each run is: of one that is final as it was kept then, of the others by their tallies."""
    open_ids = [run.id for run in runs if run.outcome is None]
    found = {one.id: one.far for one in await _tallied(tx, open_ids)} if open_ids else {}
    return found | {run.id: Far(**run.outcome) for run in runs if run.outcome is not None}


def progress_out(run: Moving, far: Far) -> dict[str, int]:
    """As clients see it: the fields of ``esrp.api.Progress``."""
    return {"dialogues": run.dialogues, "generated": far.generated, "judged": far.judged, "failed": far.failed}


def progress_event(run: Moving, far: Far) -> dict[str, Any]:
    """The data of a ``run.progress`` event."""
    return {"status": run.status, "phase": run.phase, **progress_out(run, far), "usage": far.usage}


async def counts(tx: AsyncConnection, run: StoredRun) -> Counts:
    """What decides how the run moves on."""
    [tallied] = await _tallied(tx, [run.id])
    standing = await one(
        tx, _Standing, _STANDING, run=run.id, cancelling=run.status == "cancelling", diversity=run.rates_diversity
    )
    assert standing is not None
    return Counts(
        written=tallied.written,
        done=tallied.done,
        failed=tallied.failed,
        verdicts=tallied.verdicts,
        busy=standing.busy,
        exhausted=standing.exhausted,
        rated=standing.rated,
        summarised=standing.summarised,
        unrated=standing.unrated,
    )


async def outcome(tx: AsyncConnection, run: StoredRun) -> Far:
    """How far the run came, exactly, now that it is final."""
    [tallied] = await _tallied(tx, [run.id])
    judged = tallied.judged if len(run.judges) <= 1 else await _judged_by_all(tx, run)
    return Far(generated=tallied.done, judged=judged, failed=tallied.failed, usage=tallied.usage)


async def has_failures(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether a dialogue of the run has failed, or a verdict on a dialogue or a batch."""
    tables = ("generator.dialogues_v1", "judge.verdicts_v1", "judge.diversity_verdicts_v1")
    some = " OR ".join(f"EXISTS (SELECT FROM {table} WHERE run_id = :run AND state = 'failed')" for table in tables)
    return await row(tx, f"SELECT 1 WHERE {some}", run=run_id) is not None


async def _tallied(tx: AsyncConnection, run_ids: Sequence[UUID]) -> list[Tallied]:
    return await many(tx, Tallied, _TALLIES, runs=list(run_ids))


async def _judged_by_all(tx: AsyncConnection, run: StoredRun) -> int:
    found = await row(
        tx,
        """
        SELECT count(*) AS n FROM (
            SELECT FROM judge.verdicts_v1 v JOIN gateway.runs r ON r.id = v.run_id
            WHERE v.run_id = :run AND v.judge = ANY(r.judges) AND (v.state = 'done'
                OR v.state = 'failed' AND coalesce(v.finished_at >= r.retry_at, true))
            GROUP BY v.dialogue_id HAVING count(*) >= :judges) d""",
        run=run.id,
        judges=len(run.judges),
    )
    return int(found["n"]) if found else 0


_PLAYED = ", ".join(
    f"coalesce(sum({name}), 0)::bigint AS {name}"
    for name in ("written", "done", *(f"{role}_{part}" for role in ROLES[:2] for part in SPENT))
)
# What had failed when a retry was asked for counts as waiting, until its service resets it.
_TALLIES = f"""
    SELECT r.id, g.*, CASE WHEN j.n = cardinality(r.judges) THEN j.least ELSE 0 END AS judged,
        coalesce(j.verdicts, 0) AS verdicts, coalesce(j.judge_calls, 0) AS judge_calls,
        coalesce(j.judge_prompt_tokens, 0) AS judge_prompt_tokens,
        coalesce(j.judge_completion_tokens, 0) AS judge_completion_tokens
    FROM gateway.runs r
    CROSS JOIN LATERAL (
        SELECT {_PLAYED}, coalesce(sum(failed), 0)::bigint - (SELECT count(*) FROM generator.dialogues_v1 d
            WHERE d.run_id = r.id AND d.state = 'failed' AND d.finished_at < r.retry_at) AS failed
        FROM generator.tallies_v1 WHERE run_id = r.id) g
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, coalesce(min(ended), 0)::bigint AS least, sum(ended)::bigint AS verdicts,
            sum(calls)::bigint AS judge_calls, sum(prompt_tokens)::bigint AS judge_prompt_tokens,
            sum(completion_tokens)::bigint AS judge_completion_tokens
        FROM (
            SELECT sum(t.done + t.failed) - (SELECT count(*) FROM judge.verdicts_v1 v
                    WHERE v.run_id = r.id AND v.judge = t.judge AND v.state = 'failed' AND v.finished_at < r.retry_at)
                    AS ended,
                sum(t.calls) AS calls, sum(t.prompt_tokens) AS prompt_tokens,
                sum(t.completion_tokens) AS completion_tokens
            FROM judge.tallies_v1 t WHERE t.run_id = r.id AND t.judge = ANY(r.judges) GROUP BY t.judge) x) j
    WHERE r.id = ANY(CAST(:runs AS uuid[]))
"""

# Whether anything is at work matters only where a run is to end before its work is done.
_STANDING = """
    SELECT x.exhausted, (x.exhausted OR :cancelling) AND (
            EXISTS (SELECT FROM generator.dialogues_v1 WHERE run_id = :run AND state = 'playing')
            OR EXISTS (SELECT FROM judge.verdicts_v1 WHERE run_id = :run AND state = 'rating')
            OR EXISTS (SELECT FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND state = 'rating')) AS busy,
        EXISTS (SELECT FROM analytics.ratings_v1 WHERE run_id = :run) AS rated,
        EXISTS (SELECT FROM analytics.reports_v1 p WHERE p.run_id = r.id AND p.revision = r.revision) AS summarised,
        EXISTS (SELECT FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND state IN ('waiting', 'rating'))
            OR :diversity AND NOT EXISTS (
                SELECT FROM judge.diversity_plans_v1 p WHERE p.run_id = r.id AND p.revision = r.revision) AS unrated
    FROM gateway.runs r
    CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM (SELECT run_id, revision FROM generator.exhausted_v1
        UNION ALL SELECT run_id, revision FROM judge.exhausted_v1) e
        WHERE e.run_id = r.id AND e.revision = r.revision) AS exhausted) x
    WHERE r.id = :run
"""
